"""A process is ended by force only where it is proven to be the one that is meant."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from engine.domain.requests import OnDuplicate, Operation
from engine.store.sqlite import liveness
from engine.store.sqlite.store import SqliteStore
from engine.system import locks
from tests.building import new_job
from tests.conformance.test_kill import CHILD, a_stranger
from tests.engine.processes import python

if TYPE_CHECKING:
    from pathlib import Path

OWNER = """
    from engine.store.sqlite.store import SqliteStore

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
            await store.claim(owner)
            print(owner, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


@pytest.fixture
async def job(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no numbers of this kind")
@pytest.mark.usefixtures("job")
async def test_a_number_that_is_that_of_a_thread_by_now_is_left_alone(store: SqliteStore) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    with python(OWNER, store.path) as process:
        owner = await process.says()
        assert not await store.kill_owner(CHILD, owner, thread.native_id or 0)
    stop.set()
    thread.join()


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell who has a file open")
@pytest.mark.usefixtures("job")
async def test_a_process_that_has_the_number_of_one_that_lives_elsewhere_is_left_alone(store: SqliteStore) -> None:
    """As where the owner lives in a container, which counts processes by itself."""
    with a_stranger() as stranger, python(OWNER, store.path) as process:
        owner = await process.says()
        assert not await store.kill_owner(CHILD, owner, stranger.pid)
        assert await store.rescue() == []


@pytest.mark.usefixtures("job")
async def test_without_the_file_of_a_process_nothing_is_proven(store: SqliteStore) -> None:
    with python(OWNER, store.path) as process:
        owner = await process.says()
        (store.path.with_name("jobs.db.d") / f"{owner}.lock").unlink()
        assert not await store.kill_owner(CHILD, owner, process.pid)
        assert [worker.alive for worker in await store.workers()] == [True]


@pytest.mark.skipif(os.getuid() == 0, reason="root may look everywhere")
def test_a_file_that_we_may_not_look_at_proves_nothing(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    with a_stranger() as stranger, liveness.proof_of_life(store, "owner"):
        lock = tmp_path / "jobs.db.d" / "owner.lock"
        lock.chmod(0)
        assert locks.is_held(lock)
        assert not liveness.kill(store, "owner", stranger.pid)
