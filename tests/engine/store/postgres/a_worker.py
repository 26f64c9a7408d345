"""A worker process of a shared store, which does as a test says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.domain.requests import OnDuplicate, Operation
from tests.building import new_job
from tests.engine.processes import Process, python
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from engine.domain.events import WorkerProcess
    from engine.domain.jobs import ChildJob
    from engine.store.postgres.store import PostgresStore

HOST = "here"
"""The name that all processes of a test have for their host."""
SCRIPT = """
    from engine.domain.claims import Outcome
    from engine.domain.jobs import JobType
    from engine.domain.statuses import Status
    from engine.execution.processor import Hosting, JobProcessor
    from engine.store.postgres.store import PostgresStore
    from engine.system.clock import now

    class Worker:
        async def execute(self, claim, reporter, cancel):
            print(f"#{claim.job}, attempt {claim.attempt}", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            print("done", flush=True)
            return Outcome(status=Status.COMPLETED)

    async def main():
        async with PostgresStore.open(sys.argv[1], what="the store", host="here") as store:
            async with store.hosting_workers() as owner:
                processor = JobProcessor(
                    store, {JobType.OPERATION: Worker()}, Hosting(owner=owner, concurrency=1), now
                )
                async with processor.running():
                    await asyncio.Event().wait()

    asyncio.run(main())
"""


def worker(url: str, within: Sequence[str] = ()) -> AbstractContextManager[Process]:
    """A process that says which child it runs in which attempt, and ends that when it is told to."""
    return python(SCRIPT, url, within=within)


async def submit(store: PostgresStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)


async def the_child(store: PostgresStore) -> ChildJob:
    return (await store.job(1)).children[0]


async def the_worker(store: PostgresStore) -> WorkerProcess:
    (process,) = await store.workers()
    return process


async def until_it_is_over(store: PostgresStore) -> ChildJob:
    async def is_over() -> bool:
        return (await the_child(store)).status.is_final

    await eventually(is_over)
    return await the_child(store)


async def until_it_is_dead(store: PostgresStore) -> None:
    async def is_dead() -> bool:
        return not (await the_worker(store)).alive

    await eventually(is_dead)


async def no_rescue(store: PostgresStore, until_done: asyncio.Future[object]) -> None:
    """Look again and again whether somebody is to be rescued; nobody is."""
    while not until_done.done():
        assert await store.rescue() == []
        await asyncio.sleep(0)
