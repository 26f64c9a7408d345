"""What is in a DuckDB database: tables, sizes, and all that a copy must have, too."""

from __future__ import annotations

import asyncio
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.steps import Facts
from engine.targets.duckdb.connection import Connection, quote

_TABLES: Final = """
SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT temporary
ORDER BY schema_name, table_name"""
_DATABASE: Final = """
SELECT tags['storage_version'], block_size, total_blocks, used_blocks, free_blocks
FROM duckdb_databases() AS d JOIN pragma_database_size() AS s USING (database_name)
WHERE database_name = current_database()"""
HASHES: Final = "SELECT count(*), bit_xor(hash(*COLUMNS(*))), sum(hash(*COLUMNS(*))) FROM {table}"
"""The rows of a table and a hash of all its values, in whatever order; it reads each block of the table."""
_KINDS: Final = """
SELECT DISTINCT function_name FROM duckdb_functions()
WHERE function_type = 'table' AND starts_with(function_name, 'duckdb_') AND parameters = [] ORDER BY ALL"""
"""The functions that list the catalog: one for each kind of object."""
_OF_ONE_DATABASE: Final = frozenset(
    ("database_name", "path", "readonly", "options", "estimated_size", "constraint_index", "is_bound")
)
"""The columns in which two equal databases may differ, besides those whose names end in `oid`."""
_COPIED: Final = frozenset(
    f"duckdb_{kind}"
    for kind in (
        *("columns", "constraints", "databases", "functions", "indexes", "schemas", "sequences", "tables", "triggers"),
        *("types", "views"),
    )
)
"""These kinds a copy gets: triggers by `copy_triggers`, all others by COPY FROM DATABASE."""
_SELF_REFERENCES: Final = """
SELECT schema_name, table_name FROM duckdb_constraints()
WHERE database_name = current_database() AND constraint_type = 'FOREIGN KEY' AND referenced_table = table_name"""


@frozen
class Table:
    schema: str
    name: str

    @property
    def shown(self) -> str:
        return self.name if self.schema == "main" else f"{self.schema}.{self.name}"

    def quoted(self, database: str) -> str:
        return ".".join(quote(part) for part in (database, self.schema, self.name))


@frozen(kw_only=True)
class Contents:
    """The numbers of a database file."""

    storage_version: str
    block_size: int
    blocks: int
    used_blocks: int
    free_blocks: int
    tables: tuple[Table, ...]
    name: str
    """Of the database in its connection."""

    @property
    def facts(self) -> Facts:
        return {
            "storage_version": self.storage_version,
            "block_size": self.block_size,
            "blocks": self.blocks,
            "free_blocks": self.free_blocks,
            "free_bytes": self.free_blocks * self.block_size,
            "tables": len(self.tables),
        }


async def read_contents(connection: Connection) -> Contents:
    """Raises duckdb.Error."""
    ((name,),) = await connection.rows("SELECT current_database()")
    ((version, *numbers),) = await connection.rows(_DATABASE)
    block_size, blocks, used, free = map(int, numbers)
    return Contents(
        storage_version=str(version or ""),
        block_size=block_size,
        blocks=blocks,
        used_blocks=used,
        free_blocks=free,
        tables=tuple(Table(*row) for row in await connection.rows(_TABLES)),
        name=str(name),
    )


async def obstacle(connection: Connection, contents: Contents) -> str:
    """What keeps DuckDB from copying all of it, as a sentence; "" for nothing. Raises duckdb.Error."""
    for kind, command in (await _catalog(connection)).items():
        if kind not in _COPIED and await connection.rows(command, [contents.name]):
            what = kind.removeprefix("duckdb_").replace("_", " ")
            return f"this version of dbtend does not know how to copy its {what} ({kind}()): use a newer one"
    for table in await connection.rows(_SELF_REFERENCES):
        name = Table(*table).shown
        return f"{name} has a foreign key to itself, and DuckDB cannot copy such a table: drop that key first"
    return ""


async def _catalog(connection: Connection) -> dict[str, str]:
    """By kind of object: the query for all that a copy must have, too."""
    queries = {}
    for (kind,) in await connection.rows(_KINDS):
        columns = [str(row[0]) for row in await connection.rows(f"DESCRIBE SELECT * FROM {kind}()")]
        if "database_name" in columns:
            compared = [quote(name) for name in columns if name not in _OF_ONE_DATABASE and not name.endswith("oid")]
            of_users = " AND NOT internal" if "internal" in columns else ""
            queries[str(kind)] = (
                f"SELECT {', '.join(compared)} FROM {kind}() WHERE database_name = ?{of_users} ORDER BY ALL"
            )
    return queries


async def copy_triggers(connection: Connection, original: str, copy: str) -> None:
    """Give an attached copy its triggers, which COPY FROM DATABASE leaves out. Raises duckdb.Error."""
    if "duckdb_triggers" not in await _catalog(connection):
        return
    await connection.rows(f"USE {quote(copy)}.main")
    try:
        for (command,) in await connection.rows(
            "SELECT sql FROM duckdb_triggers() WHERE database_name = ?", [original]
        ):
            await connection.rows(command)
    finally:
        await connection.rows(f"USE {quote(original)}.main")


async def difference(connection: Connection, one: Contents, other: str, cancel: asyncio.Event) -> str:
    """What a copy, the attached database `other`, does not have as the original has it; "" for nothing.

    Raises duckdb.Error, StoppedError.
    """
    for kind, command in (await _catalog(connection)).items():
        if await connection.rows(command, [one.name]) != await connection.rows(command, [other]):
            return f"its {kind.removeprefix('duckdb_').replace('_', ' ')} are not the same"
    for table in one.tables:
        original, copied = [
            await connection.rows(HASHES.format(table=table.quoted(database)), cancel=cancel)
            for database in (one.name, other)
        ]
        if original != copied:
            return f"the rows of {table.shown} are not the same"
    return ""
