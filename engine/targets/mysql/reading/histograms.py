"""Columns of MySQL tables that get a histogram."""

from __future__ import annotations

from typing import Final

from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.reader import Reader

_AUTO_UPDATE_SINCE: Final = (8, 4)


def auto_update(server: Server) -> bool:
    """Whether the server can renew histograms by itself."""
    return server.flavor is Flavor.MYSQL and server.version >= _AUTO_UPDATE_SINCE


async def histogram_columns(reader: Reader) -> dict[str, list[str]]:
    """By table, without those that ANALYZE renews; an empty list: it renews all of them. Raises TargetError."""
    done = set(await reader.rows(query("leading_columns"), row=(str, str)))
    renewed = await reader.rows(query("renewed_histograms"), row=(str, str)) if auto_update(reader.server) else []
    done.update(renewed)
    found: dict[str, list[str]] = {table: [] for table, _ in renewed}
    for table, column in await reader.rows(query("columns_for_histograms"), row=(str, str)):
        if (table, column) not in done:
            found.setdefault(table, []).append(column)
    return found
