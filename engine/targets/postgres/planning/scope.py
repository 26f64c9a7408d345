"""Which tables and indexes a request is for: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.requests import Operation, Options
from engine.targets.postgres.reading.names import chosen
from engine.targets.postgres.reading.relations import Index, Table

_OF_TABLES: Final = frozenset({Operation.VACUUM, Operation.ANALYZE, Operation.VACUUM_FULL, Operation.CLUSTER})


@frozen(kw_only=True)
class Scope:
    """What an operation is to work on."""

    tables: Sequence[Table]
    indexes: Sequence[Index]
    is_named: bool
    """Whether these were asked for by name."""


def scope(
    operation: Operation,
    options: Options,
    tables: Sequence[Table],
    indexes: Sequence[Index],
    partitions: Mapping[int, Sequence[int]],
) -> Scope:
    """`partitions`: of every table the oids of its direct children. Raises UsageError.

    A check changes nothing, and leaves nothing out.
    """
    left_out = frozenset(options.leave_out)
    if left_out and operation is not Operation.CHECK:
        tables = [table for table in tables if table.shown not in left_out]
        indexes = [index for index in indexes if index.table_shown not in left_out]
    schemas = set(options.server.schemas)
    if not options.objects:
        return Scope(
            tables=[table for table in tables if not schemas or table.schema in schemas],
            indexes=[index for index in indexes if not schemas or index.table_schema in schemas],
            is_named=False,
        )
    named = chosen(options.objects, [*tables, *indexes], schemas)
    for relation in named:
        _refuse_impossible(operation, relation, indexes, _with_partitions({relation.oid}, partitions), tables)
    wanted = {table.oid for table in named if isinstance(table, Table)}
    if operation is not Operation.ANALYZE:  # which takes the partitions along, or is asked for the parent's statistics
        wanted = _with_partitions(wanted, partitions)
    by_name = {index.oid for index in named if isinstance(index, Index)}
    return Scope(
        tables=[table for table in tables if table.oid in wanted],
        indexes=[index for index in indexes if index.oid in by_name or index.table_oid in wanted],
        is_named=True,
    )


def _refuse_impossible(
    operation: Operation, relation: Table | Index, indexes: Sequence[Index], parts: set[int], tables: Sequence[Table]
) -> None:
    """Raise UsageError if the operation cannot work on a named relation. `parts`: oids of table and partitions."""
    problem = _problem_with_index(operation, relation) if isinstance(relation, Index) else None
    if isinstance(relation, Table):
        own = [index for index in indexes if index.table_oid in parts]
        has_rows = any(table.oid in parts and not table.is_partitioned for table in tables)
        problem = _problem_with_table(operation, relation, own, has_rows=has_rows)
    if problem is not None:
        raise UsageError(f"object {relation.shown}", *problem)


def _problem_with_index(operation: Operation, index: Index) -> tuple[str, str] | None:
    """Why the operation cannot work on it, and a hint; None if it can."""
    if operation in _OF_TABLES:
        return "is an index", f"name its table: {index.table_shown}"
    by_hand = f"as a superuser, REINDEX INDEX {index.sql}. It blocks all access until it ends"
    match operation:
        case Operation.REINDEX | Operation.OPTIMIZE if index.in_catalog:
            return "is an index of the catalog, which cannot be rebuilt concurrently", by_hand
        case Operation.REINDEX if index.is_leftover and not index.is_valid:
            return "is left over from REINDEX CONCURRENTLY", "the operation clean-leftovers drops it"
        case Operation.CHECK if index.method != "btree":
            return f"is an index of the kind {index.method}: amcheck looks at B-trees only", "name its table"
        case Operation.CHECK if not index.is_valid:
            return "is invalid: there is nothing to check", "reindex rebuilds it, or drop it"
        case Operation.CLEAN_LEFTOVERS if not index.is_leftover or index.is_valid:
            return "is not left over from REINDEX CONCURRENTLY", "name its table, or leave it out"
        case _:
            return None


def _problem_with_table(
    operation: Operation, table: Table, indexes: Sequence[Index], *, has_rows: bool
) -> tuple[str, str] | None:
    """`indexes`: its own, and those of its partitions. `has_rows`: whether it, or a partition, has any of its own."""
    command = {Operation.REINDEX: "REINDEX TABLE", Operation.VACUUM_FULL: "VACUUM FULL"}.get(operation, "CLUSTER")
    by_hand = f"as a superuser, {command} {table.sql}. It blocks all access until it ends"
    match operation:
        case Operation.REINDEX | Operation.VACUUM_FULL | Operation.CLUSTER if table.in_catalog:
            return f"is a table of the catalog, which {operation} leaves alone", by_hand
        case Operation.REINDEX if not indexes:
            return "has no index", "name another, or leave it out"
        case Operation.VACUUM | Operation.VACUUM_FULL | Operation.CLUSTER | Operation.CHECK if not has_rows:
            return "is partitioned, and has no partition on this server", "name another, or leave it out"
        case _:
            return None


def _with_partitions(oids: set[int], partitions: Mapping[int, Sequence[int]]) -> set[int]:
    found, waiting = set(oids), list(oids)
    while waiting:
        new = [child for child in partitions.get(waiting.pop(), ()) if child not in found]
        found.update(new)
        waiting += new
    return found


def analyzed_with_parent(tables: Sequence[Table], partitions: Mapping[int, Sequence[int]]) -> dict[int, Table]:
    """By oid, those of these tables that a partitioned one of them takes along in ANALYZE where there is no ONLY."""
    roots = [table for table in tables if table.is_partitioned]
    found: dict[int, Table] = {}
    for root in roots:
        for oid in _with_partitions({root.oid}, partitions) - {root.oid}:
            found.setdefault(oid, root)
    return {table.oid: found[table.oid] for table in tables if table.oid in found}
