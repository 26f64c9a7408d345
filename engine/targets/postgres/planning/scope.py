"""Which tables and indexes a request is for: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from engine.domain.errors import UsageError
from engine.domain.frozen import frozen
from engine.domain.requests import Operation, Options
from engine.targets.postgres.planning.operation_steps import Columns
from engine.targets.postgres.reading.names import Chosen, Relation, chosen
from engine.targets.postgres.reading.relations import Index, PartitionedIndex, Table

OF_TABLES: Final = frozenset(
    {Operation.VACUUM, Operation.ANALYZE, Operation.VACUUM_FULL, Operation.CLUSTER, Operation.REPACK}
)
"""Indexes matter to them only where one is named."""
_WITH_SYSTEM: Final = "add --system: it blocks all access to it until it ends"


@frozen(kw_only=True)
class Scope:
    """What an operation is to work on."""

    tables: Sequence[Table]
    indexes: Sequence[Index]
    is_named: bool
    """Whether these were asked for by name."""
    columns: Columns = field(default_factory=dict)
    """The columns of a table that alone are meant, by its oid."""


def scope(
    operation: Operation,
    options: Options,
    tables: Sequence[Table],
    indexes: Sequence[Index],
    partitions: Mapping[int, Sequence[int]],
    by_name_only: Sequence[Relation] = (),
) -> Scope:
    """`partitions`: of every table the oids of its direct children. `by_name_only`: what else may be named.

    Raises UsageError.
    """
    if options.leave_out:
        left_out = frozenset(options.leave_out)
        found = scope(operation, replace(options, leave_out=()), tables, indexes, partitions, by_name_only)
        return replace(
            found,
            tables=[table for table in found.tables if table.shown not in left_out],
            indexes=[index for index in found.indexes if index.table_shown not in left_out],
        )
    schemas, excluded = set(options.server.schemas), set(options.server.exclude_schemas)
    if not options.objects:
        _refuse_impossible_schemas(operation, options, tables)
        return Scope(
            tables=[t for t in tables if (not schemas or t.schema in schemas) and t.schema not in excluded],
            indexes=[
                i for i in indexes if (not schemas or i.table_schema in schemas) and i.table_schema not in excluded
            ],
            is_named=False,
        )
    named = chosen(options.objects, [*tables, *indexes, *by_name_only], schemas)
    for choice in named:
        parts = _with_partitions({choice.relation.oid}, partitions)
        _refuse_impossible(operation, options, choice, indexes, parts, tables)
    relations = [choice.relation for choice in named]
    tables = [*tables, *(table for table in relations if isinstance(table, Table) and table.is_foreign)]
    table_oids = _with_partitions({table.oid for table in relations if isinstance(table, Table)}, partitions)
    index_oids = {index.oid for index in relations if isinstance(index, Index)}
    index_oids.update(leaf for index in relations if isinstance(index, PartitionedIndex) for leaf in index.leaves)
    return Scope(
        tables=[table for table in tables if table.oid in table_oids],
        indexes=[index for index in indexes if index.oid in index_oids or index.table_oid in table_oids],
        is_named=True,
        columns={
            oid: choice.columns
            for choice in named
            if choice.columns
            for oid in _with_partitions({choice.relation.oid}, partitions)
        },
    )


def _refuse_impossible_schemas(operation: Operation, options: Options, tables: Sequence[Table]) -> None:
    """Raise UsageError for a named schema of the catalog where the rest is meant, and for another one with --system."""
    if operation not in {Operation.REINDEX, Operation.VACUUM_FULL}:
        return
    for schema in options.server.schemas:
        if {table.in_catalog for table in tables if table.schema == schema} == {not options.server.system}:
            problem = _not_of_catalog(options) or ("belongs to the catalog", _WITH_SYSTEM)
            raise UsageError(f"schema {schema}", *problem)


def _refuse_impossible(
    operation: Operation,
    options: Options,
    named: Chosen,
    indexes: Sequence[Index],
    parts: set[int],
    tables: Sequence[Table],
) -> None:
    """Raise UsageError if the operation cannot work on a named relation. `parts`: oids of table and partitions."""
    relation = named.relation
    if isinstance(relation, Index):
        problem = _problem_with_index(operation, options, relation)
    elif isinstance(relation, PartitionedIndex):
        problem = _problem_with_partitioned_index(operation, relation)
    else:
        own = [index for index in indexes if index.table_oid in parts]
        has_rows = any(table.oid in parts and not table.is_partitioned for table in tables)
        problem = _problem_with_table(operation, options, relation, own, has_rows=has_rows)
    if problem is None and named.columns and not _collects_statistics(operation, options):
        problem = "has a list of columns, which only statistics are collected of", "use analyze, or vacuum --analyze"
    if problem is not None:
        raise UsageError(f"object {named.shown}", *problem)


def _collects_statistics(operation: Operation, options: Options) -> bool:
    """Whether it collects statistics. A check counts, too: it may be requested together with what collects them."""
    is_vacuum = operation is Operation.VACUUM and options.server.analyze
    return is_vacuum or operation in {Operation.ANALYZE, Operation.CHECK}


def _problem_with_partitioned_index(operation: Operation, index: PartitionedIndex) -> tuple[str, str] | None:
    if operation in OF_TABLES:
        return "is an index", f"name its table: {index.table_shown}"
    if operation is Operation.CLEAN_LEFTOVERS:
        return "is not left over from REINDEX CONCURRENTLY", "name its table, or leave it out"
    return None if index.leaves else ("is partitioned, and has no partition on this server", "leave it out")


def _problem_with_index(operation: Operation, options: Options, index: Index) -> tuple[str, str] | None:
    """Why the operation cannot work on it, and a hint; None if it can."""
    if operation in OF_TABLES:
        return "is an index", f"name its table: {index.table_shown}"
    match operation:
        case Operation.REINDEX if index.in_catalog != options.server.system:
            return _not_of_catalog(options) or ("is an index of the catalog", _WITH_SYSTEM)
        case Operation.REINDEX if index.of_toast and options.server.tablespace is not None:
            return "is an index of a TOAST table, which cannot be moved", "leave out --tablespace, or name another"
        case Operation.OPTIMIZE if index.in_catalog:
            return "is an index of the catalog", f"reindex: {_WITH_SYSTEM}"
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


def _not_of_catalog(options: Options) -> tuple[str, str] | None:
    """The problem with tables outside the catalog if only the catalog was asked for."""
    return ("is not in the catalog", "leave out --system, or name another") if options.server.system else None


def _problem_with_table(
    operation: Operation, options: Options, table: Table, indexes: Sequence[Index], *, has_rows: bool
) -> tuple[str, str] | None:
    """`indexes`: its own, and those of its partitions. `has_rows`: whether it, or a partition, has any of its own."""
    match operation:
        case _ if table.is_foreign and operation is not Operation.ANALYZE:
            return "is a foreign table: only its statistics are kept here", "use analyze, or leave it out"
        case Operation.REINDEX | Operation.VACUUM_FULL if table.in_catalog != options.server.system:
            return _not_of_catalog(options) or ("is a table of the catalog", _WITH_SYSTEM)
        case Operation.CLUSTER if table.in_catalog:
            return "is a table of the catalog, which cluster leaves alone", "use vacuum-full --system, or leave it out"
        case Operation.REINDEX if not indexes:
            return "has no index", "name another, or leave it out"
        case Operation.VACUUM | Operation.VACUUM_FULL | Operation.CLUSTER | Operation.CHECK if not has_rows:
            return "is partitioned, and has no partition on this server", "name another, or leave it out"
        case _:
            return None


def _with_partitions(oids: set[int], partitions: Mapping[int, Sequence[int]]) -> set[int]:
    reached, waiting = set(oids), list(oids)
    while waiting:
        new = [child for child in partitions.get(waiting.pop(), ()) if child not in reached]
        reached.update(new)
        waiting += new
    return reached


def analyzed_with_parent(tables: Sequence[Table], partitions: Mapping[int, Sequence[int]]) -> dict[int, Table]:
    """The root of each partition that ANALYZE does with its root, as there is no ONLY: by the oid of the partition."""
    roots = [table for table in tables if table.is_partitioned]
    root_of: dict[int, Table] = {}
    for root in roots:
        for oid in _with_partitions({root.oid}, partitions) - {root.oid}:
            root_of.setdefault(oid, root)
    return {table.oid: root_of[table.oid] for table in tables if table.oid in root_of}
