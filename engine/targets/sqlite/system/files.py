"""Facts about a database file, without opening it: opening and closing a live SQLite file drops its locks."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from engine.domain.errors import (
    TargetMissingError,
    TargetRefusedError,
    TargetUnavailableError,
    TargetUnrecognizedError,
)
from engine.domain.steps import Micros
from engine.system.clock import now

T = TypeVar("T")
BESIDE: Final = ("-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for files of its own."""
_STAT_ERRORS: Final = {
    errno.ENOENT: ("there is no such file", "check the path; dbtend never creates a database"),
    errno.ENOTDIR: ("a part of the path is not a directory", "check the path"),
    errno.EACCES: ("no permission to reach it", "run dbtend as a user who may read and write it"),
    errno.ELOOP: ("its symbolic links lead in a circle", "check the path"),
    errno.ENAMETOOLONG: ("the name is too long for a file", "check the path"),
}


def status_of(path: str) -> os.stat_result:
    """Raises TargetUnavailableError where there is no such file, or no way to it."""
    return _or_unavailable(path, os.stat)


def _or_unavailable(path: str, ask: Callable[[str], T]) -> T:
    try:
        return ask(path)
    except OSError as error:
        why, hint = _STAT_ERRORS.get(error.errno or 0, (error.strerror or str(error), "check the path"))
        kind = TargetMissingError if error.errno == errno.ENOENT else TargetUnavailableError
        raise kind(path, why, hint) from None


def check_readable(path: str) -> None:
    """Raises TargetUnavailableError if this cannot be a database that we may read."""
    status = status_of(path)
    if stat.S_ISDIR(status.st_mode):
        raise TargetUnrecognizedError(path, "a directory", "give the path of a SQLite file")
    if not stat.S_ISREG(status.st_mode):
        raise TargetUnrecognizedError(path, "not a regular file", "give the path of a SQLite file")
    # root passes os.access whatever the mode says; a file without any read bit is closed on purpose.
    if not status.st_mode & 0o444 or not os.access(path, os.R_OK):
        raise TargetUnavailableError(path, "no permission to read it", "chmod it, or run dbtend as its owner")
    if status.st_size == 0:
        raise TargetUnrecognizedError(path, "an empty file, not a database yet", "check the path")
    for beside in (f"{path}{end}" for end in BESIDE):
        if _may_block(beside):
            raise TargetUnavailableError(path, f"{beside} is not a regular file", "find out who made it, and remove it")


def _may_block(path: str) -> bool:
    """Whether opening it may block without end, as SQLite would."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def check_writable(path: str) -> None:
    """Raises TargetRefusedError if maintenance, which writes the file and a journal beside it, must not start."""
    status = status_of(path)
    if _or_unavailable(path, os.statvfs).f_flag & os.ST_RDONLY:
        raise TargetRefusedError(path, "its file system is mounted read-only", "remount it writable")
    if status.st_mode & 0o222 and not os.geteuid() and not os.access(path, os.W_OK):
        why = "the file cannot be written, though its mode allows that"
        raise TargetRefusedError(path, why, "see lsattr: chattr -i makes an immutable file writable")
    if not status.st_mode & 0o222 or not os.access(path, os.W_OK):
        raise TargetRefusedError(path, "the file is read-only", "chmod it, or run dbtend as a user who may write it")
    if not may_be_written_beside(path):
        raise TargetRefusedError(
            path, "its directory is read-only, so no journal can be created", f"allow writing to {Path(path).parent}"
        )
    if status.st_nlink > 1:
        raise TargetRefusedError(
            path,
            f"the file has {status.st_nlink} names (hard links), and SQLite's journal would protect only one of them",
            "maintain a database that has one name only",
        )


def may_be_written(path: str) -> bool:
    """Whether `check_writable` has no objection."""
    return not why_read_only(path)


def why_read_only(path: str) -> str:
    """The objection of `check_writable`; empty where it has none."""
    try:
        check_writable(path)
    except (TargetRefusedError, TargetUnavailableError) as error:
        return error.why
    return ""


def may_be_written_beside(path: str) -> bool:
    """Raises TargetUnavailableError where there is no way to its directory."""
    directory = os.path.dirname(path)  # noqa: PTH120 - asked many times for each job
    return bool(status_of(directory).st_mode & 0o222) and os.access(directory, os.W_OK | os.X_OK)


def file_size(path: str) -> int:
    """Bytes on disk; 0 where there is no such file, or no way to it."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - asked many times for each job
    except OSError:
        return 0


def has_log(path: str) -> bool:
    """Whether there is a filled write-ahead log with its index: then a reader adds no file."""
    return file_size(path + "-wal") > 0 and file_size(path + "-shm") > 0


def has_journal(path: str) -> bool:
    """Whether something is in a rollback journal or a write-ahead log beside it."""
    return file_size(path + "-journal") > 0 or file_size(path + "-wal") > 0


def last_change(path: str) -> tuple[int, int]:
    """Changes with each write to the database or its log. Raises TargetUnavailableError."""
    return status_of(path).st_mtime_ns, file_size(path + "-wal")


def state_of(path: str) -> str:
    """Equal until the next write to the database, as its file system reports it; "" if unknown."""
    try:
        status = Path(path).stat()
    except OSError:
        return ""
    parts = [status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns]
    log = _filled(path + "-wal")
    return ":".join(map(str, [*parts, *([log.st_ino, log.st_size, log.st_mtime_ns] if log else [])]))


def changed_at(path: str) -> Micros | None:
    """When something was last written to the file, or another was put in its place; None where there is none, or
    nothing in it."""
    # A restored copy may carry its old modification time; the change time cannot be set.
    status = _filled(path)
    return status and now.at_host(status.st_ctime_ns)


def log_changed_at(path: str) -> Micros | None:
    """When something was last written to the write-ahead log of this database; None where there is nothing in it."""
    # Each time root opens it, SQLite sets its owner to that of the database, which changes no content.
    status = _filled(path + "-wal")
    return status and now.at_host(status.st_mtime_ns)


def _filled(path: str) -> os.stat_result | None:
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status if status.st_size else None


def temporary_directory() -> str | None:
    """Where SQLite puts temporary files."""
    return next(temporary_directories(), None)


def temporary_directories() -> Iterator[str]:
    """The directories that SQLite would take for temporary files, in its own search order."""
    candidates = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp", "/usr/tmp", "/tmp", ".")  # noqa: S108
    return (d for d in candidates if d and Path(d).is_dir() and os.access(d, os.W_OK | os.X_OK))
