"""Puts right what a dead process left: it checks tables whose REPAIR was interrupted, repairs those that are crashed,
and sees to undo tablespaces.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import pymysql

from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import server_message
from engine.targets.mysql.connection.names import qualified, shown
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.running import undo
from engine.targets.mysql.running.result import verdict


async def put_right(
    reader: Reader,
    connect: Callable[[], Awaitable[tuple[Connection, Server]]],
    tables: Sequence[str],
    tablespaces: Sequence[str],
) -> list[tuple[str, bool]]:
    """What became of each, as text, and whether it is well now. Raises TargetError."""
    if not (tables or tablespaces):
        return []
    connection, server = await connect()
    try:
        return [
            *[await _put_right(connection, qualified(server.database, name), shown(name)) for name in tables],
            *[await undo.put_right(reader, connection, name) for name in tablespaces],
        ]
    finally:
        await connection.close()


_ROWS_MAY_BE_LOST: Final = "Rows that the repair could not read, if any, are gone; how many is not known"


async def _put_right(connection: Connection, table: str, name: str) -> tuple[str, bool]:
    try:
        if verdict(await connection.command(f"CHECK TABLE {table}")).is_well:
            return f"a check of {name} found nothing wrong. {_ROWS_MAY_BE_LOST}", True
        found = verdict(await connection.command(f"REPAIR TABLE {table}"))
        problems = [*found.errors, *found.statuses]
    except pymysql.MySQLError as error:
        return f"{name} cannot be checked: {server_message(error)}", False
    if found.is_well:
        return f"{name} was left crashed, and is repaired. {_ROWS_MAY_BE_LOST}", True
    return f"{name} is crashed, and its repair failed: {problems[0] if problems else 'no verdict'}", False
