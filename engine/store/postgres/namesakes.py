"""Two machines under one name: each would take the files of the other for its own."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from engine.store.postgres.queries import LIVES
from engine.store.postgres.refusals import namesake_error

HAS_NAMESAKE: Final = f"""SELECT EXISTS (SELECT FROM worker AS w
    WHERE w.host = %(host)s AND w.machine <> %(machine)s AND '' NOT IN (w.machine, %(machine)s) AND {LIVES})"""
"""Whether a process of another machine works under the name of a host."""


async def has_namesake(connection: psycopg.AsyncConnection[Any], host: str, machine: str) -> bool:
    """Whether another machine works under the name of this host. Raises psycopg.Error."""
    cursor = await connection.execute(HAS_NAMESAKE.encode(), {"host": host, "machine": machine})
    ((has_one,),) = await cursor.fetchall()
    return bool(has_one)


async def refuse_namesake(connection: psycopg.AsyncConnection[Any], host: str, machine: str) -> None:
    """Raises StoreError where another machine works under the name of this host; psycopg.Error."""
    if await has_namesake(connection, host, machine):
        raise namesake_error(host)
