"""Pauses between the steps of an operation, so that other connections get the lock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from enum import Enum
from typing import Final

from engine.system.lock_holders import format_holders, holders
from engine.system.mounts import is_local_and_unlayered
from engine.targets.sqlite.connection import bundled
from engine.targets.sqlite.system.openers import is_only_opener, lock_holder, openers
from engine.targets.sqlite.system.page_cache import descriptors
from engine.targets.waits import first_of

PAUSE: Final = 0.1
"""Seconds: as long as SQLite lets another connection sleep between two tries for a lock."""


class Contention(Enum):
    """Who else has the database open; the value is for how many seconds the lock may be held before a pause is due."""

    OTHERS = 0.1
    UNKNOWN = 3.0
    """Applications commonly wait 5 s for a lock."""
    ALONE = float("inf")


def contention(path: str) -> Contention:
    """Who else has the database open, which this process has open. Takes a few milliseconds at most."""
    open_here, ours = descriptors(path), bundled.processes()
    if _is_alone(path, open_here):
        return Contention.ALONE
    if _others_hold_locks(path, open_here, ours):
        return Contention.OTHERS
    if ours:  # the kernel vouches for none, and to look at all processes takes as long as many a step
        return Contention.UNKNOWN
    try:
        others = openers(path)
    except OSError:
        return Contention.UNKNOWN
    if others is None or not (others.pids or others.complete):
        return Contention.UNKNOWN
    return Contention.OTHERS if others.pids else Contention.ALONE


def in_use(path: str, known: int | None = None) -> str:
    """The other processes that hold locks on the database, which this process has open, as text; "" if none.

    `known`: a descriptor under which it has it open.
    """
    open_here = descriptors(path) if known is None else (known,)
    if _is_alone(path, open_here) or not _others_hold_locks(path, open_here, frozenset()):
        return ""
    return format_holders(holders(path) or ())


def _is_alone(path: str, open_here: Sequence[int]) -> bool:
    """False on network mounts and in layers of a container: this kernel does not see other openers there."""
    return len(open_here) == 1 and is_local_and_unlayered(path) and is_only_opener(open_here[0])


def _others_hold_locks(path: str, open_here: Sequence[int], ours: Set[int]) -> bool:
    with suppress(OSError):  # closed since
        if open_here and (holder := lock_holder(open_here[0])) not in ours:
            return holder is not None
    return any(holder.pid not in ours for holder in holders(path) or ())


class Throttle:
    """Records how long steps held the lock, and whether one timed out waiting for it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._held = 0.0
        self._held_at_look = 0.0
        self.has_timed_out = False
        """Whether a step did not get its lock in time: later steps then do not wait either."""

    @contextmanager
    def measure(self, blocking: bool) -> Iterator[None]:
        """Add the time spent inside to the time held, if `blocking` other writers."""
        began = time.monotonic()
        try:
            yield
        finally:
            if blocking:
                self._held += time.monotonic() - began

    async def pause(self, cancel: asyncio.Event) -> None:
        """Pause if steps held the lock for long and another connection may want it."""
        if self._held - self._held_at_look < Contention.OTHERS.value:
            return  # to look takes the kernel up to 20 ms, as long as many a step
        self._held_at_look = self._held
        if self._held >= (await asyncio.to_thread(contention, self._path)).value:
            self._held = self._held_at_look = 0.0
            await first_of(cancel, timeout=PAUSE)

    def timeout(self, lock_timeout: float) -> float:
        """Seconds that the next step waits for its lock."""
        return 0.0 if self.has_timed_out else lock_timeout
