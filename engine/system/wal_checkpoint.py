"""Checkpoints of a write-ahead log that cannot lose a commit, whatever the version of SQLite.

Up to 3.51.2 a checkpoint may take a log that was restarted meanwhile for the one that it began with. A read transaction
keeps that from happening: see docs/explanation/checkpoints.md.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, Protocol
from urllib.parse import quote

from engine.system.sqlite_threads import opening

Mode = Literal["PASSIVE", "FULL", "TRUNCATE"]
NO_AUTOMATIC_CHECKPOINT: Final = "PRAGMA wal_autocheckpoint = 0"
"""For each connection that may write: SQLite's own checkpoint after a commit has no read transaction beside it."""
LONG_LOG: Final = 4_096_000
"""Bytes of a log from which SQLite would checkpoint it after a commit, by default: a thousand pages."""
_BEGIN_READING: Final = ("BEGIN", "PRAGMA main.user_version")
FIXED_IN: Final = "3.51.3 or later (or 3.50.7, 3.44.6)"
_FIXED_BRANCHES: Final = ((3, 44, 6), (3, 50, 7))


class Connection(Protocol):
    """What a checkpoint needs of a connection."""

    def execute(self, sql: str, /) -> Any: ...


def checkpoint(connection: Connection, reader: sqlite3.Connection, mode: Mode) -> tuple[int, int, int]:
    """Write the log back by `connection`, while `reader`, another connection to the same file, reads.

    With TRUNCATE the log is truncated only if it was written back before. Returns whether it was kept from completing,
    the frames of the log, and how many are written back; -1 where that is unknown. Raises sqlite3.Error.
    """
    try:
        for command in _BEGIN_READING:
            reader.execute(command).fetchall()
        ((busy, frames, written),) = connection.execute(f"PRAGMA main.wal_checkpoint({mode})").fetchall()
        return busy, frames, written
    finally:
        if reader.in_transaction:
            reader.execute("ROLLBACK")


def write_back(connection: Connection, reader: sqlite3.Connection) -> tuple[int, int, int]:
    """Write the whole log back, and truncate it. Others can write until only what they have just written is left.

    Returns and raises as `checkpoint`.
    """
    checkpoint(connection, reader, "PASSIVE")
    checkpoint(connection, reader, "FULL")
    return checkpoint(connection, reader, "TRUNCATE")


def loses_commits(version: str) -> bool:
    """Whether a checkpoint of this version of SQLite may lose commits, unless it is made as here."""
    numbers = tuple(int(part) for part in version.split("."))
    is_fixed = numbers >= (3, 51, 3) or any(numbers[:2] == fixed[:2] and numbers >= fixed for fixed in _FIXED_BRANCHES)
    return numbers >= (3, 7) and not is_fixed


@contextmanager
def removing_wal_files(path: str | Path) -> Iterator[None]:
    """Read the database at `path` while inside; the empty files that this creates are removed at the end.

    A log with content stays, and so do files that another process uses.
    """
    log = Path(f"{path}-wal")
    was_there = os.path.lexists(log)  # of a name that is too long for a file, too, nothing is there
    try:
        yield
    finally:
        with suppress(OSError):
            if not was_there and log.stat().st_size == 0:
                _let_sqlite_tidy_up(path)


def _let_sqlite_tidy_up(path: str | Path) -> None:
    """The last connection that closes removes both files; SQLite knows which is the last."""
    uri = f"file:{quote(os.fsencode(Path(path).absolute()))}?mode=rw"
    # A damaged file may have names that are not text, or claim too much memory.
    with (
        suppress(sqlite3.Error, UnicodeError, MemoryError),
        opening(uri),
        closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection,
    ):
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT 1 FROM main.sqlite_schema LIMIT 1").fetchall()
