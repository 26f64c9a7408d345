"""Facts about a database file, without opening it: opening and closing a live SQLite file drops its locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.domain.errors import (
    TargetRefusedError,
    TargetUnavailableError,
)
from engine.domain.steps import Micros
from engine.system.clock import now
from engine.targets import database_files
from engine.targets.database_files import file_size, status_of

BESIDE: Final = ("-journal", "-wal", "-shm")
"""What SQLite adds to the name of a database for files of its own."""


def check_readable(path: str) -> None:
    """Raises TargetUnavailableError if this cannot be a database that we may read."""
    database_files.check_readable(path, "a SQLite file", BESIDE)


def check_writable(path: str) -> None:
    """Raises TargetRefusedError if maintenance, which writes the file and a journal beside it, must not start."""
    database_files.check_writable(path, "SQLite", "journal")


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
