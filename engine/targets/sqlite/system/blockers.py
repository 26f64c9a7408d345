"""Who blocks a connection that waits for a lock, or blocked it last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.domain.lazy_import import lazy

if TYPE_CHECKING:
    from engine.system import lock_holders
    from engine.system.lock_holders import Holder
else:
    lock_holders = lazy("engine.system.lock_holders", "only a database that is busy needs it")


class BlockerFinder:
    """Finds who holds locks on the database at `path`, and remembers who blocked last."""

    def __init__(self, path: str, report: Callable[[str], None] | None = None) -> None:
        """`report`: called with the holders, as text, at each call of `describe`."""
        self._path = path
        self._report = report
        self._now: tuple[Holder, ...] = ()
        self._last: tuple[Holder, ...] = ()

    def report(self, why: str) -> None:
        """Report the blockers of a wait."""
        if self._report is not None:
            self._report(why)

    async def describe(self, *, wal: bool = False) -> str:
        """Who holds the database now, as text; "" for no one or unknown. `wal`: readers do not block."""
        text = await self._describe(wal=wal)
        self.report(text or "another connection uses the database")
        return text

    async def _describe(self, *, wal: bool) -> str:
        found = await asyncio.to_thread(lock_holders.holders, self._path) or ()
        self._now = tuple(lock_holders.blocking_writers(found, wal=wal))
        self._last = self._now or self._last
        return lock_holders.format_holders(found)

    async def describe_last(self, *, wal: bool = False) -> str:
        """Who holds the database, for an error: the last blocker where no one blocks any more."""
        text = await self._describe(wal=wal)
        return (
            f"it was last held by {lock_holders.format_holder_names(self._last)}"
            if self._last and not self._now
            else text
        )
