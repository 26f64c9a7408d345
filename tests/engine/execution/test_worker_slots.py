"""A store never runs more operations at once than it has slots, in any number of processes."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.execution.worker_slots import WorkerSlots
from tests.building import COMPLETED, new_job
from tests.engine.processes import python
from tests.engine.working import FunctionWorker, completes, over, processing
from tests.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from engine.domain.claims import Claim, Outcome
    from engine.execution.reporter import Reporter
    from engine.store.sqlite.store import SqliteStore

HOLDS_A_SLOT = """
    from engine.execution.worker_slots import WorkerSlots
    print(WorkerSlots(Path(sys.argv[1]), 1).take() is not None, flush=True)
    sys.stdin.readline()
"""


async def test_as_many_can_be_taken_as_there_are(store_path: Path) -> None:
    slots = WorkerSlots(store_path, 2)
    first, second = slots.take(), slots.take()
    assert first is not None
    assert second is not None
    assert slots.take() is None
    os.close(first)
    third = slots.take()
    assert third is not None
    for slot in (second, third):
        os.close(slot)


async def test_a_process_that_dies_frees_its_slot(store_path: Path) -> None:
    slots = WorkerSlots(store_path, 1)
    with python(HOLDS_A_SLOT, store_path) as other:
        assert await other.says() == "True"
        assert slots.take() is None
        other.kill()
        slot = slots.take()
        assert slot is not None
        os.close(slot)


async def test_who_waits_is_seen(store_path: Path) -> None:
    slots = WorkerSlots(store_path, 1)
    slot = slots.take()
    assert slot is not None
    assert not slots.has_waiters()
    with slots.waiting():
        assert WorkerSlots(store_path, 1).has_waiters()
    assert not slots.has_waiters()
    os.close(slot)


class Counting:
    """Knows how many jobs run at once. The first one lasts until so many do, and a processor waits for a slot."""

    def __init__(self, store: Path, at_once: int) -> None:
        self.running = self.most = 0
        self.order: list[str] = []
        self._slots = WorkerSlots(store, at_once)

    async def run(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        self.running += 1
        self.most = max(self.most, self.running)
        self.order.append(claim.target)
        if len(self.order) == 1:
            await eventually(lambda: self.most >= self._slots.number and self._slots.has_waiters())
        self.running -= 1
        return COMPLETED


async def test_several_processors_share_the_slots(store: SqliteStore) -> None:
    counting = Counting(store.path, 2)
    jobs = [new_job(f"db{n}", Operation.VACUUM, Operation.ANALYZE) for n in range(8)]
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(processing(store, FunctionWorker(counting.run), slots=2))
        done = await over(store, *await store.submit(jobs, OnDuplicate.REFUSE))
    assert {job.status for job in done} == {Status.COMPLETED}
    assert counting.most == 2


async def test_a_long_list_of_one_process_does_not_keep_others_waiting_for_its_end(store: SqliteStore) -> None:
    """One processor works on many jobs with the only slot; another, of one job, gets its turn in between."""
    counting = Counting(store.path, 1)
    async with AsyncExitStack() as stack:
        long, short = [
            await stack.enter_async_context(
                processing(store, FunctionWorker(counting.run), slots=1, concurrency=1, own_jobs_only=True)
            )
            for _ in range(2)
        ]
        many = await store.submit([new_job(f"db{n}", Operation.VACUUM) for n in range(50)], OnDuplicate.REFUSE)
        one = await store.submit([new_job("single", Operation.VACUUM)], OnDuplicate.REFUSE)
        long.adopt(many)
        short.adopt(one)
        await over(store, *one)
        assert counting.order.index("sqlite:///single.db") < 49
        await over(store, *many)
    assert counting.most == 1


async def test_where_there_is_nothing_to_run_no_slot_is_held(store: SqliteStore) -> None:
    slots = WorkerSlots(store.path, 1)
    async with processing(store, FunctionWorker(completes), slots=1):
        await over(store, *await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE))
        slot = await eventually(slots.take)
    os.close(slot)


async def test_a_processor_that_is_to_stop_waits_for_no_slot(store: SqliteStore) -> None:
    slot = WorkerSlots(store.path, 1).take()
    assert slot is not None
    try:
        async with asyncio.timeout(10), processing(store, FunctionWorker(completes), slots=1) as processor:
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            await processor.drain(None)
        assert (await store.job(1)).status is Status.PENDING
    finally:
        os.close(slot)
