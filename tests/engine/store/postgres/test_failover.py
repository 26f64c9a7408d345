"""A standby takes over from the server of the store."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import StoreError, StoreLostError
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.supervision import supervising
from engine.store.postgres import administration
from engine.store.postgres.proof import server_is_down
from engine.store.postgres.store import PostgresStore
from tests.building import new_job
from tests.engine.store.postgres.a_worker import (
    HOST,
    submit,
    the_worker,
    until_it_is_over,
    worker,
)
from tests.failover import Pair, streaming_pair
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.postgres_server import PostgresServer

ENDED_ITSELF = 70


@pytest.fixture
def pair(postgres: PostgresServer) -> Iterator[Pair]:
    with streaming_pair(postgres.binaries) as both:
        yield both


def opened(url: str, *, read_only: bool = False) -> AbstractAsyncContextManager[PostgresStore]:
    return PostgresStore.open(url, what="the store", host=HOST, read_only=read_only)


async def fail_over(pair: Pair) -> None:
    await asyncio.to_thread(pair.fail_over)


async def test_the_primary_is_found_among_the_hosts_of_a_url_and_a_standby_alone_is_refused(pair: Pair) -> None:
    hosts = pair.url.partition("@")[2].partition("/")[0].split(",")
    backwards = pair.url.replace(",".join(hosts), ",".join(reversed(hosts)))
    for url in (pair.url, backwards, backwards.partition("?")[0]):
        assert not server_is_down(url)
        assert (await administration.check(url)).open_jobs == 0
        async with opened(url) as store:
            await store.cancel_all(await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.ADD))
        async with opened(url, read_only=True) as store:
            assert not await store.has_open_jobs()
    pair.kill_primary()
    for url in (pair.url, backwards.partition("?")[0]):
        assert server_is_down(url)
        for call in (administration.init, administration.check):
            with pytest.raises(StoreError, match="standby server"):
                await call(url)
        with pytest.raises(StoreError, match="standby server"):
            async with opened(url):
                pass


async def test_r35_a_failover_to_a_synchronous_standby_costs_no_attempt(pair: Pair) -> None:
    pair.synchronize()
    async with opened(pair.url) as store, supervising(store):
        await submit(store)
        with worker(pair.url) as process:
            assert await process.says() == "#1.1, attempt 1"
            await fail_over(pair)
            process.tell()
            assert await process.says() == "done"
            child = await until_it_is_over(store)
            assert (child.status, child.attempt) == (Status.COMPLETED, 1)

            async def lives() -> bool:
                return (await the_worker(store)).alive

            await eventually(lives)
        await store.submit([new_job("stock", Operation.VACUUM)], OnDuplicate.ADD)
        numbers = [change.seq for change in await store.changes(0, 100)]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_a_process_that_died_with_the_primary_is_rescued_after_the_failover(pair: Pair) -> None:
    pair.set_grace(2)
    pair.synchronize()
    async with opened(pair.url) as store:
        await submit(store)
        with worker(pair.url) as process:
            await process.says()
            process.kill()
            await fail_over(pair)
        async with supervising(store):
            with worker(pair.url) as second:
                assert await second.says() == "#1.1, attempt 2"


async def test_r35_a_worker_whose_claim_is_lost_ends_and_its_job_is_begun_anew(pair: Pair) -> None:
    pair.set_grace(0)
    async with opened(pair.url) as store:
        await submit(store)
        await store.pause("me")
        with worker(pair.url) as process:
            await eventually(store.workers)
            pair.fall_behind()
            await store.resume()
            assert await process.says() == "#1.1, attempt 1"
            await fail_over(pair)
            assert await process.ended() == ENDED_ITSELF
    async with opened(pair.url) as store, supervising(store):
        await store.resume()
        with worker(pair.url) as second:
            assert await second.says() == "#1.1, attempt 1"
            second.tell()
            assert (await until_it_is_over(store)).attempt == 1


async def test_r35_a_job_whose_end_is_lost_is_run_again(pair: Pair) -> None:
    pair.set_grace(0)
    async with opened(pair.url) as store:
        await submit(store)
        with worker(pair.url) as process:
            await process.says()
            pair.fall_behind()
            process.tell()
            assert await process.says() == "done"
            await until_it_is_over(store)
            await fail_over(pair)
            assert await process.ended() == ENDED_ITSELF
    async with opened(pair.url) as store, supervising(store):
        with worker(pair.url) as second:
            assert await second.says() == "#1.1, attempt 2"
            second.tell()
            child = await until_it_is_over(store)
    assert (child.status, [attempt.number for attempt in child.attempts]) == (Status.COMPLETED, [1, 2])


async def test_r35_who_waits_for_a_job_whose_submit_is_lost_is_told_also_if_its_number_is_given_again(
    pair: Pair,
) -> None:
    async with opened(pair.url) as store:
        pair.fall_behind()
        await submit(store)
        waiting = asyncio.create_task(ParentJobOrchestrator(store).wait([1]))
        await fail_over(pair)
        async with opened(pair.url) as other:
            ids = await other.submit([new_job(name, Operation.ANALYZE) for name in ("a", "b", "c")], OnDuplicate.ADD)
            assert 1 in ids
        with pytest.raises(StoreLostError, match="lost"):
            await waiting
        assert isinstance(store.lost, StoreLostError)
        for call in (store.open_jobs(), store.pause("me"), store.next_change(store.last_change())):
            with pytest.raises(StoreLostError):
                await call
