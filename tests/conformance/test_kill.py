"""A process is ended by force only where it is proven to be the one that is meant."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from tests.building import new_job
from tests.conformance.stores import RescuingStore, Stores

if TYPE_CHECKING:
    from collections.abc import Iterator


OWNER = """
    async def main():
        async with opened() as store, store.hosting_workers() as owner:
            await store.claim(owner)
            print(owner, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""
CHILD = JobId(1, 1)


@contextmanager
def a_stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        assert process.poll() is None
        process.kill()


@pytest.fixture
async def job(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)


@pytest.mark.usefixtures("job")
async def test_the_process_that_runs_a_child_is_killed(stores: Stores, store: RescuingStore) -> None:
    with stores.python(OWNER) as process:
        owner = await process.says()
        assert await store.kill_owner(CHILD, owner, process.pid)
        assert await process.ended() == -signal.SIGKILL
        assert not await store.kill_owner(CHILD, owner, process.pid)  # there is none with that number


@pytest.mark.usefixtures("job")
async def test_a_process_that_runs_something_else_by_now_is_left_alone(stores: Stores, store: RescuingStore) -> None:
    with stores.python(OWNER) as process:
        owner = await process.says()
        assert not await store.kill_owner(JobId(1, 2), owner, process.pid)
        assert not await store.kill_owner(CHILD, "another owner", process.pid)
        assert await store.rescue() == []


@pytest.mark.usefixtures("job")
async def test_a_process_that_has_the_number_of_a_dead_one_is_left_alone(stores: Stores, store: RescuingStore) -> None:
    with a_stranger() as stranger:
        with stores.python(OWNER) as process:
            owner = await process.says()
            process.kill()
        assert not await store.kill_owner(CHILD, owner, stranger.pid)
