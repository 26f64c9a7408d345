"""Columns of MySQL tables that get a histogram."""

from __future__ import annotations

from typing import Final

from engine.targets.mysql.connection.server import Flavor, Server
from engine.targets.mysql.reading.reader import Reader

# A column that leads an index needs none: the optimizer asks the index.
_COLUMNS: Final = """
SELECT c.table_name, c.column_name FROM information_schema.columns AS c
WHERE c.table_schema = DATABASE()
    AND c.data_type NOT IN ('json', 'geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring',
        'multipolygon', 'geomcollection', 'geometrycollection', 'vector', 'tinyblob', 'blob', 'mediumblob', 'longblob',
        'tinytext', 'text', 'mediumtext', 'longtext')
ORDER BY c.table_name, c.ordinal_position
"""
_LEADING: Final = """
SELECT table_name, column_name FROM information_schema.statistics
WHERE table_schema = DATABASE() AND seq_in_index = 1 AND column_name IS NOT NULL
"""


# ANALYZE TABLE renews these, and so does the server when it collects statistics by itself.
_RENEWED: Final = """
SELECT table_name, column_name FROM information_schema.column_statistics
WHERE schema_name = DATABASE() AND histogram->>'$."auto-update"' = 'true'
"""
_AUTO_UPDATE_SINCE: Final = (8, 4)


def auto_update(server: Server) -> bool:
    """Whether the server can renew histograms by itself."""
    return server.flavor is Flavor.MYSQL and server.version >= _AUTO_UPDATE_SINCE


async def histogram_columns(reader: Reader) -> dict[str, list[str]]:
    """By table, without those that ANALYZE renews; an empty list: it renews all of them. Raises TargetError."""
    done = set(await reader.rows(_LEADING, row=(str, str)))
    renewed = await reader.rows(_RENEWED, row=(str, str)) if auto_update(reader.server) else []
    done.update(renewed)
    found: dict[str, list[str]] = {table: [] for table, _ in renewed}
    for table, column in await reader.rows(_COLUMNS, row=(str, str)):
        if (table, column) not in done:
            found.setdefault(table, []).append(column)
    return found
