"""What is read of jobs, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.store import id_ranges
from tests.building import COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores

if TYPE_CHECKING:
    pass


async def test_r24_ids_are_in_time_order_even_where_the_clock_is_set_back(stores: Stores) -> None:
    clock = StoppedClock()
    async with stores.open(clock=clock) as store:
        for clock.at in (100, 50, 120):
            await store.submit([new_job(f"db{clock.at}")], OnDuplicate.REFUSE)
        assert [job.created_at for job in await store.jobs([1, 2, 3])] == [100, 100, 120]


async def test_jobs_come_in_the_order_asked_for_and_unknown_ones_are_left_out(store: RescuingStore) -> None:
    await store.submit([new_job("a"), new_job("b"), new_job("c")], OnDuplicate.REFUSE)
    assert [job.id for job in await store.jobs([3, 99, 1])] == [3, 1]
    assert await store.whole_jobs([3, 99, 1]) == [await store.job(3), await store.job(1)]
    await store.request_cancel(JobId(2))
    assert [job.id for job in await store.open_jobs()] == [1, 3]


async def test_many_whole_jobs_are_read_in_parts(store: RescuingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_ranges, "PORTION", 2)
    ids = await store.submit([new_job(f"db{number}") for number in range(5)], OnDuplicate.REFUSE)
    assert [job.id for job in await store.whole_jobs(ids)] == ids


async def test_an_operation_keeps_its_last_end_however_many_jobs_of_others_come_after_it(store: RescuingStore) -> None:
    async def run(operation: Operation, outcome: Outcome) -> int:
        (job_id,) = await store.submit([new_job("sales", operation)], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, outcome, Report())
        return job_id

    jobs = [await run(Operation.CHECK, COMPLETED), await run(Operation.CHECK, FAILED)]
    jobs += [await run(Operation.ANALYZE, COMPLETED) for _ in range(40)]
    (done, failed), found = await store.jobs(jobs[:2]), (await store.overview()).runs
    assert {run.operation for run in found} == {Operation.CHECK, Operation.ANALYZE}
    (check,) = [run for run in found if run.operation is Operation.CHECK]
    assert (check.status, check.finished_at) == (Status.FAILED, failed.children[0].finished_at)
    assert check.completed_at == done.children[0].finished_at
    await store.prune(jobs[:-1])
    assert len((await store.overview()).runs) == 2
    await store.prune(jobs)
    assert (await store.overview()).runs == ()
