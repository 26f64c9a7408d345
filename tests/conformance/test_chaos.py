"""Worker processes that are killed at random lose nothing, and run nothing twice at once."""

from __future__ import annotations

import random
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from engine.domain.requests import OnDuplicate, Operation
from tests.building import new_job
from tests.chaos.checker import Kind, judge, record_of, rescues
from tests.chaos.trace import Trace, What
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.conformance.stores import RescuingStore, Stores
    from tests.engine.processes import Process

A_WORKER = """
    import fcntl
    from contextlib import suppress
    from engine.domain.claims import Outcome, Report
    from engine.domain.errors import OwnershipLostError
    from engine.domain.statuses import Reason, Status
    from tests.chaos.trace import Trace, What

    directory = Path(sys.argv[1])
    trace = Trace(directory)

    async def execute(store, claim):
        with (directory / Path(claim.target).name).open("w") as target:
            alone = True
            try:
                fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone = False
            trace.tell(What.BEGAN, job=claim.job, attempt=claim.attempt, target=claim.target, alone=alone)
            await asyncio.sleep(0.005)
        lost = Outcome(status=Status.FAILED, reason=Reason.OWNER_LOST, error="looked after")
        outcome = lost if claim.recovering else Outcome(status=Status.COMPLETED)
        try:
            following = await store.finish_and_claim(claim, outcome, Report())
        except OwnershipLostError:
            trace.tell(What.REFUSED, job=claim.job, attempt=claim.attempt)
            return None
        trace.tell(What.FINISHED, job=claim.job, attempt=claim.attempt, status=outcome.status)
        return following

    async def main():
        async with opened() as store, store.hosting_workers() as owner:
            while True:
                await store.rescue()
                claim = await store.claim(owner)
                while claim is not None:
                    claim = await execute(store, claim)
                await asyncio.sleep(0.01)

    asyncio.run(main())
"""
SEED = 1
OPERATIONS = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX)


class Workers:
    """Three processes; whoever is killed is replaced."""

    def __init__(self, stores: Stores, trace: Trace, chance: random.Random) -> None:
        self._stores, self._trace, self._chance = stores, trace, chance
        self._stack = ExitStack()
        self._running = [self._started() for _ in range(3)]

    def _started(self) -> Process:
        return self._stack.enter_context(self._stores.python(A_WORKER, self._trace.directory))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:  # one may not have told yet what it has just committed
            self._trace.tell(What.KILLED, pid=process.pid)
        self._stack.close()

    async def kill_at_random(self, times: int, is_over: Callable[[], Awaitable[bool]]) -> None:
        """Each time some process has got on with something, or nothing is left to do, one is killed."""
        for _ in range(times):
            await something_happens(self._trace, self._chance.randrange(1, 8), is_over)
            process = self._chance.choice(self._running)
            self._trace.tell(What.KILLED, pid=process.pid)
            process.kill()
            self._running.remove(process)
            self._running.append(self._started())


async def something_happens(trace: Trace, lines: int, is_over: Callable[[], Awaitable[bool]]) -> None:
    seen = len(trace.told())

    async def has_happened() -> bool:
        return len(trace.told()) >= seen + lines or await is_over()

    await eventually(has_happened)


async def submit(trace: Trace, store: RescuingStore, targets: Sequence[str]) -> None:
    jobs = [new_job(target, *OPERATIONS) for target in targets]
    for parent_id, job in zip(await store.submit(jobs, OnDuplicate.ADD), jobs, strict=True):
        trace.tell(What.SUBMITTED, job=parent_id, target=job.request.target)


async def test_r7_r8_workers_killed_at_random_lose_nothing(
    stores: Stores, store: RescuingStore, tmp_path: Path
) -> None:
    trace, targets = Trace(tmp_path), [f"t{number}" for number in range(4)]

    async def is_over() -> bool:
        return not await store.has_open_jobs()

    with Workers(stores, trace, random.Random(SEED)) as workers:
        for _ in range(4):
            await submit(trace, store, targets * 4)
            await workers.kill_at_random(4, is_over)
        await eventually(is_over)
    record = await record_of(store)
    assert judge(record, trace.told()) == []
    assert rescues(record) > 0
    stores.sql("UPDATE child_job SET pid = 1 WHERE parent_id = 1")
    stores.sql("DELETE FROM event WHERE new = 'running' AND parent_id = 2")
    found = {finding.kind for finding in judge(await record_of(store), trace.told())}
    assert found == {Kind.FINISH, Kind.ATTEMPTS, Kind.TRANSITION}
