"""Whom the lock of a step keeps out, and for how long: a value, from which front ends make words and decisions."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen


class LockImpact(StrEnum):
    """Who has to wait, from nobody to everyone."""

    NONE = "none"
    MAINTENANCE = "maintenance"
    """Other maintenance, and changes of the schema."""
    WRITERS = "writers"
    READERS_BEHIND_A_WRITER = "readers_behind_a_writer"
    """Writers, and readers while a writer waits."""
    READERS_AT_THE_END = "readers_at_the_end"
    """Writers, and readers at the end."""
    MOST_READERS = "most_readers"
    """Writers, and nearly all readers."""
    EVERYONE = "everyone"

    @property
    def blocks_writers(self) -> bool:
        return self not in {LockImpact.NONE, LockImpact.MAINTENANCE}


class LockScope(StrEnum):
    """What is locked."""

    DATABASE = "database"
    TABLE = "table"


@frozen
class Lock:
    """What a step locks."""

    impact: LockImpact
    """For as long as the step takes. No estimate makes that a moment: estimates are wrong where it matters."""
    scope: LockScope = LockScope.DATABASE
    momentary: LockImpact = LockImpact.NONE
    """For moments in between, besides."""


NO_LOCK: Final = Lock(LockImpact.NONE)
_BY_IMPACT: Final = list(LockImpact)


def strongest(locks: Iterable[Lock]) -> Lock:
    """The one that keeps out the most; NO_LOCK where there is none."""
    return max(locks, key=lambda lock: _BY_IMPACT.index(lock.impact), default=NO_LOCK)
