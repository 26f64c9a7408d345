"""Stores in a real PostgreSQL, for tests."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg

from engine.store.postgres.roles import Role
from engine.store.postgres.schema import migrate
from tests.postgres_databases import as_admin
from tests.postgres_server import PostgresServer

TEMPLATE = "empty_store"
MEMBER = "member"
"""A login that has all roles of the store, and no other right."""
NUMBERS = itertools.count(1)


@cache
def make_template(server: PostgresServer) -> None:
    """Once per server: making a store takes all migrations and functions."""
    with as_admin(server.url()) as admin:
        admin.execute(f"CREATE DATABASE {TEMPLATE}")
    asyncio.run(_migrate(server.url(TEMPLATE)))
    with as_admin(server.url(TEMPLATE)) as admin:
        admin.execute(f"CREATE ROLE {MEMBER} LOGIN IN ROLE {', '.join(Role)}")


async def _migrate(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await migrate(connection, "the store")


def set_grace(admin: psycopg.Connection[Any], seconds: int) -> None:
    """How long after a start of the server nobody is declared dead."""
    body = f"SELECT interval '{seconds} s'"
    admin.execute(f"CREATE OR REPLACE FUNCTION dbtend.grace() RETURNS interval IMMUTABLE LANGUAGE sql AS $${body}$$")


@contextmanager
def copied_store(server: PostgresServer, user: str = "postgres") -> Iterator[str]:
    """The URL of a new empty store; `user`: who connects."""
    make_template(server)
    name = f"store{next(NUMBERS)}"
    with as_admin(server.url()) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    with as_admin(server.url(name)) as admin:
        set_grace(admin, 0)
        if user == MEMBER:  # tests register processes that are not there
            admin.execute(f"GRANT INSERT ON dbtend.worker TO {MEMBER}")
    try:
        yield server.url(name, user)
    finally:
        with as_admin(server.url()) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def as_owner(url: str) -> str:
    """The URL of the same store for who made it."""
    return url.replace(f"//{MEMBER}@", "//postgres@")


def name_in(url: str) -> str:
    """Of its database."""
    return url.partition("?")[0].rpartition("/")[2]
