"""Columns of MySQL tables that get a histogram."""

from __future__ import annotations

from typing import Final

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


async def histogram_columns(reader: Reader) -> dict[str, list[str]]:
    """Raises TargetError."""
    leading = set(await reader.rows(_LEADING, row=(str, str)))
    found: dict[str, list[str]] = {}
    for table, column in await reader.rows(_COLUMNS, row=(str, str)):
        if (table, column) not in leading:
            found.setdefault(table, []).append(column)
    return found
