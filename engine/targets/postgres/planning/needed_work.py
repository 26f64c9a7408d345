"""Makes the plan of `optimize`: the work that advice asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace

from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import Operation, Options
from engine.domain.turns import NO_TURNS, Turns
from engine.targets.plans import OperationPlan
from engine.targets.postgres.planning import operation_steps
from engine.targets.postgres.planning.collation_steps import recording
from engine.targets.postgres.planning.planner import (
    by_name_only,
    in_parallel,
    leftovers_of,
    partitions_of,
    plan_of,
    rebuildable,
)
from engine.targets.postgres.planning.rights import allowed
from engine.targets.postgres.planning.scope import analyzed_with_parent, scope
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.reading.ages import aged_tables
from engine.targets.postgres.reading.collations import CollationRebuild
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import Index, Table


@frozen(kw_only=True)
class PlannedWork:
    """The work that advice asks for: reasons by oid of table or index."""

    tables: Sequence[Table]
    """All tables of the database; `indexes` all its indexes."""
    indexes: Sequence[Index]
    vacuum: Mapping[int, str]
    analyze: Mapping[int, str]
    reindex: Mapping[int, str]
    tend: Mapping[int, str] = field(default_factory=dict)
    table_pages: Mapping[int, int] = field(default_factory=dict)
    """Pages of the tables of the indexes in `tend`, by oid."""
    drifted: Sequence[CollationRebuild] = ()
    turns: Turns = NO_TURNS
    damaged: Collection[str] = ()
    """Names of damaged tables, which are left out."""


async def plan_needed(reader: Reader, options: Options, needed: PlannedWork) -> OperationPlan:
    """The plan of `optimize`: the work that advice asks for."""
    version = reader.server.version
    tables, indexes = needed.tables, needed.indexes
    vacuum, analyze, reindex = needed.vacuum, needed.analyze, needed.reindex
    problem = operation_steps.unsupported_option(options.server, version) or (
        operation_steps.unsafe_rebuild(options.server, version) if reindex else ""
    )
    if problem:
        return OperationPlan(operation=Operation.OPTIMIZE, refused=problem)
    await reader.require(options)
    partitions = await partitions_of(reader)
    found = scope(Operation.OPTIMIZE, options, tables, indexes, partitions, await by_name_only(reader, options))
    of_tables, forbidden_tables = allowed([t for t in found.tables if t.oid in vacuum or t.oid in analyze])
    tended = [index for index in found.indexes if index.oid in needed.tend and index.oid not in reindex]
    of_indexes, forbidden_indexes = allowed([index for index in found.indexes if index.oid in reindex])
    of_indexes, exclusive = rebuildable(of_indexes, options)
    leftovers, _ = allowed(leftovers_of(found.indexes))
    stale = [table for table in of_tables if table.oid in analyze]
    along = {} if operation_steps.supports_only(version) else analyzed_with_parent(stale, partitions)
    stale = [table for table in stale if table.oid not in along]
    with_statistics = {table.oid for table in stale if table.oid in vacuum}
    both = replace(options, server=replace(options.server, analyze=True))
    dirty = [table for table in of_tables if table.oid in vacuum]
    old = await aged_tables(reader) if dirty else {}
    recorded, not_recorded = recording(needed.drifted, {index.oid: index.shown for index in of_indexes})
    steps = [
        *operation_steps.drop_steps(leftovers),
        *operation_steps.vacuum_steps(
            [table for table in dirty if table.oid in with_statistics], both, version, vacuum, old
        ),
        *[
            replace(step, conflict=_conflict(step, along))
            for step in operation_steps.vacuum_steps(
                [table for table in dirty if table.oid not in with_statistics], options, version, vacuum, old
            )
        ],
        *operation_steps.analyze_steps(
            [table for table in stale if table.oid not in vacuum], options, version, analyze
        ),
        *operation_steps.tend_steps(tended, needed.tend, needed.table_pages),
        *operation_steps.reindex_steps(
            of_indexes, {table.oid: table for table in tables}, options, reindex, [one.drift for one in needed.drifted]
        ),
        *(operation_steps.database_statistics(version) if any(table.oid in old for table in dirty) else ()),
        *recorded,
    ]
    hurried = operation_steps.emergency(dirty, old)
    left_out = [f"left out: {exclusive}"] if exclusive else []
    if damaged := sorted({*needed.damaged, *options.leave_out}):
        left_out.append(f"left out: the last check found damage in {listed(damaged, 3)}")
    planned = plan_of(
        Operation.OPTIMIZE,
        steps,
        reader.server,
        NO_TURNS if hurried else replace(needed.turns, done={}),  # by kind of work, except for the rest of the last run
        forbidden=[*forbidden_tables, *forbidden_indexes],
        warnings=[*hurried, *left_out, *not_recorded],
        nothing=". ".join(left_out) or "nothing is needed",
    )
    return await in_parallel(reader, planned, options) if planned.steps else planned


def _conflict(step: PgStep, along: Mapping[int, Table]) -> str:
    """A partition is not vacuumed while the table that takes it along is analyzed: that would wait for its lock."""
    root = along.get(step.subject.oid) if step.subject is not None else None
    return step.conflict if root is None else root.shown
