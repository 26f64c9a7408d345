"""What a mere look at a SQLite database in WAL mode leaves beside it, and how it goes away again.

A connection that may only read makes the log and its index where there are none, and cannot remove them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote


@contextmanager
def removing_wal_files(path: str | Path) -> Iterator[None]:
    """Look at the database at `path` while inside; the empty files beside it that come of that go at the end.

    A log that somebody has written to stays as it is, and so do both files where somebody uses them.
    """
    log = Path(f"{path}-wal")
    was_there = log.exists()
    try:
        yield
    finally:
        with suppress(OSError):
            if not was_there and log.stat().st_size == 0:
                _let_sqlite_tidy_up(path)


def _let_sqlite_tidy_up(path: str | Path) -> None:
    """The last one who closes a database removes both files; it is SQLite that knows whether that is us."""
    uri = f"file:{quote(os.fsencode(Path(path).absolute()))}?mode=rw"
    # What is damaged may be told with a name that is no text, or claim more memory than there is.
    with (
        suppress(sqlite3.Error, UnicodeError, MemoryError),
        closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection,
    ):
        connection.execute("PRAGMA mmap_size = 0")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT 1 FROM main.sqlite_schema LIMIT 1").fetchall()
