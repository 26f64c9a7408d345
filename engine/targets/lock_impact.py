"""The lock of a step: who has to wait for it, and for how long."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from engine.domain.frozen import frozen


class LockImpact(StrEnum):
    """Who has to wait, from least to most."""

    NONE = "none"
    MAINTENANCE = "maintenance"
    """Other maintenance, and schema changes."""
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
    """The kind of object that is locked."""

    DATABASE = "database"
    TABLE = "table"


@frozen
class Lock:
    """The lock that a step takes."""

    impact: LockImpact
    """The impact of the whole step. An estimate never makes that a moment: estimates are wrong where it matters."""
    scope: LockScope = LockScope.DATABASE
    momentary: LockImpact = LockImpact.NONE
    """In addition, for short moments."""


NO_LOCK: Final = Lock(LockImpact.NONE)
# On servers, of one table after another:
BLOCKS_NOBODY: Final = Lock(LockImpact.NONE, LockScope.TABLE)
BLOCKS_MAINTENANCE: Final = Lock(LockImpact.MAINTENANCE, LockScope.TABLE)
BLOCKS_EVERYONE_BRIEFLY: Final = Lock(LockImpact.MAINTENANCE, LockScope.TABLE, momentary=LockImpact.EVERYONE)
"""For a moment, mostly at the end, it needs the table alone."""
BLOCKS_EVERYONE: Final = Lock(LockImpact.EVERYONE, LockScope.TABLE)
_BY_IMPACT: Final = list(LockImpact)


def strongest(locks: Iterable[Lock]) -> Lock:
    """The lock that blocks most; NO_LOCK for no locks."""
    return max(locks, key=lambda lock: _BY_IMPACT.index(lock.impact), default=NO_LOCK)
