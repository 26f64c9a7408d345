"""Who is alive: a process that lives is never taken for dead, and a dead one leaves nothing."""

from __future__ import annotations

from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from tests.building import new_job
from tests.conformance.stores import RescuingStore, Stores
from tests.waiting import eventually

AN_OWNER = """
    async def main():
        async with opened() as store, store.hosting_workers() as owner:
            claim = await store.claim(owner)
            print(claim.job, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def is_dead(store: RescuingStore) -> bool:
    (worker,) = await store.workers()
    return not worker.alive


async def test_a_dead_owners_child_is_rescued_and_a_live_owners_is_not(stores: Stores, store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    with stores.python(AN_OWNER) as process:
        assert await process.says() == "1.1"
        assert await store.rescue() == []
        assert [worker.alive for worker in await store.workers()] == [True]
        process.kill()
        await eventually(lambda: is_dead(store))
        assert await store.rescue() == [JobId(1, 1)]
        assert await store.workers() == []
        claim = await store.claim("me")
        assert claim is not None
        assert claim.attempt == 2
