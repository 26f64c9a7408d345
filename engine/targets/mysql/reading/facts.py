"""Sizes and counts of a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.steps import Facts
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.files import table_sizes
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table, but, is_page_compressed

_FACTS: Final = """
SELECT table_name, CAST(NULLIF(data_length, 4294967295) + index_length AS SIGNED), CAST(data_free AS SIGNED),
    create_options
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%VIEW'
"""
_TABLE: Final = """
SELECT CAST(NULLIF(data_length, 4294967295) + index_length AS SIGNED), NULLIF(table_rows, 4294967295)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = %s
"""
_STATUS: Final = "SELECT CAST(variable_value AS SIGNED) FROM {schema}.global_status WHERE variable_name = %s"


async def facts(reader: Reader, unopened: Sequence[Table] = ()) -> Facts:
    """`unopened`: tables that are not opened; their last known sizes count. Raises TargetError."""
    rows = await reader.rows(_FACTS + but(unopened), row=(str, int | None, int | None, str | None))
    files = await table_sizes(reader) or {}

    def size_of(table: str, counted: int | None, options: str | None) -> int:
        file = files.get(reader.server.file_name(table))
        if file is not None and is_page_compressed(options or ""):
            return file.on_disk
        return max(counted or 0, file.length if file is not None else 0)

    return {
        "size": sum(size_of(table, counted, options) for table, counted, _, options in rows)
        + sum(table.size for table in unopened),
        "tables": len(rows) + len(unopened),
        "free_bytes": sum(free or 0 for _, _, free, _ in rows) + sum(table.free_bytes for table in unopened),
    }


async def size_and_rows(reader: Reader, table: Table) -> tuple[int | None, int | None]:
    """Bytes and rows, by statistics; None if it is gone. Raises TargetError."""
    rows = await reader.rows(_TABLE, [table.name], row=(int | None, int | None), most=1)
    return (rows[0][0], rows[0][1]) if rows else (None, None)


async def status(reader: Reader, name: str) -> int:
    """A number of SHOW GLOBAL STATUS, such as `Threads_running`. Raises TargetError."""
    schema = "information_schema" if reader.server.flavor is Flavor.MARIADB else "performance_schema"
    (number,) = await reader.row(_STATUS.format(schema=schema), [name], row=(int,))
    return int(number)
