"""Sizes and counts of a database."""

from __future__ import annotations

from typing import Final

from engine.domain.steps import Facts
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table

_FACTS: Final = """
SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS SIGNED), COUNT(*),
    CAST(COALESCE(SUM(data_free), 0) AS SIGNED)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%VIEW'
"""
_SIZE: Final = """
SELECT CAST(data_length + index_length AS SIGNED) FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = %s
"""


async def facts(reader: Reader) -> Facts:
    """Raises TargetError."""
    size, tables, free = await reader.row(_FACTS, row=(int, int, int))
    return {"size": size, "tables": tables, "free_bytes": free}


async def size_of(reader: Reader, table: Table) -> int | None:
    """Bytes; None if it is gone. Raises TargetError."""
    rows = await reader.rows(_SIZE, [table.name], row=(int | None,), most=1)
    return rows[0][0] if rows else None
