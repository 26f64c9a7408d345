"""The operations of each database engine, as the engine offers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from docs.generator.tables import Block, code, codes, table
from engine.targets.postgres.planning import operation_specs as postgres
from engine.targets.sqlite.planning import operation_specs as sqlite
from tui.presentation.lock_format import format_lock


def sqlite_operations() -> str:
    heading = ["operation", "what it does", "WAL mode", "rollback journal", "after a cancel"]
    return table(
        heading,
        (
            [code(name), offer.summary, format_lock(offer.wal), format_lock(offer.rollback), offer.after_cancel]
            for name, offer in sqlite.OFFERS.items()
        ),
    )


def postgres_operations() -> str:
    return table(
        ["operation", "what it does", "lock", "after a cancel"],
        (
            [code(name), offer.summary, format_lock(offer.lock), offer.after_cancel]
            for name, offer in postgres.SPECS.items()
        ),
    )


def default_operations() -> str:
    return table(
        ["engine", "operations without `--op`"],
        [["SQLite", codes(sqlite.DEFAULT_OPERATIONS)], ["PostgreSQL", codes(postgres.DEFAULT_OPERATIONS)]],
    )


BLOCKS: Final[Mapping[str, Block]] = {
    "sqlite-operations": sqlite_operations,
    "postgres-operations": postgres_operations,
    "default-operations": default_operations,
}
