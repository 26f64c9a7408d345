"""Sizes and counts of a database."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import pymysql

from engine.domain.steps import Facts
from engine.targets.mysql.connection.server import Flavor
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
# Of its files: what the statistics say may be old.
_FILES: Final = """
SELECT CAST(SUM(file_size) AS SIGNED) FROM information_schema.{view} WHERE name = %s OR name LIKE %s
"""
_STATUS: Final = "SELECT CAST(variable_value AS SIGNED) FROM {schema}.global_status WHERE variable_name = %s"
_VIEWS: Final = {Flavor.MARIADB: "innodb_sys_tablespaces", Flavor.MYSQL: "innodb_tablespaces"}
_PLAIN: Final = re.compile(r"[0-9A-Za-z_]+")
"""A name that is also the name of its file."""


async def facts(reader: Reader) -> Facts:
    """Raises TargetError."""
    size, tables, free = await reader.row(_FACTS, row=(int, int, int))
    return {"size": size, "tables": tables, "free_bytes": free}


async def size_of(reader: Reader, table: Table) -> int | None:
    """Bytes; None if it is gone. Raises TargetError."""
    if table.engine == "InnoDB" and _PLAIN.fullmatch(table.database) and _PLAIN.fullmatch(table.name):
        name = f"{table.database}/{table.name}"
        with contextlib.suppress(pymysql.MySQLError):  # the user may not read them
            query = _FILES.format(view=_VIEWS[reader.server.flavor])
            parts = name.replace("_", "\\_") + "#p#%"
            ((size,),) = await reader.rows_or_error(query, [name, parts], row=(int | None,))
            if size is not None:
                return int(size)
    rows = await reader.rows(_SIZE, [table.name], row=(int | None,), most=1)
    return rows[0][0] if rows else None


async def status(reader: Reader, name: str) -> int:
    """A number of SHOW GLOBAL STATUS, such as `Threads_running`. Raises TargetError."""
    schema = "information_schema" if reader.server.flavor is Flavor.MARIADB else "performance_schema"
    (number,) = await reader.row(_STATUS.format(schema=schema), [name], row=(int,))
    return int(number)
