"""The tables of procrastinate beside those of the store, in a schema of their own.

They hold hints alone: made anew, nothing is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import psycopg
from procrastinate.schema import SchemaManager

Connection = psycopg.AsyncConnection[Any]

TABLES: Final = ("procrastinate_jobs", "procrastinate_workers", "procrastinate_events", "procrastinate_periodic_defers")
_IS_WHOLE: Final = f"""SELECT to_regproc('dbtend_queue.procrastinate_defer_jobs_v1') IS NOT NULL
    AND {" AND ".join(f"to_regclass('dbtend_queue.{table}') IS NOT NULL" for table in TABLES)}"""
"""Whether nobody has dropped a table, or what gives hints."""


@cache
def scripts() -> Sequence[Path]:
    """The migrations of the installed procrastinate, in order; it names them by its versions."""
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def newest() -> str:
    """The name of the last migration that the installed procrastinate has."""
    return scripts()[-1].stem


def release() -> str:
    """The version of the installed procrastinate."""
    return metadata.version("procrastinate")


async def is_whole(connection: Connection) -> bool:
    """Whether its tables are there. Raises psycopg.Error."""
    cursor = await connection.execute(_IS_WHOLE.encode())
    return bool((await cursor.fetchone() or (False,))[0])


async def install(connection: Connection, applied: str | None) -> str:
    """Bring its tables to the version of the installed procrastinate, in the transaction of the caller.

    Args:
        applied: the last migration that they have had; None: there are none.

    Returns the last one that they have now. Raises psycopg.Error.
    """
    if applied is not None and await is_whole(connection):
        await connection.execute(b"SET LOCAL search_path = dbtend_queue")
        for script in scripts():
            if script.stem > applied:
                await connection.execute(script.read_text(encoding="utf-8").encode())
        return max(applied, newest())
    await connection.execute(b"DROP SCHEMA IF EXISTS dbtend_queue CASCADE")
    await connection.execute(b"CREATE SCHEMA dbtend_queue")
    await connection.execute(b"SET LOCAL search_path = dbtend_queue")
    await connection.execute(SchemaManager.get_schema().encode())
    return newest()
