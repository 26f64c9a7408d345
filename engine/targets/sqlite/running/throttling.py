"""Giving others their turn between the steps of an operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final

from engine.system.lock_holders import holders
from engine.system.mounts import is_local_and_unlayered
from engine.targets.sqlite.system.openers import nobody_else_has_open, openers
from engine.targets.sqlite.system.page_cache import descriptors

PAUSE: Final = 0.1
"""Seconds: as long as SQLite lets another connection sleep between two tries for a lock."""


class Contention(Enum):
    """Who else has the database open; the value is for how many seconds the lock may be held before a pause is due."""

    OTHERS = 0.1
    UNKNOWN = 3.0
    """Applications commonly wait 5 s for a lock."""
    NOBODY = float("inf")


def company(path: str) -> Contention:
    """Look who else has the database open, which this process has: a few milliseconds at most."""
    if _is_alone(path):
        return Contention.NOBODY
    if holders(path):
        return Contention.OTHERS
    try:
        others = openers(path)
    except OSError:
        return Contention.UNKNOWN
    if others is None or not (others.pids or others.complete):
        return Contention.UNKNOWN
    return Contention.OTHERS if others.pids else Contention.NOBODY


def _is_alone(path: str) -> bool:
    """Elsewhere, or in a layer of a container, there may be others of whom the kernel of this machine knows nothing."""
    ours = descriptors(path)
    return len(ours) == 1 and is_local_and_unlayered(path) and nobody_else_has_open(ours[0])


class Throttle:
    """Remembers how long the lock was held, and whether it was waited for in vain."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held = 0.0
        self._busy = False

    @contextmanager
    def holding(self, blocking: bool) -> Iterator[None]:
        """While inside, others cannot write if `blocking`."""
        began = time.monotonic()
        try:
            yield
        finally:
            if blocking:
                self._held += time.monotonic() - began

    async def give_way(self, cancel: asyncio.Event) -> None:
        """Pause, if the lock was held for long and somebody else may want it."""
        if self._held >= Contention.OTHERS.value and self._held >= (await asyncio.to_thread(company, self._path)).value:
            self._held = 0.0
            with suppress(TimeoutError):
                await asyncio.wait_for(cancel.wait(), PAUSE)

    def was_busy(self) -> None:
        """A step could not have its lock in time."""
        self._busy = True

    @property
    def waited_in_vain(self) -> bool:
        """Whether a step could not have its lock in time: then the others need not wait, nor work, in vain, too."""
        return self._busy

    def patience(self, lock_timeout: float) -> float:
        """Seconds that the next step waits for its lock."""
        return 0.0 if self._busy else lock_timeout
