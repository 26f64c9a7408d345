"""Servers on which a shared store does not work are refused before anything is set or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import StoreBusyError, StoreError
from engine.store.postgres import administration
from engine.store.postgres.store import PostgresStore
from tests.pgbouncer import pgbouncer
from tests.postgres_databases import Database, as_admin
from tests.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import Iterator

IGNORED = {"ignore_startup_parameters": "options,extra_float_digits,tcp_user_timeout"}


@pytest.mark.parametrize("mode", ["transaction", "statement", "session"])
@pytest.mark.parametrize("ignored", [{}, IGNORED], ids=["options refused", "options ignored"])
async def test_a_pooler_is_refused(database: Database, mode: str, ignored: dict[str, str]) -> None:
    await administration.init(database.url)
    with pgbouncer(database, mode, pool_size=2, **ignored) as pooler:
        for call in (administration.init, administration.check):
            with pytest.raises(StoreError, match="behind a connection pooler"):
                await call(pooler.url)
        with pytest.raises(StoreError, match="behind a connection pooler"):
            async with PostgresStore.open(pooler.url, what="the store"):
                pass
        with pooler.application() as application:  # nothing was set for others
            assert application.execute("SHOW search_path").fetchone() == ('"$user", public',)


@pytest.fixture
def standby(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a store on a server that can only be read."""
    server = PostgresServer(postgres.binaries)
    try:
        server.start()
        with as_admin(server.url()) as admin:
            admin.execute("CREATE DATABASE store")
        server.become_standby()
        yield server.url("store")
    finally:
        server.discard()


async def test_a_standby_server_is_refused(standby: str) -> None:
    for call in (administration.init, administration.check):
        with pytest.raises(StoreError, match="standby server"):
            await call(standby)


async def test_a_server_that_is_down_is_one_sentence(postgres: PostgresServer, database: Database) -> None:
    url = database.url.replace(str(postgres.base), "/nowhere")
    with pytest.raises(StoreBusyError, match="cannot be reached") as refused:
        await administration.check(url)
    assert "\n" not in str(refused.value)


async def test_a_database_that_is_not_there_says_how_to_make_it(postgres: PostgresServer) -> None:
    with pytest.raises(StoreError, match="there is no such database"):
        await administration.init(postgres.url("nowhere"))
