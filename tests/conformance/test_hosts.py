"""Files belong to hosts: two hosts on one shared store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from engine.domain.events import HistoryFilter
from engine.domain.requests import OnDuplicate
from tests.building import new_job
from tests.conformance.stores import SharedStores
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
