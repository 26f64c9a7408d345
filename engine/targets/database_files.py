"""Facts about a database file, without opening it: closing it again would drop locks of this process on it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from engine.domain.engines import EngineName, engine_of_head
from engine.domain.errors import (
    TargetError,
    TargetMissingError,
    TargetRefusedError,
    TargetUnavailableError,
    TargetUnrecognizedError,
)
from engine.domain.server_names import command_word, file_url
from engine.system.file_headers import heads_of

T = TypeVar("T")
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


def check_readable(path: str, kind: str, beside: Sequence[str]) -> None:
    """Raises TargetUnavailableError if this cannot be a database that we may read.

    `kind`: of the file: `a SQLite file`. `beside`: what its engine adds to the name for files of its own.
    """
    status = status_of(path)
    if stat.S_ISDIR(status.st_mode):
        raise TargetUnrecognizedError(path, "a directory", f"give the path of {kind}")
    if not stat.S_ISREG(status.st_mode):
        raise TargetUnrecognizedError(path, "not a regular file", f"give the path of {kind}")
    # root passes os.access whatever the mode says; a file without any read bit is closed on purpose.
    if not status.st_mode & 0o444 or not os.access(path, os.R_OK):
        raise TargetUnavailableError(path, "no permission to read it", "chmod it, or run dbtend as its owner")
    if status.st_size == 0:
        raise TargetUnrecognizedError(path, "an empty file, not a database yet", "check the path")
    for other in (f"{path}{end}" for end in beside):
        if _may_block(other):
            raise TargetUnavailableError(path, f"{other} is not a regular file", "find out who made it, and remove it")


def _may_block(path: str) -> bool:
    """Whether opening it may block without end."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def naming_engine(error: TargetError, tried: EngineName) -> TargetError:
    """An error of opening a file by the engine `tried`. It names the engine of the file, if that is another. Blocks."""
    if not isinstance(error, TargetUnrecognizedError):
        return error
    spec = engine_of_head(heads_of([error.what])[error.what] or b"")
    if spec is None or spec.name == tried:
        return error
    hint = f"write {command_word(file_url(spec.schemes[0], error.what))}"
    return TargetUnrecognizedError(error.what, f"this is {spec.kind}", hint)


def check_writable(path: str, owner: str, journal: str) -> None:
    """Raises TargetRefusedError if maintenance, which writes the file and a journal beside it, must not start.

    `owner`, `journal`: as text: `SQLite`, `journal`.
    """
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
            path, f"its directory is read-only, so no {journal} can be created", f"allow writing to {Path(path).parent}"
        )
    if status.st_nlink > 1:
        raise TargetRefusedError(
            path,
            f"the file has {status.st_nlink} names (hard links), and {owner}'s {journal} would protect only one of"
            " them",
            "maintain a database that has one name only",
        )


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
