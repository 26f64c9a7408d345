"""ParentJobOrchestrator: publishes the changes of parents and children.

`engine.domain.statuses.parent_status` derives the status of a parent; the store applies it inside the transaction that
changes a child. So there is nothing to monitor here: changes are passed on in commit order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from engine.domain.errors import StoreUnreachableError
from engine.domain.events import Change, Lagged
from engine.domain.jobs import ParentJob
from engine.system.background import pause_loop

if TYPE_CHECKING:
    from engine.store.protocol import Store

PAGE = 500
RETRY_AFTER: Final = 0.5
"""Seconds until a server that cannot be reached is tried again."""

T = TypeVar("T")


class ParentJobOrchestrator:
    """Publishes the changes of jobs. Each subscriber reads them from the store with its own cursor.

    So a slow subscriber costs nothing and loses nothing, and one that reconnects continues where it stopped.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def changes(self, after: int | None = None) -> AsyncIterator[Change | Lagged]:
        """All changes after `after`, or after this call, in commit order and without a gap.

        `Lagged` comes before the first change after a gap, where older changes were removed, and after a lapse.
        """
        return self._changes(self._store.last_change() if after is None else after, self._store.lapses())

    async def _changes(self, cursor: int, lapses: int) -> AsyncIterator[Change | Lagged]:
        while True:
            newest = self._store.last_change()
            if self._store.lapses() != lapses:
                lapses = self._store.lapses()
                yield Lagged(cursor, newest + 1)
                cursor = newest
            page = await self._when_there(partial(self._store.changes, cursor, PAGE))
            first = page[0].seq if page else newest + 1
            if first > cursor + 1:
                yield Lagged(cursor, first)
                cursor = first - 1
            for change in page:
                yield change
                cursor = change.seq
            if not page:
                await self._store.next_change(cursor)

    async def wait(self, parent_ids: Collection[int]) -> list[ParentJob]:
        """Wait until all these parents have ended; returns them with steps and logs."""
        for parent in await self._when_there(partial(self._store.jobs, parent_ids)):
            is_open = not parent.status.is_final
            while is_open:
                seen = self._store.last_change()
                newest = await self._when_there(partial(self._store.jobs, [parent.id]))  # none: removed since
                if is_open := any(not one.status.is_final for one in newest):
                    await self._store.next_change(seen)
        return await self._when_there(partial(self._store.whole_jobs, parent_ids))

    async def _when_there(self, read: Callable[[], Awaitable[T]]) -> T:
        """The result of a read; of a shared store once its server can be reached."""
        while True:
            try:
                return await read()
            except StoreUnreachableError:
                await pause_loop(RETRY_AFTER)
