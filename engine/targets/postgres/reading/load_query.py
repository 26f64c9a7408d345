"""The query of --pause-while: one SELECT of the user, in a read-only transaction that is rolled back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, TypeAlias

import psycopg

from engine.domain.errors import TargetError
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.errors import CANCELLED, server_message
from engine.targets.postgres.reading.reader import Reader
from engine.targets.throttling import answer_text

TIMEOUT: Final = 5
"""Seconds."""
_PATIENCE: Final = 2 * TIMEOUT
_HINT: Final = "give one SELECT, with the schema before each name"
Load: TypeAlias = bool | int | float | Decimal
_NOT_A_LOAD: Final = "and not true, false or a number (give one SELECT of a condition or a number)"
# The oids of types: boolean; whole numbers, oid among them; numbers with a fraction.
_TYPES: Final = frozenset({16, 20, 21, 23, 26, 700, 701, 1700})
_TYPE: Final = "SELECT pg_catalog.format_type(%s, NULL)"
# The grammar lets nothing but a query follow, and no more of its answer is read than one row.
_CURSOR: Final = "DECLARE dbtend_load NO SCROLL CURSOR FOR "
_BEGIN: Final = f"BEGIN READ ONLY; SET LOCAL statement_timeout = '{TIMEOUT}s'"


async def check(reader: Reader, query: str) -> str:
    """The problem with the query, found without running it; "" for none.

    Raises TargetError where the server cannot be asked.
    """
    async with reader.alone() as connection:
        try:
            with connection.within(_PATIENCE):
                await connection.parse(_CURSOR + query)
                columns = await connection.parse(query)
                if columns and columns[0] in _TYPES:
                    return ""
                what = (await connection.row(_TYPE, columns[:1], row=(str,)))[0] if columns else "no column"
        except psycopg.Error as error:
            reader.raise_if_lost(error)
            return _failure(error)
    return f"--pause-while failed: it gives {what}, {_NOT_A_LOAD}"


async def ask(reader: Reader, query: str) -> Load | None:
    """The first value of its first row; None for no row, or NULL. Raises TargetError where it fails."""
    async with reader.alone() as connection:
        try:
            with connection.within(_PATIENCE):
                rows = await _first_row(connection, query)
        except psycopg.Error as error:
            reader.raise_if_lost(error)
            raise TargetError(reader.what, _failure(error), "") from None
    load = rows[0][0] if rows and rows[0] else None
    if load is not None and not _is_load(load):  # what it calls may have changed since it was checked
        raise TargetError(reader.what, f"--pause-while failed: it gives {answer_text(load)}, {_NOT_A_LOAD}", "")
    return load


def _is_load(value: object) -> bool:
    return isinstance(value, Load) and value == value  # which NaN is not


async def _first_row(connection: Connection, query: str) -> list[tuple[Any, ...]]:
    try:
        await connection.execute(_BEGIN)
        await connection.run_one(_CURSOR + query)
        return await connection.rows("FETCH 1 FROM dbtend_load", most=1)
    finally:
        if not connection.closed:
            await connection.execute("ROLLBACK")


def _failure(error: psycopg.Error) -> str:
    why = f"it takes longer than {TIMEOUT} s" if error.sqlstate == CANCELLED else server_message(error)
    return f"--pause-while failed: {why} ({_HINT})"
