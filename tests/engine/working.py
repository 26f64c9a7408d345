"""Processors with workers of the test's own, on a real store."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from engine.domain.claims import Outcome
from engine.domain.jobs import JobType, ParentJob
from engine.domain.requests import OnDuplicate
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.processor import Hosting, JobProcessor
from engine.execution.worker_slots import WorkerSlots
from engine.store.sqlite.store import SqliteStore
from tests.building import CANCELLED, COMPLETED, ticking_clock
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from engine import Engine
    from engine.domain.claims import Claim
    from engine.domain.steps import Micros
    from engine.execution.kept_results import KeptResults
    from engine.execution.reporter import Reporter
    from engine.execution.worker import JobWorker
    from engine.store.protocol import NewJob, Store


class FunctionWorker:
    """A worker that does what a function of the test says."""

    def __init__(self, function: Callable[[Claim, Reporter, asyncio.Event], Awaitable[Outcome]]) -> None:
        self._function = function

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        return await self._function(claim, reporter, cancel)


async def completes(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
    return COMPLETED


async def stops_when_asked(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
    await cancel.wait()
    return CANCELLED


@asynccontextmanager
async def processing(
    store: Store,
    worker: JobWorker | None,
    *,
    concurrency: int = 2,
    own_jobs_only: bool = False,
    clock: Callable[[], Micros] | None = None,
    slots: int | None = None,
    results: KeptResults | None = None,
) -> AsyncIterator[JobProcessor]:
    workers: dict[str, JobWorker] = {} if worker is None else {JobType.OPERATION: worker}
    async with store.hosting_workers() as owner:
        processor = JobProcessor(
            store,
            workers,
            Hosting(
                owner=owner,
                concurrency=concurrency,
                own_jobs_only=own_jobs_only,
                slots=None if slots is None else _slots(store, slots),
                results=results,
            ),
            clock or ticking_clock(),
        )
        async with processor.running():
            yield processor


def _slots(store: Store, number: int) -> WorkerSlots:
    assert isinstance(store, SqliteStore)
    return WorkerSlots(store.path, number)


async def carried_out(store: Store, *jobs: NewJob) -> list[ParentJob]:
    """Submit, and wait until all is over."""
    return await over(store, *await store.submit(jobs, OnDuplicate.REFUSE))


async def job_once(engine: Engine, number: int, is_so: Callable[[ParentJob], object]) -> ParentJob:
    """A job as soon as this is true of it: progress is no change that is heard of."""

    async def look() -> ParentJob | None:
        job = await engine.job(number)
        return job if is_so(job) else None

    return await eventually(look)


async def over(store: Store, *parent_ids: int) -> list[ParentJob]:
    """Wait until these parents are over; they come with steps and logs."""
    async with asyncio.timeout(30):
        return await ParentJobOrchestrator(store).wait(parent_ids)
