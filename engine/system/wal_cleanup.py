"""Removes the files that a read-only connection leaves beside a SQLite database in WAL mode.

A read-only connection creates a missing log and its index, and cannot remove them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from engine.system.sqlite_threads import opening


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
