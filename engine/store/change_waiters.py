"""The tasks that wait for a change of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ChangeWaiters:
    """The newest change that is known, and those who wait for a later one."""

    def __init__(self, last_change: int = 0) -> None:
        self.last_change = last_change
        self.lapses = 0
        """How often the known changes became uncertain."""
        self._waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Let all look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def lapse(self, last_change: int) -> None:
        """Start again: the newest known changes may be gone, and others have their numbers."""
        self.last_change = last_change
        self.lapses += 1
        self.wake()

    async def wait_beyond(self, seq: int, require_open: Callable[[], None] = lambda: None) -> None:
        """Wait until there is a change after `seq`, or a lapse. Raises what `require_open` raises."""
        lapses = self.lapses
        while self.last_change <= seq and self.lapses == lapses:
            require_open()
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)
