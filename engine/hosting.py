"""An engine's own workers: the parts that carry out jobs, wired together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from engine.jobs import JobType, Micros
from engine.past import past_of, past_steps_of
from engine.processor import JobProcessor
from engine.store.base import Store
from engine.targets import resolve
from engine.worker import DatabaseMaintenanceWorker, mark_of


@asynccontextmanager
async def hosting(
    store: Store, store_path: Path, workers: int, *, own_jobs_only: bool, clock: Callable[[], Micros]
) -> AsyncIterator[JobProcessor]:
    """`workers` workers, for as long as inside; see `Engine.open`."""
    async with store.hosting_workers(serves_all=not own_jobs_only) as owner:
        processor = JobProcessor(
            store,
            {
                JobType.OPERATION: DatabaseMaintenanceWorker(
                    resolve,
                    store=mark_of(store_path),
                    past_steps=partial(past_steps_of, store),
                    past_of=lambda target: past_of(store, target, clock()),
                )
            },
            owner=owner,
            concurrency=workers,
            own_jobs_only=own_jobs_only,
            clock=clock,
        )
        async with processor.running():
            yield processor
