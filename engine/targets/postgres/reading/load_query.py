"""The query of --pause-while: one SELECT that somebody has written, in a read-only transaction that is rolled back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from engine.errors import TargetError
from engine.targets.postgres.connection.errors import CANCELLED, said

if TYPE_CHECKING:
    from engine.targets.postgres.connection.bounded import Connection
    from engine.targets.postgres.reading.reader import Reader

TIMEOUT: Final = 5
"""Seconds."""
_PATIENCE: Final = 2 * TIMEOUT
_HINT: Final = "give one SELECT, with the schema before each name"
# The grammar lets nothing but a query follow, and no more of its answer is read than one row.
_CURSOR: Final = "DECLARE dbtend_load NO SCROLL CURSOR FOR "
_BEGIN: Final = f"BEGIN READ ONLY; SET LOCAL statement_timeout = '{TIMEOUT}s'"


async def check(reader: Reader, query: str) -> str:
    """What is wrong with the query, as far as the server can tell without running it; "" for nothing.

    Raises TargetError where the server cannot be asked.
    """
    async with reader.alone() as connection:
        try:
            with connection.within(_PATIENCE):
                await connection.parse(_CURSOR + query)
        except psycopg.Error as error:
            return _failure(error)
    return ""


async def ask(reader: Reader, query: str) -> Any:
    """The first value of its first row; None for no row. Raises TargetError where it fails."""
    async with reader.alone() as connection:
        try:
            with connection.within(_PATIENCE):
                rows = await _first_row(connection, query)
        except psycopg.Error as error:
            raise TargetError(reader.what, _failure(error), "") from None
    return rows[0][0] if rows and rows[0] else None


async def _first_row(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    try:
        await connection.execute(_BEGIN)
        await connection.run_one(_CURSOR + query)
        return await connection.rows("FETCH 1 FROM dbtend_load", most=1)
    finally:
        if not connection.closed:
            await connection.execute("ROLLBACK")


def _failure(error: psycopg.Error) -> str:
    why = f"it takes longer than {TIMEOUT} s" if error.sqlstate == CANCELLED else said(error)
    return f"--pause-while failed: {why} ({_HINT})"
