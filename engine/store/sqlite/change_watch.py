"""Notices changes of jobs, by this process or others, without disk access; and that the file was replaced."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from engine.domain.errors import StoreLostError
from engine.store.change_waiters import ChangeWaiters
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


_WHAT_TO_DO: Final = "nothing more is read or written there; put it back, and open it again"


class Identity:
    """What lies at `path` now, to be compared with what lies there later; that may be nothing."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._file = self._now()

    @property
    def is_there(self) -> bool:
        """Whether there was a file to begin with."""
        return self._file is not None

    def check(self) -> None:
        """Raise StoreLostError if the file was replaced or removed."""
        try:
            now = self._now()
        except OSError as error:
            raise StoreLostError(self._path, f"cannot be reached any more: {error.strerror}", _WHAT_TO_DO) from None
        if now == self._file:
            return
        if self._file is None:
            raise StoreLostError(self._path, "was created after it was opened", "open it again")
        if now is None:
            raise StoreLostError(self._path, "was removed while it was in use", _WHAT_TO_DO)
        raise StoreLostError(self._path, "was replaced by another file while it was in use", "open it again")

    def _now(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - asked many times a second
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_dev, status.st_ino
