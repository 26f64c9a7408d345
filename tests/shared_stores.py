"""Stores in a real PostgreSQL, for tests."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg

from engine.store.postgres.schema import migrate
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer

TEMPLATE = "empty_store"
NUMBERS = itertools.count(1)


@asynccontextmanager
async def made_template(server: PostgresServer) -> AsyncIterator[None]:
    with as_admin(server.url()) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
        admin.execute(f"ALTER DATABASE {TEMPLATE} SET dbtend.grace = '0'")
    async with await psycopg.AsyncConnection.connect(server.url(TEMPLATE), autocommit=True) as connection:
        await migrate(connection, "the store")
    yield


@contextmanager
def copied_store(server: PostgresServer) -> Iterator[str]:
    """The URL of a new empty store."""
    name = f"store{next(NUMBERS)}"
    with as_admin(server.url()) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        admin.execute(f"ALTER DATABASE {name} SET dbtend.grace = '0'")
    try:
        yield server.url(name)
    finally:
        with as_admin(server.url()) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
