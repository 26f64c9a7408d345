"""ParentJobOrchestrator: what a parent is, derived from its children, and told to whoever listens.

The derivation itself is `engine.domain.jobs.parent_status`, which the store applies inside the transaction that
changes a child. So there is nothing to monitor here: only changes to pass on, in commit order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import Protocol

from engine.domain.events import Change, Lagged
from engine.domain.jobs import ParentJob
from engine.store.protocol import ChangeFeed, JobReader

PAGE = 500


class WatchedJobs(JobReader, ChangeFeed, Protocol):
    """Jobs, and their changes."""


class ParentJobOrchestrator:
    """Publishes the changes of jobs. Each subscriber reads them from the store by a cursor of its own.

    So a slow subscriber costs nothing and loses nothing, and one that comes back goes on where it stopped.
    """

    def __init__(self, store: WatchedJobs) -> None:
        self._store = store

    def changes(self, after: int | None = None) -> AsyncIterator[Change | Lagged]:
        """All changes after `after`, or after this call, in commit order and without a gap.

        `Lagged` says that changes in between are no longer kept, before the first that is.
        """
        return self._changes(self._store.last_change() if after is None else after)

    async def _changes(self, cursor: int) -> AsyncIterator[Change | Lagged]:
        while True:
            newest = self._store.last_change()
            page = await self._store.changes(cursor, PAGE)
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
        """Wait until all these parents are over; they come with steps and logs."""
        while True:
            seen = self._store.last_change()
            parents = await self._store.jobs(parent_ids)
            if all(parent.status.is_final for parent in parents):
                return [await self._store.job(parent.id) for parent in parents]
            await self._store.next_change(seen)
