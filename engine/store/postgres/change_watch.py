"""Notices changes of jobs in the shared store: the server tells of them."""

from __future__ import annotations

import asyncio
from typing import Final

import psycopg

from engine.domain.errors import StoreError, StoreUnreachableError
from engine.store.change_waiters import ChangeWaiters
from engine.store.postgres.acknowledged import Acknowledged
from engine.store.postgres.connections import Connection, connected, heard
from engine.store.postgres.schema import LOCKS
from engine.system.background import end_task, pause_loop
from engine.system.clock import SteadyClock

CHANNEL: Final = "dbtend_change"
CANCEL: Final = "cancel"
"""What a notification says where running children were asked to stop; others say nothing."""
LOOK_EVERY: Final = 5.0
"""Seconds after which it looks itself, should a notification be lost."""
PACES: Final = (0.002, 0.02)
"""The least seconds from one look to the next: twice as many after each that saw a change, so that a look tells of
several while many jobs end."""
RECONNECT_AFTER: Final = 0.5
LAST_CHANGE: Final = "SELECT coalesce(max(seq), 0), now_micros() FROM event"
# A commit notifies of its change only while a process holds this lock: else each would wake all while jobs end.
# It takes the lock itself until its end, so that a process that begins to wait then sees the change.
BEGIN_WAIT: Final = f"SELECT pg_advisory_lock_shared({LOCKS['LISTENERS']})"
END_WAIT: Final = f"SELECT pg_advisory_unlock_shared({LOCKS['LISTENERS']})"


class ChangeWatch:
    """Follows the newest change, and wakes waiters."""

    def __init__(self, url: str, what: str, acknowledged: Acknowledged, clock: SteadyClock) -> None:
        """`clock`: of this host, which is to show what the server's shows: all times in the store are by that."""
        self._url, self._what, self._acknowledged, self._clock = url, what, acknowledged, clock
        self._waiters = ChangeWaiters()
        self.cancels = ChangeWaiters()
        """How often running children may have been asked to stop, and who waits for that."""
        self.unreachable: StoreError | None = None
        """Why the store cannot be reached now, or is lost; None while neither is so."""
        self._reach_changed = asyncio.Event()
        """Set when that changes, and replaced by another."""
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Raises StoreError."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._follow(ready), name="dbtend-watch")
        await ready

    async def close(self) -> None:
        if self._task is not None:
            await end_task(self._task)

    @property
    def last_change(self) -> int:
        return self._waiters.last_change

    @property
    def lapses(self) -> int:
        return self._waiters.lapses

    def note(self, seq: int) -> None:
        if seq > self._waiters.last_change:
            self._waiters.last_change = seq
            self._waiters.wake()

    async def wait_beyond(self, seq: int) -> None:
        """Wait until there is a change after `seq`. Raises StoreLostError."""
        await self._waiters.wait_beyond(seq, self._acknowledged.require)

    async def reach_changed(self) -> None:
        """Wait until the store can no longer be reached, or can be again."""
        await self._reach_changed.wait()

    def _set_reach(self, unreachable: StoreError | None) -> None:
        has_changed = (unreachable is None) != (self.unreachable is None)
        self.unreachable = unreachable
        if has_changed:
            self._reach_changed.set()
            self._reach_changed = asyncio.Event()

    async def _follow(self, ready: asyncio.Future[None]) -> None:
        while True:
            try:
                async with connected(self._url, self._what, "dbtend watch") as connection:
                    await self._acknowledged.check(connection)
                    if self._acknowledged.lost is not None:
                        self._set_reach(self._acknowledged.lost)
                        self._waiters.wake()
                        return
                    await connection.execute(f"LISTEN {CHANNEL}".encode())
                    await self._listen(connection, ready)
            except StoreError as error:
                self._set_reach(error)
            except psycopg.Error:
                self._set_reach(
                    StoreUnreachableError(self._what, "the server ended the connection", "see to the server")
                )
            if not ready.done():
                ready.set_exception(self.unreachable or StoreError(self._what, "cannot be reached"))
                return
            await pause_loop(RECONNECT_AFTER)

    async def _listen(self, connection: Connection, ready: asyncio.Future[None]) -> None:
        was_lost = ready.done()  # a server that crashed forgets commits that were about to reach its disk
        waits, lock, pace = False, "", PACES[0]
        while True:
            seen, asked = self.last_change, self._clock.wall()
            if lock:
                await connection.execute(lock.encode())
                waits, lock = lock == BEGIN_WAIT, ""
            cursor = await connection.execute(LAST_CHANGE.encode())
            newest, at = await cursor.fetchone() or (0, 0)
            self._set_reach(None)
            self._clock.follow(asked, at)
            if was_lost:
                self._waiters.lapse(newest)
                self._note_cancel()
                was_lost = False
            self.note(newest)
            if not ready.done():
                ready.set_result(None)
            if newest != seen:
                await pause_loop(pace)
                pace = min(2 * pace, PACES[1])
                await self._was_told(connection)
                lock = END_WAIT if waits else ""
            elif not waits:
                lock = BEGIN_WAIT
            else:
                is_told, pace = await self._was_told(connection), PACES[0]
                if not is_told:
                    await heard(connection, LOOK_EVERY)
                    is_told = await self._was_told(connection)
                lock = END_WAIT if is_told else ""

    async def _was_told(self, connection: Connection) -> bool:
        """Whether there were notifications since it was asked last."""
        told = [notification.payload async for notification in connection.notifies(timeout=0)]
        if CANCEL in told:
            self._note_cancel()
        return bool(told)

    def _note_cancel(self) -> None:
        self.cancels.last_change += 1
        self.cancels.wake()
