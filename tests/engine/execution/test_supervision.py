"""What every process does for the store: it sees the dead, leaves the living alone, and can be left at any time."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Engine, Retention
from engine.domain.claims import Report
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.execution.supervision import supervising
from engine.store.sqlite import liveness
from engine.store.sqlite.store import SqliteStore
from tests.building import COMPLETED, StoppedClock, new_job
from tests.engine.processes import python
from tests.waiting import eventually

if TYPE_CHECKING:
    from engine.store.protocol import OwnerSupervision

YEAR = 366 * 86_400_000_000
KEEP_NOTHING = Retention(completed=0, failed=0, cancelled=0, keep_last=0)

OWNER = """
    from engine.store.sqlite.store import SqliteStore

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
            print((await store.claim(owner)).job, flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""


class DyingOwners:
    """A store of which the test says when an owner died."""

    def __init__(self) -> None:
        self.died = asyncio.Event()

    async def rescue(self) -> list[JobId]:
        return []

    async def enforce_time_limits(self) -> None:
        pass

    async def owner_died(self) -> None:
        await self.died.wait()
        self.died.clear()


@pytest.mark.parametrize("turns", range(6))
async def test_leaving_is_not_held_up_by_an_owner_that_dies_at_that_moment(turns: int) -> None:
    owners = DyingOwners()

    async def leave_when_one_died() -> None:
        store: OwnerSupervision = owners  # type: ignore[assignment]
        async with supervising(store):
            await asyncio.sleep(0)
            owners.died.set()
            for _ in range(turns):
                await asyncio.sleep(0)

    leaving = asyncio.create_task(leave_when_one_died())
    done, _ = await asyncio.wait({leaving}, timeout=10)
    if not done:
        leaving.cancel()
        await asyncio.wait({leaving})
    assert done


async def test_a_death_is_noticed_however_much_happens_in_the_store(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.submit([new_job("sales")], OnDuplicate.REFUSE)
    await store.claim("gone without a trace")
    monkeypatch.setattr(store, "last_change", count().__next__)
    async with asyncio.timeout(10):
        await store.owner_died()


async def test_nobody_is_declared_dead_while_nobody_died(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    is_alive, looks = liveness.is_alive, list[Path]()

    def looked(store: Path, owner: str, pid: int | None, host: str | None) -> bool:
        looks.append(store)
        return is_alive(store, owner, pid, host)

    monkeypatch.setattr(liveness, "is_alive", looked)
    await store.submit([new_job("sales"), new_job("stock")], OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        waiting = asyncio.create_task(store.owner_died())
        await store.claim(owner)
        await store.claim(owner)
        await eventually(lambda: len(looks) > 3)
        assert not waiting.done()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


async def test_r7_a_process_that_watches_takes_over_from_one_that_is_killed(store_path: Path) -> None:
    async with Engine.open(store_path) as watching, SqliteStore.open(store_path) as store:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        with python(OWNER, store_path) as owner:
            assert await owner.says() == "1.1"
            assert [(w.alive, w.running) for w in await watching.workers()] == [(True, (JobId(1, 1),))]
            changes = watching.changes(after=4)
            owner.kill()
            async with asyncio.timeout(30):
                change = await anext(changes)
        assert (change.job, change.old, change.new) == (JobId(1, 1), Status.RUNNING, Status.PENDING)  # type: ignore[union-attr]
        assert await watching.workers() == []
        assert not list(store_path.with_name("jobs.db.d").glob("*.lock"))


async def test_r7_a_process_that_starts_leaves_the_jobs_of_the_living_alone(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        with python(OWNER, store_path) as owner:
            assert await owner.says() == "1.1"
            before = await store.job(1)
            for workers in (0, 2):
                async with Engine.open(store_path, workers=workers, retention=KEEP_NOTHING) as engine:
                    assert await engine.job(1) == before
            assert await store.job(1) == before


async def test_r6_under_whatever_name_of_the_store_a_living_owner_is_seen(store_path: Path) -> None:
    elsewhere = store_path.with_name("elsewhere")
    elsewhere.mkdir()
    link = elsewhere / "other name.db"
    link.symlink_to(store_path)
    async with SqliteStore.open(store_path) as store, store.hosting_workers() as owner:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        claim = await store.claim(owner)
        assert claim is not None
        async with SqliteStore.open(link) as other:
            assert [worker.alive for worker in await other.workers()] == [True]
            assert await other.rescue() == []
        await store.finish(claim, COMPLETED, Report())


@settings(max_examples=20)
@given(jumps=st.lists(st.integers(-200 * YEAR, 200 * YEAR), min_size=1, max_size=6))
def test_r6_no_clock_whatsoever_changes_the_job_of_a_living_owner(jumps: list[int]) -> None:
    async def jump() -> None:
        with tempfile.TemporaryDirectory() as directory:
            path, clock = Path(directory) / "jobs.db", StoppedClock()
            async with SqliteStore.open(path, clock=clock) as store, store.hosting_workers() as owner:
                limited = new_job("stock", deadline_at=clock.at + YEAR)
                await store.submit([new_job("sales"), limited], OnDuplicate.REFUSE)
                claims = [await store.claim(owner), await store.claim(owner)]
                running = [(await store.job(n)).children[0] for n in (1, 2)]
                for by in jumps:
                    clock.at = max(0, clock.at + by)
                    async with Engine.open(path, clock=clock) as newcomer:  # it rescues, and enforces limits
                        await newcomer.prune(KEEP_NOTHING)
                    assert await store.rescue() == []
                    assert [(await store.job(n)).children[0] for n in (1, 2)] == running
                for claim in claims:
                    assert claim is not None
                    await store.finish(claim, COMPLETED, Report())

    asyncio.run(jump())
