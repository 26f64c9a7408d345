"""Jobs reserved for a run are claimed by no other process, until the run releases them or is proven dead."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from engine.domain.requests import OnDuplicate, Operation
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.tui.command_line import write_locked

if TYPE_CHECKING:
    pass

RUN, ANOTHER = "1" * 32, "2" * 32
A_RUN = """
    from engine.domain.requests import OnDuplicate, Operation
    from engine.store.sqlite.store import SqliteStore
    from tests.building import new_job

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store, store.reserving("3" * 32):
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            print("submitted", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def submit(store: SqliteStore, *targets: str) -> None:
    await store.submit([new_job(target, Operation.VACUUM, Operation.ANALYZE) for target in targets], OnDuplicate.REFUSE)


async def test_a_run_that_ends_while_the_store_is_locked_leaves_it_to_rescue(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0.05)
    async with SqliteStore.open(store.path) as another:
        with ExitStack() as stack:
            async with store.reserving(RUN):
                await submit(store, "sales")
                stack.enter_context(write_locked(store.path))
        assert await another.claim("other") is None
        await another.rescue()
        assert await another.claim("other") is not None
