"""Sizes and counts of a database."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.steps import Facts
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.files import table_sizes
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table, but, is_page_compressed


async def facts(reader: Reader, unopened: Sequence[Table] = ()) -> Facts:
    """`unopened`: tables that are not opened; their last known sizes count. Raises TargetError."""
    rows = await reader.rows(query("sizes") + but(unopened), row=(str, int | None, int | None, str | None))
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
    rows = await reader.rows(query("size_of_table"), [table.name], row=(int | None, int | None), most=1)
    return (rows[0][0], rows[0][1]) if rows else (None, None)


async def status(reader: Reader, name: str) -> int:
    """A number of SHOW GLOBAL STATUS, such as `Threads_running`. Raises TargetError."""
    (number,) = await reader.row(query("status", mariadb=reader.server.flavor is Flavor.MARIADB), [name], row=(int,))
    return int(number)
