"""The query of --pause-while: one SELECT of the user, in a read-only transaction that is rolled back.

It stands inside another SELECT, so that it can be nothing else, and must also be a statement by itself, so that it does
not end the brackets around it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import pymysql

from engine.domain.errors import TargetError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import TIMED_OUT, number_of, server_message
from engine.targets.mysql.connection.names import literal
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.reader import Reader
from engine.targets.throttling import answer_text

TIMEOUT: Final = 5.0
"""Seconds."""
Load: TypeAlias = int | float
_HINT: Final = "give one SELECT of a condition or a number, with a name for each column"


def _wrapped(query: str) -> str:
    return f"SELECT * FROM (\n{query}\n) AS dbtend_load LIMIT 1"


async def check(reader: Reader, query: str) -> str:
    """The problem with the query, found without running it; "" for none. Raises TargetError."""
    async with reader.alone() as connection:
        try:
            await _parse(connection, query)
        except pymysql.MySQLError as error:
            reader.raise_if_lost(error)
            return _failure(error)
    return ""


async def ask(reader: Reader, query: str) -> Load | None:
    """The first value of its first row; None for no row, or NULL. Raises TargetError where it fails."""
    async with reader.alone() as connection:
        try:
            rows = await _rows(connection, query, _limited(reader, query))
        except pymysql.MySQLError as error:
            reader.raise_if_lost(error)
            raise TargetError(reader.what, _failure(error), "") from None
    value = rows[0][0] if rows and rows[0] else None
    if value is None:
        return None
    try:
        return float(value) if "." in value or "e" in value.lower() else int(value)
    except ValueError:
        why = f"--pause-while failed: it gives {answer_text(value)}, and not true, false or a number ({_HINT})"
        raise TargetError(reader.what, why, "") from None


async def _parse(connection: Connection, query: str) -> None:
    for text in (query, _wrapped(query)):
        await connection.short_command(f"PREPARE dbtend_load FROM {literal(text)}")
        await connection.short_command("DEALLOCATE PREPARE dbtend_load")


async def _rows(connection: Connection, query: str, limited: str) -> list[tuple[str | None, ...]]:
    try:
        # In a transaction of its own: a function that the query calls may change what the session is set to.
        await connection.short_command("START TRANSACTION READ ONLY")
        await _parse(connection, query)
        return await connection.short_command(limited)
    finally:
        if not connection.closed:
            await connection.short_command("ROLLBACK")


def _limited(reader: Reader, query: str) -> str:
    if reader.server.flavor is Flavor.MARIADB:
        return f"SET STATEMENT max_statement_time = {TIMEOUT:g} FOR {_wrapped(query)}"
    return _wrapped(query).replace("SELECT", f"SELECT /*+ MAX_EXECUTION_TIME({TIMEOUT * 1000:.0f}) */", 1)


def _failure(error: pymysql.MySQLError) -> str:
    why = f"it takes longer than {TIMEOUT:g} s" if number_of(error) in TIMED_OUT else server_message(error)
    return f"--pause-while failed: {why} ({_HINT})"
