"""Schedules of several hosts on one shared store: a config file is one of its host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest

from engine.config.reader import load_config
from engine.domain.errors import UsageError
from engine.domain.schedules import FiringStatus
from engine.schedules import scheduler as scheduling
from engine.schedules.as_due import fire_as_due
from engine.schedules.config_names import config_name, role_of
from engine.schedules.scheduler import Scheduler
from engine.store.protocol import Store
from engine.submission.manager import DatabaseMaintenanceManager
from engine.targets import resolve
from tests.building import StoppedClock
from tests.conformance.stores import SharedStores
from tests.engine.schedules.world import DAY, HOUR, make_databases
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store

NIGHT = 22 * HOUR
SCHEDULE = '[schedules.{}]\ntargets = ["{}"]\noperations = ["vacuum"]\nstart = "0 22 * * *"\ntimezone = "UTC"\n'


class Hosts:
    """db1 and db2, each with a file at /srv/a.db and a config file at the same path."""

    def __init__(self, root: Path, clock: StoppedClock) -> None:
        self.clock, self._root = clock, root
        self.first: Store
        self.second: Store

    def configure(self, name: str, *targets: str) -> Path:
        """The config file of the same path on both hosts, with one schedule; it is read when it is looked at."""
        path = self._root / "config.toml"
        path.write_text(SCHEDULE.format(name, '", "'.join(targets or [str(self._root / "srv" / "a.db")])))
        return path

    def scheduler(self, store: Store, config: Path) -> Scheduler:
        return Scheduler(store, self.manager(store), config, clock=self.clock)

    def manager(self, store: Store) -> DatabaseMaintenanceManager:
        return DatabaseMaintenanceManager(store, resolve, clock=self.clock)

    async def look(self, *schedulers: Scheduler) -> None:
        for one in schedulers:
            await one.look()
            await one.settled()

    async def results(self, schedule: str) -> list[FiringStatus]:
        return [one.status for one in await self.first.firings(schedule, limit=99)]


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[SharedStores]:
    with copied_store(postgres) as url, closing(SharedStores(url)) as stores:
        yield stores


@pytest.fixture
async def hosts(shared: SharedStores, tmp_path: Path) -> AsyncIterator[Hosts]:
    make_databases(tmp_path / "srv", "a")
    found = Hosts(tmp_path, StoppedClock(NIGHT - HOUR))
    async with AsyncExitStack() as opened:
        found.first = await opened.enter_async_context(shared.open(host="db1", clock=found.clock))
        found.second = await opened.enter_async_context(shared.open(host="db2", clock=found.clock))
        yield found


async def test_files_of_one_path_on_two_hosts_are_two_configs(hosts: Hosts) -> None:
    first = hosts.scheduler(hosts.first, hosts.configure("one"))
    await hosts.look(first)
    second = hosts.scheduler(hosts.second, hosts.configure("other"))
    await hosts.look(second)
    config = hosts.configure("one")
    assert role_of(config_name(config, hosts.first)) != role_of(config_name(config, hosts.second))
    hosts.clock.at = NIGHT
    await hosts.look(first)
    hosts.configure("other")
    await hosts.look(second)
    assert set(await hosts.first.schedule_states()) == {"one", "other"}, "neither forgets those of the other"
    jobs = [await hosts.first.batch_jobs(number) for number in (1, 2)]
    assert [job.target.startswith("sqlite://db2") for (job,) in jobs] == [False, True]


async def test_a_schedule_of_one_name_on_two_hosts_fires_once_and_the_other_takes_over(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduling, "RECHECKED_AFTER", 0.0)
    config = hosts.configure("nightly")
    first, second = (hosts.scheduler(store, config) for store in (hosts.first, hosts.second))
    async with hosts.first.holding_role(role_of(config_name(config, hosts.first))):
        await hosts.look(first, second)
        assert f"is in db1:{config}, too, which fires it (a worker here takes over if none is there)" in caplog.text
        hosts.clock.at = NIGHT
        await hosts.look(second, first, second)
        assert await hosts.results("nightly") == [FiringStatus.FIRED]
        assert (await hosts.first.schedule_states())["nightly"].config == f"db1:{config}"
        with pytest.raises(UsageError, match=r"db1:.*too, which fires it"):
            await fire_as_due(
                hosts.second,
                hosts.manager(hosts.second),
                load_config(config, required=True).schedules[0],
                load_config(config, required=True),
                config,
                hosts.clock,
            )
        await hosts.first.cancel_batch(1)
    hosts.clock.at = NIGHT + DAY
    await hosts.look(second, first)
    assert await hosts.results("nightly") == [FiringStatus.FIRED] * 2
    (job,) = await hosts.second.batch_jobs(2)
    assert job.target.startswith("sqlite:///")


async def test_what_is_needed_on_files_of_other_hosts_is_decided_there(hosts: Hosts, tmp_path: Path) -> None:
    there = f"sqlite://db2{tmp_path}/srv/a.db"
    config = hosts.configure("nightly", there)
    config.write_text(config.read_text().replace('operations = ["vacuum"]\n', ""))
    first = hosts.scheduler(hosts.first, config)
    await hosts.look(first)
    hosts.clock.at = NIGHT
    await hosts.look(first)
    (job,) = await hosts.first.batch_jobs(1)
    assert job.target == there
    assert job.request.options.if_needed is not None
    assert not job.status.is_final
