"""The sessions that an operation would wait for: those that hold a metadata lock, or have an open transaction.

MySQL knows metadata locks in performance_schema; MariaDB by a plugin, or where performance_schema is on. Elsewhere the
open transactions of the database are all that is known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import pymysql

from engine.domain.humanize import listed, span
from engine.targets.mysql.connection.errors import lost_connection
from engine.targets.mysql.connection.names import shown
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table

MOST: Final = 4
"""Sessions that are named."""
_ROW: Final = (int, str, str, str, int | None, str, str, int | None)


_INSTALL: Final = "INSTALL SONAME 'metadata_lock_info'"
UNKNOWN_HOLDER: Final = f"another session, which MariaDB names after {_INSTALL}"


async def holders(reader: Reader, tables: Collection[Table], own: Collection[int] = (), *, unknown: str = "") -> str:
    """The sessions that hold locks on these tables, as text; "" for none. Of several tables it says which.

    Raises TargetError.

    Args:
        own: the connections of this operation.
        unknown: the answer where the server cannot tell.
    """
    try:
        return await _holders(reader, tables, {*own, reader.connection.id}, unknown)
    except pymysql.MySQLError as error:
        reader.raise_if_lost(error)
        return ""


async def _holders(reader: Reader, tables: Collection[Table], own: Collection[int], unknown: str) -> str:
    names = [table.name for table in tables]
    marks = ", ".join(["%s"] * len(names))
    for name in ("lock_holders", "lock_holders_by_plugin"):
        try:
            found = await reader.rows_or_error(query(name, names=marks), names, row=(int, str))
        except pymysql.MySQLError as error:
            if lost_connection(error):
                raise
            continue
        if found or reader.server.flavor is Flavor.MYSQL or name == "lock_holders_by_plugin":
            held: dict[int, list[str]] = {}
            for number, table in found:
                if number not in own:
                    held.setdefault(number, []).append(shown(table))
            return await _described(reader, held, sure=True, many=len(names) > 1)
    if reader.server.flavor is Flavor.MYSQL:
        unknown = ""
    open_ones = await reader.rows_or_error(query("open_transactions"), row=(int,))
    found_open = await _described(reader, {one: () for (one,) in open_ones if one not in own}, sure=False)
    if found_open and len(names) > 1 and reader.server.flavor is Flavor.MARIADB:
        return f"{found_open}. MariaDB tells the table after {_INSTALL}"
    return found_open or unknown


async def global_holders(reader: Reader) -> str:
    """The sessions of MySQL with a global read lock, or that wait for it, as text; "" for none, or if it cannot tell.

    Raises TargetError.
    """
    try:
        found = await reader.rows_or_error(query("global_lock_holders"), row=(int,))
        return await _described(reader, {number: () for (number,) in found}, sure=True)
    except pymysql.MySQLError as error:
        reader.raise_if_lost(error)
        return ""


async def _described(reader: Reader, held: Mapping[int, Sequence[str]], *, sure: bool, many: bool = False) -> str:
    """
    Args:
        held: the tables that each connection holds, as far as the server tells.
        sure: whether they hold a lock on the very tables.
        many: whether to name the tables.
    """
    if not held:
        return ""
    marks = ", ".join(map(str, sorted(held)))
    rows = await reader.rows_or_error(query("sessions", ids=marks), row=_ROW)
    database = reader.server.database
    texts = [
        session_text(number, user, host, command, seconds, open_for)
        + (f" on {listed(sorted(held[number]), 3)}" if many and held[number] else "")
        for number, user, host, command, seconds, used, state, open_for in rows
        if (sure or used in {database, ""}) and not state.startswith("Waiting for table metadata lock")
    ]
    more = f" and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return ", ".join(texts[:MOST]) + more if sure or not texts else f"perhaps {', '.join(texts[:MOST])}{more}"


def session_text(
    number: int, user: str, host: str, command: str, seconds: int | None, open_for: int | None = None
) -> str:
    """`connection 12 (ann@web1, idle in a transaction for 40s)`. `open_for`: the age of its transaction."""
    does = "runs a query" if command in {"Query", "Execute"} else "idle"
    if open_for is not None:
        does = f"{'runs a query' if does != 'idle' else 'idle'} in a transaction"
    lasts = open_for if open_for is not None else seconds
    since = f" for {span(lasts)}" if lasts else ""
    return f"connection {number} ({user}@{host.rpartition(':')[0] or host}, {does}{since})"
