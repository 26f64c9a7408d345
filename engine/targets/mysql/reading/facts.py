"""Sizes and counts of a database."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from engine.domain.steps import Facts
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.files import file_sizes, rows_if_allowed
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table, but

_FACTS: Final = """
SELECT table_name, CAST(NULLIF(data_length, 4294967295) + index_length AS SIGNED), CAST(data_free AS SIGNED)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type NOT LIKE '%VIEW'
"""
_ENGINES: Final = """
SELECT DISTINCT engine FROM information_schema.tables WHERE table_schema = DATABASE() AND engine IS NOT NULL
"""
_SIZE: Final = """
SELECT CAST(NULLIF(data_length, 4294967295) + index_length AS SIGNED) FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_name = %s
"""
# The sizes of files: those in the statistics may be old. Comparing names alone, the server ignores case.
_FILES: Final = """
SELECT CAST(SUM(file_size) AS SIGNED) FROM information_schema.{view} WHERE (name = %s OR name LIKE %s)
    AND LEFT(name, CHAR_LENGTH(%s)) = CAST(%s AS BINARY)
"""
_STATUS: Final = "SELECT CAST(variable_value AS SIGNED) FROM {schema}.global_status WHERE variable_name = %s"
_VIEWS: Final = {Flavor.MARIADB: "innodb_sys_tablespaces", Flavor.MYSQL: "innodb_tablespaces"}
_PLAIN: Final = re.compile(r"[0-9A-Za-z_]+")
"""A name that is also the name of its file: then one query asks for just that."""


async def facts(reader: Reader, unopened: Sequence[Table] = ()) -> Facts:
    """`unopened`: tables that are not opened; their last known sizes count. Raises TargetError."""
    rows = await reader.rows(_FACTS + but(unopened), row=(str, int | None, int | None))
    files: Counter[str] = Counter()
    for (table, _), bytes_ in (await file_sizes(reader) or {}).items():
        files[table] += bytes_
    return {
        "size": sum(max(counted or 0, files[reader.server.file_name(table)]) for table, counted, _ in rows)
        + sum(table.size for table in unopened),
        "tables": len(rows) + len(unopened),
        "free_bytes": sum(free or 0 for _, _, free in rows) + sum(table.free_bytes for table in unopened),
    }


async def storage_engines(reader: Reader) -> frozenset[str]:
    """The storage engines of the tables. Opens no table. Raises TargetError."""
    return frozenset(engine for (engine,) in await reader.rows(_ENGINES, row=(str,)))


async def size_of(reader: Reader, table: Table) -> int | None:
    """Bytes; None if it is gone, or has no file of its own. Raises TargetError."""
    if table.engine == "InnoDB" and (size := await _file_size(reader, table)) is not None:
        return size or None
    rows = await reader.rows(_SIZE, [table.name], row=(int | None,), most=1)
    return rows[0][0] if rows else None


async def _file_size(reader: Reader, table: Table) -> int | None:
    """Bytes of its own files together; None if the user may not see them. Raises TargetError."""
    if not (_PLAIN.fullmatch(table.database) and _PLAIN.fullmatch(table.name)):
        files = await file_sizes(reader)
        own = [bytes_ for (name, _), bytes_ in (files or {}).items() if name == reader.server.file_name(table.name)]
        return None if files is None else sum(own)
    name = f"{reader.server.file_name(table.database)}/{reader.server.file_name(table.name)}"
    query = _FILES.format(view=_VIEWS[reader.server.flavor])
    args = [name, name.replace("_", "\\_") + "#p#%", name, name]
    found = await rows_if_allowed(reader, query, args, row=(int | None,))
    return found[0][0] or 0 if found else None


async def status(reader: Reader, name: str) -> int:
    """A number of SHOW GLOBAL STATUS, such as `Threads_running`. Raises TargetError."""
    schema = "information_schema" if reader.server.flavor is Flavor.MARIADB else "performance_schema"
    (number,) = await reader.row(_STATUS.format(schema=schema), [name], row=(int,))
    return int(number)
