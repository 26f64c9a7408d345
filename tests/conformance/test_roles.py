"""What only one process may do at a time: it has a role until it leaves it, or dies."""

from __future__ import annotations

from tests.conformance.stores import Stores
from tests.waiting import eventually

A_HOLDER = """
    async def main():
        async with opened() as store, store.holding_role("notify") as has_it:
            print(has_it, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_one_has_a_role_until_it_leaves_it(stores: Stores) -> None:
    async with stores.open() as one, stores.open() as other:
        assert not await other.role_is_held("notify")
        async with one.holding_role("notify") as has_it:
            assert has_it
            assert await other.role_is_held("notify")
            async with other.holding_role("notify") as too, other.holding_role("another") as another:
                assert (too, another) == (False, True)
        assert not await other.role_is_held("notify")
        async with other.holding_role("notify") as now:
            assert now


async def test_the_role_of_a_dead_process_is_free(stores: Stores) -> None:
    async with stores.open() as store:
        with stores.python(A_HOLDER) as holder:
            assert await holder.says() == "True"
            assert await store.role_is_held("notify")
            holder.kill()

        async def is_free() -> bool:
            return not await store.role_is_held("notify")

        await eventually(is_free)
