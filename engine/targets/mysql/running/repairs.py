"""Tables whose REPAIR was interrupted: checked, and repaired again where they are crashed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pymysql

from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import server_message
from engine.targets.mysql.connection.names import qualified, shown
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.running.result import verdict


async def put_right(
    connect: Callable[[], Awaitable[tuple[Connection, Server]]], names: Sequence[str]
) -> list[tuple[str, bool]]:
    """What became of each table, as text, and whether it is well now. Raises TargetError."""
    if not names:
        return []
    connection, server = await connect()
    try:
        return [await _put_right(connection, qualified(server.database, name), shown(name)) for name in names]
    finally:
        await connection.close()


async def _put_right(connection: Connection, table: str, name: str) -> tuple[str, bool]:
    try:
        if verdict(await connection.command(f"CHECK TABLE {table}")).is_well:
            return f"a check of {name} found nothing wrong", True
        found = verdict(await connection.command(f"REPAIR TABLE {table}"))
        problems = [*found.errors, *found.statuses]
    except pymysql.MySQLError as error:
        return f"{name} cannot be checked: {server_message(error)}", False
    if found.is_well:
        return f"{name} was left crashed, and is repaired", True
    return f"{name} is crashed, and its repair failed: {problems[0] if problems else 'no verdict'}", False
