"""Keeps the write-ahead log of the store short; its checkpoints lose nothing: see engine/system/wal_checkpoint.py."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.domain.errors import StoreError
from engine.system.wal_checkpoint import LONG_LOG, checkpoint

COMMITS_BETWEEN = 100
"""A commit takes some ten pages of the log, and SQLite would write it back each thousand."""


class LogCheckpoints:
    """What follows the commits of one process, in the thread that makes them."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        """`connect`: a connection that only reads."""
        self._log = Path(f"{path}-wal")
        self._connect = connect
        self._reader: sqlite3.Connection | None = None
        self._commits_left = 0  # a process that ends soon must write back what others like it have left, too

    def after_commit(self, connection: sqlite3.Connection) -> None:
        """Write the log back if it is long, and if that was not done lately: the file does not tell how much of it is
        in use."""
        self._commits_left -= 1
        if self._commits_left >= 0:
            return
        with suppress(OSError, sqlite3.Error, StoreError):  # the commit stands, and a later one tries again
            if self._log.stat().st_size < LONG_LOG:
                return
            self._commits_left = COMMITS_BETWEEN
            self._reader = self._reader or self._connect()
            checkpoint(connection, self._reader, "PASSIVE")

    def close(self) -> None:
        """Call this before the connection of the commits is closed."""
        if self._reader is not None:
            self._reader.close()
