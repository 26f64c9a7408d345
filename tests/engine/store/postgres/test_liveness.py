"""A worker lives while its session does: who lives is left alone, and who was declared dead ends."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from engine.domain.statuses import Status
from engine.execution.supervision import supervising
from engine.store.postgres import ownership
from engine.store.postgres.schema import GRACE
from engine.store.postgres.store import PostgresStore
from tests.engine.store.postgres.a_worker import (
    HOST,
    submit,
    the_child,
    the_worker,
    until_it_is_dead,
    until_it_is_over,
    worker,
)
from tests.network_hosts import NETWORK, free_port, network_hosts
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer
from tests.shared_stores import copied_store, make_template, name_in, set_grace
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DECLARED_DEAD = 70
SESSION = "SELECT session FROM dbtend.worker"


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[PostgresStore]:
    async with PostgresStore.open(store_url, what="the store", host=HOST) as opened:
        await submit(opened)
        yield opened


async def test_a_killed_worker_is_noticed_and_its_job_is_run_again(store_url: str, store: PostgresStore) -> None:
    async with supervising(store):
        with worker(store_url) as first:
            assert await first.says() == "#1.1, attempt 1"
            with worker(store_url) as second:
                first.kill()
                assert await second.says() == "#1.1, attempt 2"
                second.tell()
                assert (await until_it_is_over(store)).status is Status.COMPLETED


async def test_a_worker_whose_session_the_server_ended_proves_again_that_it_lives(
    store_url: str, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "PROVES_AGAIN_WITHIN", 30.0)  # also on a busy machine

    async def has_a_new_session() -> bool:
        return admin.execute(SESSION).fetchone() != (session,)

    async with supervising(store):
        with worker(store_url) as process, as_admin(store_url) as admin:
            await process.says()
            for _ in range(5):
                ((session,),) = admin.execute(SESSION).fetchall()
                admin.execute("SELECT pg_terminate_backend(%s)", (session,))
                await eventually(has_a_new_session)
            process.tell()
            assert await process.says() == "done"
            assert (await until_it_is_over(store)).attempt == 1


async def test_a_worker_that_was_declared_dead_while_it_was_stopped_ends_when_it_goes_on(
    store_url: str, store: PostgresStore
) -> None:
    with worker(store_url) as process:
        await process.says()
        process.signal(signal.SIGSTOP)
        process.tell()
        with as_admin(store_url) as admin:
            admin.execute(f"SELECT pg_terminate_backend(({SESSION}))")
        await until_it_is_dead(store)
        assert len(await store.rescue()) == 1
        process.signal(signal.SIGCONT)
        assert await process.ended() == DECLARED_DEAD
        child = await the_child(store)
        assert (child.status, child.attempt) == (Status.PENDING, 1)


async def test_a_worker_that_was_declared_dead_ends_when_it_asks_for_work(store_url: str, store: PostgresStore) -> None:
    with worker(store_url) as process, as_admin(store_url) as admin:
        await process.says()
        admin.execute("DELETE FROM dbtend.worker")
        process.tell()
        assert await process.ended() == DECLARED_DEAD


async def test_a_stopped_worker_is_stalled_and_never_dead(store_url: str, store: PostgresStore) -> None:
    with worker(store_url) as process:
        await process.says()
        process.signal(signal.SIGSTOP)
        with as_admin(store_url) as admin:  # as if it had been so for long
            admin.execute("UPDATE dbtend.worker SET beat_at = beat_at - 60000000")
            admin.execute("UPDATE dbtend.child_job SET started_at = started_at - 60000000")
        found = await the_worker(store)
        assert (found.alive, found.stalled) == (True, True)
        assert await store.rescue() == []
        process.signal(signal.SIGCONT)
        process.tell()
        assert (await until_it_is_over(store)).attempt == 1


@pytest.fixture
def own_server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    server = PostgresServer(postgres.binaries, ["synchronous_commit=on"])  # a crash loses nothing
    try:
        server.start()
        make_template(server)
        yield server
    finally:
        server.discard()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_a_restart_of_the_server_costs_no_attempt_and_what_ended_meanwhile_is_stored(
    own_server: PostgresServer, how: signal.Signals
) -> None:
    with copied_store(own_server) as url:
        with as_admin(url) as admin:
            set_grace(admin, GRACE)
        async with PostgresStore.open(url, what="the store", host=HOST) as store, supervising(store):
            await submit(store)
            with worker(url) as process:
                assert await process.says() == "#1.1, attempt 1"
                await asyncio.to_thread(own_server.stop, how)
                process.tell()
                assert await process.says() == "done"
                await asyncio.to_thread(own_server.start)
                child = await until_it_is_over(store)
                assert (child.status, child.attempt) == (Status.COMPLETED, 1)
                assert (await the_worker(store)).alive


async def test_right_after_a_start_of_the_server_nobody_is_declared_dead(own_server: PostgresServer) -> None:
    with copied_store(own_server) as url:
        with as_admin(url) as admin:
            set_grace(admin, 2)
        async with PostgresStore.open(url, what="the store", host=HOST) as store:
            await submit(store)
            with worker(url) as process:
                await process.says()
                await asyncio.to_thread(own_server.stop)
                process.kill()
            await asyncio.to_thread(own_server.start)

            async def is_pending() -> bool:
                return (await the_child(store)).status is Status.PENDING

            async with supervising(store):
                await eventually(is_pending)
        with as_admin(url) as admin:
            asked = """SELECT seen_at + interval '2 s' < to_timestamp(at / 1e6)
                FROM dbtend.server_start, dbtend.event ORDER BY seq DESC LIMIT 1"""
            assert admin.execute(asked).fetchone() == (True,)


@pytest.mark.long
async def test_a_worker_whose_link_is_down_ends_before_others_can_take_over(own_server: PostgresServer) -> None:
    with network_hosts(1) as (host,):
        own_server.stop()
        own_server.listen_to(NETWORK, free_port())
        own_server.start()
        with copied_store(own_server) as url:
            there = f"postgresql://postgres@{host.server}:{own_server.tcp_port}/{name_in(url)}"
            async with PostgresStore.open(url, what="the store", host=HOST) as store:
                await submit(store)
                with worker(there, within=host.command) as process:
                    await process.says()
                    host.cut()
                    assert await process.ended() == DECLARED_DEAD
                    assert (await the_worker(store)).alive
                await until_it_is_dead(store)
                host.join()
                async with supervising(store):
                    with worker(there, within=host.command) as second:
                        assert await second.says() == "#1.1, attempt 2"
                        second.tell()
                        assert (await until_it_is_over(store)).status is Status.COMPLETED
