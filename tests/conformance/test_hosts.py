"""Files belong to hosts: two hosts on one shared store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.damage import Damage, DamageChange, DamageSource
from engine.domain.engines import EngineName
from engine.domain.errors import StoreError, UsageError
from engine.domain.events import HistoryFilter
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation, Options, Request, ServerOptions
from engine.domain.schedules import Firing, FiringStatus
from engine.domain.statuses import Reason, Status
from engine.execution.force_kill import cancel_by_force
from engine.store.postgres import ownership
from engine.store.protocol import NewBatch, NewJob
from tests.building import new_job
from tests.conformance.stores import SharedStores
from tests.conformance.test_surveys import FOUND
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[SharedStores]:
    with copied_store(postgres) as url, closing(SharedStores(url)) as stores:
        yield stores


async def test_the_file_of_a_host_is_worked_on_there_and_named_with_it_elsewhere(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2") as second:
        (job,) = await first.submit([new_job("sales")], OnDuplicate.REFUSE)
        assert (await first.job(job)).request.target == "sqlite:///sales.db"
        assert (await second.job(job)).request.target == "sqlite://db1/sales.db"
        assert not await second.has_pending()
        assert await second.claim("me") is None
        claim = await first.claim("you")
        assert claim is not None
        assert claim.target == "sqlite:///sales.db"


async def test_the_same_path_on_two_hosts_is_two_databases(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2") as second:
        await first.submit([new_job("sales")], OnDuplicate.REFUSE)
        await second.submit([new_job("sales")], OnDuplicate.REFUSE)
        claims = [await first.claim("me"), await second.claim("you")]
        assert [claim and claim.job.parent for claim in claims] == [1, 2]
        here = HistoryFilter(target="sqlite:///sales.db")
        assert [job.id for job in await first.history(here, before=None, limit=9)] == [1]
        assert [job.id for job in await second.history(here, before=None, limit=9)] == [2]
        there = HistoryFilter(target="sqlite://db1/sales.db")
        assert [job.id for job in await second.history(there, before=None, limit=9)] == [1]


async def test_files_of_two_hosts_with_the_same_device_and_inode_are_two_databases(shared: SharedStores) -> None:
    key, damage = "sqlite:1:2", Damage(source=DamageSource.CHECK, found_at=1, text="page 7 is never used")
    async with shared.open(host="db1") as first, shared.open(host="db2") as second:
        await first.name_database("sqlite:///a.db", key)
        await first.save_damage("sqlite:///a.db", DamageChange(found=(damage,)))
        assert await second.database_names("sqlite:///b.db", key) == {}
        assert await second.name_database("sqlite:///b.db", key) == ()
        assert await second.database_names("sqlite:///b.db") == {"sqlite:///b.db": key}


async def test_a_worker_is_shown_with_its_host_version_and_queues(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2") as second, first.hosting_workers():
        (worker,) = await second.workers()
        assert (worker.host, worker.queues) == ("db1", ("any", "host:db1"))
        assert worker.version == version("dbtend")
        assert worker.alive
        assert not worker.draining


async def test_workers_of_a_drained_host_take_no_more_jobs_until_it_is_undrained(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2") as second:
        assert first.hosts is not None
        assert second.hosts is not None
        async with first.hosting_workers() as owner:
            await first.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
            claim = await first.claim(owner)
            assert claim is not None
            await second.hosts.drain_host("db1", "ann@db2")
            (worker,) = await second.workers()
            assert worker.draining
            assert [by.by for by in (await first.hosts.drained_hosts()).values()] == ["ann@db2 as postgres"]
            await first.hosts.asked_to_leave()
            assert await first.finish_and_claim(claim, Outcome(status=Status.COMPLETED), Report()) is None
            assert await first.claim(owner) is None
            assert await second.hosts.undrain_host("db1")
            assert not await second.hosts.undrain_host("db1")
            again = await first.claim(owner)
            assert again is not None
            assert again.operation == Operation.ANALYZE


async def test_jobs_of_a_run_by_hand_are_carried_out_on_a_drained_host(shared: SharedStores) -> None:
    async with shared.open(host="db1") as store:
        assert store.hosts is not None
        await store.hosts.drain_host("db1", "ann")
        (job,) = await store.submit([new_job("sales")], OnDuplicate.REFUSE)
        async with store.hosting_workers(serves_all=False, own_jobs=[job]) as owner:
            assert await store.claim(owner, parents=[job]) is not None


@pytest.mark.parametrize("other", ["n/1/p", "m/2/p"], ids=["another id", "a clone"])
async def test_two_machines_of_one_name_do_not_work_at_once(shared: SharedStores, other: str) -> None:
    async with shared.open(host="db1", machine="m/1/p") as first, shared.open(host="db1", machine=other) as second:
        async with first.hosting_workers():
            async with shared.open(host="db1", machine="m/1/q") as same, same.hosting_workers():
                pass
            async with shared.open(host="db1", machine="") as unknown, unknown.hosting_workers():
                pass
            with pytest.raises(StoreError, match=r"another machine .* is called db1, too .*DBTEND_HOST"):
                async with second.hosting_workers():
                    pass
        async with second.hosting_workers():
            pass


async def test_nothing_is_submitted_or_surveyed_under_the_name_of_another_machine(shared: SharedStores) -> None:
    called = pytest.raises(StoreError, match=r"another machine .* is called db1, too .*DBTEND_HOST")
    firing = Firing(schedule="nightly", due_at=5, status=FiringStatus.FIRED, recorded_at=5)
    async with shared.open(host="db1", machine="a") as first, shared.open(host="db1", machine="b") as second:
        async with first.hosting_workers():
            with called:
                await second.submit([new_job("sales")], OnDuplicate.REFUSE)
            with called:
                await second.fire(firing, [new_job("sales")], NewBatch())
            with called:
                await second.save_surveys([FOUND])
            with called:
                async with shared.open(host="db1", machine="b"):
                    pass
        async with shared.open(host="db1", machine="b") as alone:
            assert await alone.submit([new_job("sales")], OnDuplicate.REFUSE) == [1]


async def test_no_process_is_killed_whose_number_is_that_of_another_machine(
    shared: SharedStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "KILLED_WITHIN", 0)
    async with (
        shared.open(host="db1", machine="a") as first,
        shared.open(host="db1", machine="b") as second,
        first.hosting_workers() as owner,
    ):
        await first.submit([new_job("sales")], OnDuplicate.REFUSE)
        assert await first.claim(owner) is not None
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as stranger:
            shared.sql(f"UPDATE worker SET pid = {stranger.pid}")
            with pytest.raises(StoreError, match=f"db1 has not killed process {stranger.pid}"):
                await second.kill_owner(JobId(1, 1), owner, stranger.pid)
            assert stranger.poll() is None
            stranger.kill()


async def test_no_cancel_by_force_is_offered_where_no_pool_of_the_other_host_can_carry_it_out(
    shared: SharedStores,
) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2") as second, first.hosting_workers() as owner:
        await first.submit([new_job("sales")], OnDuplicate.REFUSE)
        assert await first.claim(owner) is not None
        with pytest.raises(UsageError, match=r"job 1\.1: runs on db1, where no process can be asked .*shell on db1"):
            await cancel_by_force(second, JobId(1), Reason.CANCELLED_BY_USER)
        assert (await second.job(1)).children[0].cancel_requested_at is None


def in_queue(name: str, queue: str) -> NewJob:
    job = new_job(name)
    options = Options(server=ServerOptions(queue=queue))
    request = replace(job.request, target=f"postgresql://db9/{name}", options=options)
    return replace(job, request=request, engine=EngineName.POSTGRESQL)


async def test_jobs_of_a_queue_go_to_the_workers_that_serve_it(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2", queues=("eu",)) as second:
        (job,) = await first.submit([in_queue("shop", "eu")], OnDuplicate.REFUSE)
        await first.submit([replace(in_queue("crm", "eu"), request=new_pg_request("crm"))], OnDuplicate.REFUSE)
        there, here = await second.claim("there"), await first.claim("here")
        assert there is not None
        assert here is not None
        assert (there.job.parent, here.job.parent) == (job, 2)
        assert await second.claim("there") is None


def new_pg_request(name: str) -> Request:
    return Request(target=f"postgresql://db9/{name}", operations=(Operation.VACUUM,))


async def test_a_queue_that_no_live_worker_serves_is_known(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2", queues=("eu",)) as second:
        assert first.hosts is not None
        await first.submit([in_queue("shop", "eu"), in_queue("crm", "us")], OnDuplicate.REFUSE)
        await second.submit([new_job("sales")], OnDuplicate.REFUSE)
        assert await first.hosts.unserved() == {"eu": [1], "host:db2": [3], "us": [2]}
        async with second.hosting_workers():
            assert await first.hosts.unserved() == {"us": [2]}
            await first.hosts.drain_host("db2", "ann")
            assert await first.hosts.unserved() == {"eu": [1], "host:db2": [3], "us": [2]}


async def test_a_job_that_no_live_worker_serves_keeps_none_at_work(shared: SharedStores) -> None:
    async with shared.open(host="db1") as first, shared.open(host="db2") as second:
        await second.submit([new_job("sales")], OnDuplicate.REFUSE)
        assert await first.has_open_jobs()
        assert not await first.has_served_jobs()
        async with second.hosting_workers():
            assert await first.has_served_jobs()
        assert await second.claim("there") is not None
        assert await first.has_served_jobs()  # it runs


async def test_a_run_reserves_no_jobs_that_its_own_workers_cannot_take(shared: SharedStores) -> None:
    opening = (shared.open(host="db1"), shared.open(host="db2", queues=("eu",)))
    async with opening[0] as first, opening[1] as second, first.reserving("a run"):
        await first.submit([in_queue("shop", "eu")], OnDuplicate.REFUSE)
        assert await second.claim("there") is not None
