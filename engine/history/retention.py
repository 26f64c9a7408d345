"""Retention: removes old history in small transactions."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from engine.domain.errors import StoreError
from engine.domain.retention import DAY, Retention
from engine.domain.statuses import Status
from engine.domain.steps import Micros
from engine.system.background import in_background, pause_loop

if TYPE_CHECKING:
    from engine.store.protocol import HistoryPruning

BATCH = 50
"""Parents removed in one transaction."""
BREATH = 0.02
"""Seconds between two transactions, for other writers."""
INTERVAL = 3600.0
"""Seconds between two rounds."""
CHANGES_KEPT = 7 * DAY
"""Seconds that changes are kept for subscribers that reconnect."""


async def prune(
    store: HistoryPruning, retention: Retention, now: Micros, *, dry_run: bool = False
) -> Mapping[Status, int]:
    """Remove history older than the retention, in small transactions; returns the number of parents by status.

    `dry_run`: only count. Raises StoreError.
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
            await pause_loop(0 if dry_run else BREATH)
    if not dry_run:
        await _forget_changes(store, now - round(CHANGES_KEPT * 1e6))
        await store.prune_firings()
    return removed


async def _forget_changes(store: HistoryPruning, before: Micros) -> None:
    forgotten = True
    while forgotten:
        forgotten = bool(await store.prune_changes(before=before, limit=10 * BATCH))
        await pause_loop(BREATH)


@asynccontextmanager
async def pruning(
    store: HistoryPruning, retention: Retention | None, clock: Callable[[], Micros]
) -> AsyncIterator[None]:
    """Prune now and every hour, while inside; without a retention, never."""
    if retention is None:
        yield
        return
    async with in_background(_prune_regularly(store, retention, clock), "dbtend-retention"):
        yield


async def _prune_regularly(store: HistoryPruning, retention: Retention, clock: Callable[[], Micros]) -> None:
    while True:
        with suppress(StoreError):
            await prune(store, retention, clock())
        await pause_loop(INTERVAL)
