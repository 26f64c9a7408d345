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
_DECLARED: Final = {
    "schemas": "schema_name, comment FROM duckdb_schemas()",
    "tables": "schema_name, table_name, sql, comment FROM duckdb_tables()",
    "columns": "schema_name, table_name, column_name, data_type, column_default, is_nullable, comment"
    " FROM duckdb_columns()",
    "constraints": "schema_name, table_name, constraint_text FROM duckdb_constraints()",
    "indexes": "schema_name, index_name, table_name, is_unique, sql, comment FROM duckdb_indexes()",
    "views": "schema_name, view_name, sql, comment FROM duckdb_views()",
    "sequences": "schema_name, sequence_name, start_value, min_value, max_value, increment_by, cycle, last_value,"
    " comment FROM duckdb_sequences()",
    "macros": "schema_name, function_name, function_type, parameters, macro_definition, comment"
    " FROM duckdb_functions()",
    "types": "schema_name, type_name, logical_type, labels, comment FROM duckdb_types()",
}
"""By kind: what is compared of each object."""


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


async def difference(connection: Connection, one: Contents, other: str, cancel: asyncio.Event) -> str:
    """What a copy, the attached database `other`, does not have as the original has it; "" for nothing.

    Raises duckdb.Error, StoppedError.
    """
    for kind, declared in _DECLARED.items():
        of_users = " AND NOT internal" if kind not in {"indexes", "constraints", "sequences"} else ""
        command = f"SELECT {declared} WHERE database_name = ?{of_users} ORDER BY ALL"
        if await connection.rows(command, [one.name]) != await connection.rows(command, [other]):
            return f"its {kind} are not the same"
    for table in one.tables:
        original, copied = [
            await connection.rows(HASHES.format(table=table.quoted(database)), cancel=cancel)
            for database in (one.name, other)
        ]
        if original != copied:
            return f"the rows of {table.shown} are not the same"
    return ""
