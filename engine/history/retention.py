"""What of the history is kept for how long; and the removal of the rest, little by little."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from engine.domain.errors import StoreError
from engine.domain.frozen import frozen
from engine.domain.jobs import Micros, Status
from engine.store.protocol import Store

DAY = 86_400.0
BATCH = 50
"""Parents that are removed in one transaction,"""
BREATH = 0.02
"""and seconds that others have for theirs until the next."""
INTERVAL = 3600.0
"""Seconds between two rounds of a process that sees to it."""
CHANGES_KEPT = 7 * DAY
"""Seconds for which changes are kept, so that who was away can catch up."""


@frozen(kw_only=True)
class Retention:
    """For how long finished jobs are kept, in seconds by status; None for ever.

    The `keep_last` newest jobs of each target are kept whatever their age, and those that are pinned.
    """

    completed: float | None = 90 * DAY
    failed: float | None = 365 * DAY
    cancelled: float | None = 365 * DAY
    keep_last: int = 20

    @property
    def ages(self) -> Mapping[Status, float | None]:
        return {
            Status.COMPLETED: self.completed,
            Status.FAILED: self.failed,
            Status.CANCELLED: self.cancelled,
        }


async def prune(store: Store, retention: Retention, now: Micros, *, dry_run: bool = False) -> Mapping[Status, int]:
    """Remove what need not be kept any more, in small transactions; how many parents of each status.

    `dry_run`: only count them. Raises StoreError.
    """
    removed: Counter[Status] = Counter()
    for status, age in retention.ages.items():
        if age is None:
            continue
        after, before = 0, now - round(age * 1e6)
        while ids := await store.prunable(
            status, before=before, keep_last=retention.keep_last, after=after, limit=BATCH
        ):
            after = ids[-1]
            removed[status] += len(ids) if dry_run else await store.prune(ids)
            await asyncio.sleep(0 if dry_run else BREATH)
    if not dry_run:
        await _forget_changes(store, now - round(CHANGES_KEPT * 1e6))
    return removed


async def _forget_changes(store: Store, before: Micros) -> None:
    forgotten = True
    while forgotten:
        forgotten = bool(await store.prune_changes(before=before, limit=10 * BATCH))
        await asyncio.sleep(BREATH)


@asynccontextmanager
async def pruning(store: Store, retention: Retention | None, clock: Callable[[], Micros]) -> AsyncIterator[None]:
    """Prune now and every hour, while inside; without a retention, never."""
    if retention is None:
        yield
        return
    task = asyncio.create_task(_prune_regularly(store, retention, clock), name="dbtend-retention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _prune_regularly(store: Store, retention: Retention, clock: Callable[[], Micros]) -> None:
    while True:
        with suppress(StoreError):
            await prune(store, retention, clock())
        await asyncio.sleep(INTERVAL)
