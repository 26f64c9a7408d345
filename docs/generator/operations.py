"""The operations of each database engine, as the engine offers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from docs.generator.tables import Block, code, codes, table
from engine.domain.requests import Operation
from engine.targets.duckdb import operation_specs as duckdb
from engine.targets.mysql.planning import operation_specs as mysql
from engine.targets.operation_specs import OperationSpec
from engine.targets.postgres.planning import operation_specs as postgres
from engine.targets.sqlite.planning import operation_specs as sqlite
from tui.presentation.lock_format import format_lock


def sqlite_operations() -> str:
    what = table(
        ["operation", "what it does", "after a cancel"],
        ([code(name), spec.summary, spec.after_cancel] for name, spec in sqlite.SPECS.items()),
    )
    locks = table(
        ["operation", "in WAL mode it", "with a rollback journal it"],
        ([code(name), *(format_lock(sqlite.lock_of(name, wal=wal)) for wal in (True, False))] for name in sqlite.SPECS),
    )
    return f"{what}\n\n{locks}"


def postgres_operations() -> str:
    return _with_locks(postgres.SPECS)


def mysql_operations() -> str:
    return _with_locks(mysql.SPECS)


def duckdb_operations() -> str:
    return _with_locks(duckdb.SPECS)


def _with_locks(specs: Mapping[Operation, OperationSpec]) -> str:
    return table(
        ["operation", "what it does", "lock", "after a cancel"],
        ([code(name), spec.summary, format_lock(spec.lock), spec.after_cancel] for name, spec in specs.items()),
    )


def default_operations() -> str:
    return table(
        ["engine", "operations without `--op`"],
        [
            ["SQLite", codes(sqlite.DEFAULT_OPERATIONS)],
            ["PostgreSQL", codes(postgres.DEFAULT_OPERATIONS)],
            ["MariaDB, MySQL", codes(mysql.DEFAULT_OPERATIONS)],
            ["DuckDB", codes(duckdb.DEFAULT_OPERATIONS)],
        ],
    )


BLOCKS: Final[Mapping[str, Block]] = {
    "sqlite-operations": sqlite_operations,
    "postgres-operations": postgres_operations,
    "mysql-operations": mysql_operations,
    "duckdb-operations": duckdb_operations,
    "default-operations": default_operations,
}
