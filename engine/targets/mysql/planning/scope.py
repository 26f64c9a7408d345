"""Which tables a request is for: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.errors import UsageError
from engine.domain.requests import Operation, Options
from engine.targets.mysql.connection.names import qualified, shown
from engine.targets.mysql.planning.operation_steps import ANALYZABLE, CHECKABLE, REBUILDABLE
from engine.targets.mysql.reading.tables import REPAIRABLE, Table

_ENGINES: Final = {
    Operation.ANALYZE: ANALYZABLE,
    Operation.REBUILD: REBUILDABLE,
    Operation.CHECK: CHECKABLE,
    Operation.REPAIR: REPAIRABLE,
    Operation.OPTIMIZE: REBUILDABLE,
}
"""The storage engines that each operation works on."""


_FOR_DAMAGED: Final = frozenset({Operation.CHECK, Operation.REPAIR})
"""The operations that are there for damaged tables."""


def scope(operation: Operation, options: Options, tables: Sequence[Table]) -> list[Table]:
    """The tables that the operation is to work on. Raises UsageError for a name that is none of these."""
    engines = _ENGINES[operation]
    possible = [table for table in tables if (table.engine in engines or table.is_locked) and not table.is_sequence]
    if operation not in _FOR_DAMAGED:
        possible = [table for table in possible if not table.comment]
    left_out = frozenset(options.leave_out) if operation is not Operation.REPAIR else frozenset()
    if not options.objects:
        return [table for table in possible if table.shown not in left_out]
    named = [table for table in chosen(options.objects, tables) if table.shown not in left_out]
    for table in named:
        if table not in possible:
            what = "is a sequence" if table.is_sequence else f"is a table of {table.engine or 'an unknown engine'}"
            works_on = ", ".join(sorted(filter(None, engines)))
            raise UsageError(f"object {table.shown}", what, f"{operation} works on tables of {works_on}")
    return named


def chosen(objects: Sequence[str], tables: Sequence[Table]) -> list[Table]:
    """The tables that these names mean. Raises UsageError."""
    by_name = {name: table for table in tables for name in _names(table)}
    by_lower_case: dict[str, list[Table]] = {}
    for table in tables:
        by_lower_case.setdefault(table.name.lower(), []).append(table)
    found: dict[str, str] = {}
    for name in objects:
        meant = by_name.get(name) or _only(by_lower_case.get(name.lower(), ()))
        if meant is None:
            raise UsageError(f"object {name}", "is no table of the database", "list them with SHOW TABLES")
        if meant.name in found:
            raise UsageError(f"object {name}", f"is named twice, also as {found[meant.name]}", "name it once")
        found[meant.name] = name
    return [table for table in tables if table.name in found]


def _names(table: Table) -> frozenset[str]:
    """The ways to write the name of a table: `orders`, `shop.orders`, quoted or not."""
    in_database = f"{table.database}.{table.name}", f"{shown(table.database)}.{table.shown}"
    return frozenset({table.name, table.shown, *in_database, qualified(table.database, table.name)})


def _only(tables: Sequence[Table]) -> Table | None:
    return tables[0] if len(tables) == 1 else None
