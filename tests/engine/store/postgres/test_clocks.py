"""All times in a shared store are by its server's clock, whatever the clocks of the hosts show."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.domain.requests import OnDuplicate, Operation, Options, Request
from engine.execution import worker_runtime
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.store.location import StoreLocation
from engine.store.postgres.store import PostgresStore
from engine.submission.manager import DatabaseMaintenanceManager
from engine.system.clock import SteadyClock, wall_clock
from engine.targets import resolve
from tests.sqlite_files import make_database
from tests.waiting import eventually

HOUR = 3_600_000_000_000
MICROS = 1_000
MINUTES = 600_000_000


class AHostsClock:
    def __init__(self, ahead: int) -> None:
        self.ahead = ahead

    def __call__(self) -> int:
        return time.time_ns() + self.ahead


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 0], ids=["an hour ahead", "an hour behind", "right"])
async def test_a_job_of_a_host_with_another_clock_has_the_times_of_the_server(
    store_url: str, tmp_path: Path, ahead: int
) -> None:
    clock, begin = SteadyClock(wall=AHostsClock(ahead)), time.time_ns() // MICROS
    async with PostgresStore.open(store_url, what="the store", host_clock=clock) as store:
        hosted = worker_runtime.hosted_workers(
            store, StoreLocation.shared(store_url), worker_runtime.HostedWorkers(workers=1), clock
        )
        async with hosted:
            manager = DatabaseMaintenanceManager(store, resolve, own=None, clock=wall_clock(clock))
            request = Request(target=str(make_database(tmp_path / "a.db", rows=10)), operations=(Operation.VACUUM,))
            ids = await manager.submit([request], OnDuplicate.REFUSE)
            await ParentJobOrchestrator(store).wait(ids)
            job = await store.job(ids[0])
        (child,) = job.children
        (step,) = child.steps
        times = [job.created_at, child.started_at, step.started_at, step.finished_at, child.finished_at, clock()]
        in_order = [at for at in times if at is not None]
        assert len(in_order) == len(times)
        assert in_order == sorted(in_order)
        assert all(abs(at - begin) < MINUTES for line in child.log for at in (line.at, *in_order))


async def test_a_time_limit_is_the_same_on_hosts_whose_clocks_are_hours_apart(store_url: str) -> None:
    ahead, behind = SteadyClock(wall=AHostsClock(HOUR)), SteadyClock(wall=AHostsClock(-HOUR))
    async with (
        PostgresStore.open(store_url, what="the store", host="db1", host_clock=ahead) as first,
        PostgresStore.open(store_url, what="the store", host="db2", host_clock=behind) as second,
    ):
        manager = DatabaseMaintenanceManager(first, resolve, clock=wall_clock(ahead))
        limited = Options(time_limit=MINUTES / 1e6)
        request = Request(target="sqlite://db2/srv/a.db", operations=(Operation.VACUUM,), options=limited)
        await manager.submit([request], OnDuplicate.REFUSE)
        async with second.hosting_workers() as owner:
            claim = await second.claim(owner)
            assert claim is not None
            assert claim.time_left is not None
            assert 0 < claim.time_left <= MINUTES / 1e6
            (worker,) = await first.workers()
            assert not worker.stalled


async def test_a_clock_that_is_set_meanwhile_is_followed(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.postgres.change_watch.LOOK_EVERY", 0.01)
    wall = AHostsClock(0)
    clock = SteadyClock(wall=wall)
    async with PostgresStore.open(store_url, what="the store", host_clock=clock):
        for wall.ahead in (HOUR, -HOUR, 0):
            await until_it_shows(clock, time.time_ns() // MICROS)


async def until_it_shows(clock: SteadyClock, at: int) -> None:
    async def is_so() -> bool:
        return abs(clock() - at) < MINUTES

    await eventually(is_so)
