"""The tables of procrastinate beside those of the store, in a schema of their own.

They hold hints alone: to make them again loses nothing.
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

_ALWAYS: Final = ("procrastinate_jobs", "procrastinate_events", "procrastinate_periodic_defers")
"""Tables that each version has."""
_HAS_TABLES: Final = "SELECT " + " AND ".join(f"to_regclass('dbtend_queue.{table}') IS NOT NULL" for table in _ALWAYS)
_IS_WHOLE: Final = f"""{_HAS_TABLES} AND to_regclass('dbtend_queue.procrastinate_workers') IS NOT NULL
    AND to_regproc('dbtend_queue.procrastinate_defer_jobs_v1') IS NOT NULL"""


@cache
def scripts() -> Sequence[Path]:
    """The migrations of the installed procrastinate, in order; it names them by its versions."""
    return sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def whole() -> str:
    """What makes them all at once."""
    return SchemaManager.get_schema()


def newest() -> str:
    """The name of the last migration that the installed procrastinate has."""
    return scripts()[-1].stem


def release() -> str:
    """The version of the installed procrastinate."""
    return metadata.version("procrastinate")


async def is_whole(connection: Connection, applied: str | None = None) -> bool:
    """Whether all its tables are there. `applied`: the last migration that they have had; None: the newest.

    Raises psycopg.Error.
    """
    is_older = applied is not None and applied < newest()
    cursor = await connection.execute((_HAS_TABLES if is_older else _IS_WHOLE).encode())
    return bool((await cursor.fetchone() or (False,))[0])


async def install(connection: Connection, applied: str | None) -> str:
    """Bring its tables to the version of the installed procrastinate, in the transaction of the caller.

    Args:
        applied: the last migration that they have had; None: there are none.

    Returns the last one that they have now. Raises psycopg.Error.
    """
    if applied is not None and await is_whole(connection, applied):
        await connection.execute(b"SET LOCAL search_path = dbtend_queue")
        for script in scripts():
            if script.stem > applied:
                await connection.execute(script.read_text(encoding="utf-8").encode())
        return max(applied, newest())
    await connection.execute(b"DROP SCHEMA IF EXISTS dbtend_queue CASCADE")
    await connection.execute(b"CREATE SCHEMA dbtend_queue")
    await connection.execute(b"SET LOCAL search_path = dbtend_queue")
    await connection.execute(whole().encode())
    return newest()
