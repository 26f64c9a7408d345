"""Who is in the way of somebody who waits for a lock, also when he has just left."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.system.lock_holders import blocking_writers, holders, in_words, named

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.system.lock_holders import Holder


class BlockerFinder:
    """Looks who holds locks on the database at `path`, and remembers who was in the way last."""

    def __init__(self, path: str, tell: Callable[[str], None] | None = None) -> None:
        """`tell`: hears whom one waits for, as often as somebody looks because of that."""
        self._path = path
        self._tell = tell
        self._now: tuple[Holder, ...] = ()
        self._last: tuple[Holder, ...] = ()

    async def look(self, *, wal: bool = False) -> str:
        """Who holds the database now, in words; "" where nobody does, or it cannot be told.

        `wal`: whether those who only read it are in nobody's way.
        """
        said = await self._look(wal=wal)
        if self._tell is not None:
            self._tell(said or "another connection uses the database")
        return said

    async def _look(self, *, wal: bool) -> str:
        found = await asyncio.to_thread(holders, self._path) or ()
        self._now = tuple(blocking_writers(found, wal=wal))
        self._last = self._now or self._last
        return in_words(found)

    async def at_last(self, *, wal: bool = False) -> str:
        """As `look`, for an error: where nobody is in the way any more, who was when somebody was last seen to be."""
        said = await self._look(wal=wal)
        return f"it was last held by {named(self._last)}" if self._last and not self._now else said
