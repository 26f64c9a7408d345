"""Jobs reserved for a run are claimed by no other process, until the run releases them or is proven dead."""

from __future__ import annotations

import pytest

from engine.domain.claims import Report
from engine.domain.events import ChangeKind
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from tests.building import COMPLETED, new_job
from tests.conformance.stores import RescuingStore, Stores
from tests.engine.working import FunctionWorker, completes, over, processing
from tests.waiting import eventually

RUN, ANOTHER = "1" * 32, "2" * 32
A_RUN = """
    from engine.domain.requests import OnDuplicate, Operation
    from tests.building import new_job

    async def main():
        async with opened() as store, store.reserving("3" * 32):
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            print("submitted", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def submit(store: RescuingStore, *targets: str) -> None:
    await store.submit([new_job(target, Operation.VACUUM, Operation.ANALYZE) for target in targets], OnDuplicate.REFUSE)


async def test_only_its_run_claims_it(store: RescuingStore) -> None:
    async with store.reserving(RUN):
        await submit(store, "sales")
        for parents, run in ((None, None), ([1], None), ([1], ANOTHER)):
            assert not await store.has_pending(parents, run)
            assert await store.claim("other", parents, run) is None
        assert await store.has_pending([1], RUN)
        claim = await store.claim("me", [1], RUN)
        assert claim is not None
        assert claim.job == JobId(1, 1)
        second = await store.finish_and_claim(claim, COMPLETED, Report(), [1], RUN)
        assert second is not None
        await store.release(second, Report())
        assert await store.claim("other") is None


async def test_of_its_run_only_the_given_parents_are_claimed(store: RescuingStore) -> None:
    async with store.reserving(RUN):
        await submit(store, "sales", "stock")
        assert not await store.has_pending([], RUN)
        assert await store.has_pending([2], RUN)
        claim = await store.claim("me", [2], RUN)
        assert claim is not None
        assert claim.job == JobId(2, 1)
        assert await store.claim("me", [2], RUN) is None


async def test_what_others_submit_is_found_behind_however_much_is_reserved(
    stores: Stores, store: RescuingStore
) -> None:
    async with store.reserving(RUN):
        await submit(store, *[f"db{number}" for number in range(120)])
    async with store.reserving(ANOTHER):
        await submit(store, "sales")
        claim = await store.claim("other")
        assert claim is not None
        assert claim.job.parent == 1  # it was released
    async with store.reserving(RUN):
        await submit(store, *[f"more{number}" for number in range(120)])
        async with stores.open() as somebody:
            await submit(somebody, "last")
        wanted = {*range(2, 122), 242}
        claimed = {claim.job.parent for _ in range(130) if (claim := await store.claim("other")) is not None}
        assert claimed == wanted


async def test_a_release_wakes_those_who_wait_for_something_to_claim(store: RescuingStore) -> None:
    async with processing(store, FunctionWorker(completes)):
        async with store.reserving(RUN):
            await submit(store, "sales")
            (job,) = await store.jobs([1])
            assert job.children[0].attempt == 0
        (job,) = await over(store, 1)
    assert [child.attempt for child in job.children] == [1, 1]
    kinds = [change.kind for change in await store.changes(0, 99)]
    assert kinds.count(ChangeKind.RELEASED) == 2


@pytest.mark.parametrize("paused", [False, True])
async def test_what_is_to_be_recovered_stays_reserved(store: RescuingStore, paused: bool) -> None:
    async with store.reserving(RUN):
        await submit(store, "sales")
        assert await store.claim("dead", [1], RUN) is not None
        await store.request_cancel(JobId(1))
        await store.rescue()
        if paused:
            await store.pause("ann")
        assert await store.claim("other") is None
        recovery = await store.claim("me", [1], RUN)
        assert recovery is not None
        assert recovery.recovering


async def test_where_the_run_was_killed_any_process_takes_it(stores: Stores, store: RescuingStore) -> None:
    with stores.python(A_RUN) as run:
        assert await run.says() == "submitted"
        await store.rescue()
        assert await store.claim("other") is None
        run.kill()

        async def is_claimed() -> bool:
            await store.rescue()
            return await store.claim("other") is not None

        await eventually(is_claimed)
