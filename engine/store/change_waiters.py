"""Those who wait for a change of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class ChangeWaiters:
    """The newest change that is known, and those who wait for a later one."""

    def __init__(self, last_change: int = 0) -> None:
        self.last_change = last_change
        self._waiting: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Let all look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait_beyond(self, seq: int, require_open: Callable[[], None] = lambda: None) -> None:
        """Wait until there is a change after `seq`. Raises what `require_open` raises."""
        while self.last_change <= seq:
            require_open()
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)
