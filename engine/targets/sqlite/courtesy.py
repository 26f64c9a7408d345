"""Giving others their turn between the steps of an operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from engine.targets.sqlite.openers import openers

PAUSE: Final = 0.1
"""Seconds: as long as SQLite lets another connection sleep between two tries for a lock."""
HELD_LONG: Final = 0.1
"""Seconds for which the lock may be held, in one step or several, before a pause is due."""


class Courtesy:
    """Remembers how long the lock was held, and whether somebody was in the way."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held = 0.0
        self._busy = False

    @contextmanager
    def holding(self, writing: bool) -> Iterator[None]:
        """While inside, others cannot write if `writing`."""
        began = time.monotonic()
        try:
            yield
        finally:
            if writing:
                self._held += time.monotonic() - began

    async def give_way(self, cancel: asyncio.Event) -> None:
        """Pause, if the lock was held long and somebody else may want it."""
        if self._held < HELD_LONG:
            return
        self._held = 0.0
        if await asyncio.to_thread(self._may_be_shared):
            with suppress(TimeoutError):
                await asyncio.wait_for(cancel.wait(), PAUSE)

    def _may_be_shared(self) -> bool:
        try:
            others = openers(self._path)
        except OSError:
            return True
        return others is None or bool(others.pids) or not others.complete

    def was_busy(self) -> None:
        """A step could not have its lock in time."""
        self._busy = True

    def patience(self, lock_timeout: float) -> float:
        """Seconds that the next step waits for its lock: once it was waited for in vain, not again for every step."""
        return 0.0 if self._busy else lock_timeout
