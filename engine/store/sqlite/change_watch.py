"""Notices changes of jobs, by this process or others, without disk access."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from engine.domain.errors import StoreLostError
from engine.store.change_waiters import ChangeWaiters
from engine.store.sqlite.file_identity import Identity
from engine.store.sqlite.queries import LAST_CHANGE
from engine.system.background import end_task, pause_loop

INTERVAL = 0.05
"""Seconds between two polls for commits of other processes (0.4 % of a core; the mean delay is half of this)."""


class ChangeWatch:
    """Follows the newest change, and wakes waiters.

    Its connection is read on the event loop: `PRAGMA data_version` reads shared memory in a microsecond, a fiftieth of
    the cost of a thread switch; a few rows of an index take ten.
    """

    def __init__(self, connection: sqlite3.Connection, identity: Identity) -> None:
        self._connection = connection
        self.identity = identity
        self._data_version = 0
        self.lost: StoreLostError | None = None
        """Why there will be no more changes; None while the store is there."""
        self._waiters = ChangeWaiters(self._read_last_change())
        self._poll = asyncio.create_task(self._poll_other_processes(), name="dbtend-watch")

    @property
    def last_change(self) -> int:
        return self._waiters.last_change

    async def close(self) -> None:
        await end_task(self._poll)
        self._connection.close()

    def refresh(self) -> None:
        """Read the newest change now, and wake its waiters."""
        try:
            newest = self._read_last_change()
        except sqlite3.Error:
            # Locked for a moment, or gone for good: later reads tell which. Poll again.
            self._data_version = 0
            return
        if newest != self._waiters.last_change:
            self._waiters.last_change = newest
            self._waiters.wake()

    def rows(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        """All rows of a query that finds a few rows in an index. Raises sqlite3.Error."""
        return self._connection.execute(sql, values).fetchall()

    async def wait_beyond(self, seq: int) -> None:
        """Wait until there is a change after `seq`. Raises StoreLostError if the store is gone."""
        await self._waiters.wait_beyond(seq, self._require_open)

    def _require_open(self) -> None:
        if self.lost is not None:
            raise self.lost.with_traceback(None)

    async def _poll_other_processes(self) -> None:
        while self.lost is None:
            await pause_loop(INTERVAL)
            self._check_identity()
            with suppress(sqlite3.Error):
                version = self._connection.execute("PRAGMA data_version").fetchone()[0]
                if version != self._data_version:
                    self._data_version = version
                    self.refresh()

    def _check_identity(self) -> None:
        """Cheap: no file is opened."""
        try:
            self.identity.check()
        except StoreLostError as error:
            self.lost = error
            self._waiters.wake()

    def _read_last_change(self) -> int:
        (newest,) = self._connection.execute(LAST_CHANGE).fetchone()
        return int(newest)
