"""Makes the plan of `optimize`: the work that advice asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import field, replace
from functools import partial

from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import Operation, Options
from engine.domain.turns import NO_TURNS, Turns
from engine.targets.plans import OperationPlan, in_parallel
from engine.targets.postgres.planning import operation_steps, pg_repack_steps
from engine.targets.postgres.planning.collation_steps import recording
from engine.targets.postgres.planning.planner import (
    by_name_only,
    connections,
    leftovers_of,
    partitions_of,
    plan_of,
    rebuildable,
    with_conflict_of_root,
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
    expected: Collection[int] = ()
    """The oids of the indexes in `reindex` that may be bloated: only the VACUUM before will show it."""
    table_pages: Mapping[int, int] = field(default_factory=dict)
    """Pages of the tables of the indexes in `tend`, by oid."""
    left_by_pg_repack: Collection[int] = ()
    """The oids of tables where an interrupted pg_repack left something."""
    drifted: Sequence[CollationRebuild] = ()
    turns: Turns = NO_TURNS
    damaged: Collection[str] = ()
    """Names of damaged tables, which are left out."""
    damaged_indexes: Collection[str] = ()
    """Names of damaged indexes: nothing else is done with their tables before they are rebuilt."""


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
    also = await by_name_only(reader, options)
    in_scope = scope(Operation.OPTIMIZE, options, tables, indexes, partitions, also)
    permitted_tables, forbidden_tables = allowed(
        [table for table in in_scope.tables if table.oid in vacuum or table.oid in analyze]
    )
    to_tend = [index for index in in_scope.indexes if index.oid in needed.tend and index.oid not in reindex]
    permitted_indexes, forbidden_indexes = allowed([index for index in in_scope.indexes if index.oid in reindex])
    to_rebuild, why_others_stay = rebuildable(permitted_indexes, options)
    repaired = [index for index in to_rebuild if index.shown in needed.damaged_indexes]
    in_doubt = {index.table_shown for index in indexes if index.shown in needed.damaged_indexes}
    in_doubt -= {index.table_shown for index in repaired}
    permitted_tables = [table for table in permitted_tables if table.shown not in in_doubt]
    leftovers, _ = allowed(leftovers_of(in_scope.indexes))
    repacked = [table for table in in_scope.tables if table.oid in needed.left_by_pg_repack]
    pg_repack_drops, refused = pg_repack_steps.drop_steps(repacked, reader.server)
    stale = [table for table in permitted_tables if table.oid in analyze]
    with_parent = {} if operation_steps.supports_only(version) else analyzed_with_parent(stale, partitions)
    to_analyze = [table for table in stale if table.oid not in with_parent]
    vacuumed_and_analyzed = {table.oid for table in to_analyze if table.oid in vacuum}
    with_analyze = replace(options, server=replace(options.server, analyze=True))
    to_vacuum = [table for table in permitted_tables if table.oid in vacuum]
    old = await aged_tables(reader) if to_vacuum else {}
    recorded, not_recorded = recording(needed.drifted, {index.oid: index.shown for index in to_rebuild})
    analyzed_too = [table for table in to_vacuum if table.oid in vacuumed_and_analyzed]
    only_vacuumed = [table for table in to_vacuum if table.oid not in vacuumed_and_analyzed]
    first = [
        *operation_steps.vacuum_steps(analyzed_too, with_analyze, version, vacuum, old),
        *operation_steps.vacuum_steps(only_vacuumed, options, version, vacuum, old),
    ]
    vacuum_steps = [
        *operation_steps.oldest_first(first, old),
        *operation_steps.after_emergency(analyzed_too, with_analyze, version, old),
        *operation_steps.after_emergency(only_vacuumed, options, version, old),
    ]
    rebuilds = operation_steps.reindex_steps(
        to_rebuild,
        {table.oid: table for table in tables},
        options,
        reindex,
        [rebuild.drift for rebuild in needed.drifted],
        needed.expected,
    )
    repairs = [step for step in rebuilds if step.object in needed.damaged_indexes]
    analyze_steps = operation_steps.analyze_steps(
        [table for table in to_analyze if table.oid not in vacuum], options, version, analyze
    )
    steps = [
        *(replace(step, frees_conflict_early=False, expects_vacuum=False) for step in repairs),
        *pg_repack_drops,
        *operation_steps.drop_steps(leftovers),
        *(_after_repairs(with_conflict_of_root(step, with_parent), repaired) for step in vacuum_steps),
        *(_after_repairs(step, repaired) for step in analyze_steps),
        *operation_steps.tend_steps(to_tend, needed.tend, needed.table_pages),
        *(step for step in rebuilds if step not in repairs),
        *(operation_steps.database_statistics(version) if any(table.oid in old for table in to_vacuum) else ()),
        *recorded,
    ]
    emergency_warnings = operation_steps.emergency(to_vacuum, old)
    left_out = [f"left out: {why_others_stay}"] if why_others_stay else []
    damaged = sorted({*needed.damaged, *options.leave_out})
    if in_scope.is_named:
        named = scope(Operation.OPTIMIZE, replace(options, leave_out=()), tables, indexes, partitions, also)
        meant = {*(table.shown for table in named.tables), *(index.table_shown for index in named.indexes)}
        damaged = [name for name in damaged if name in meant]
    if damaged:
        left_out.append(f"left out: the last check found damage in {listed(damaged, 3)}")
    planned = plan_of(
        Operation.OPTIMIZE,
        steps,
        reader.server,
        # In the order of the kinds of work, but first what the last run did not begin.
        NO_TURNS if emergency_warnings else replace(needed.turns, done={}),
        forbidden=[*forbidden_tables, *forbidden_indexes],
        others_left_out=(len(permitted_indexes) - len(to_rebuild) if in_scope.is_named else 0)
        + (len(repacked) if refused else 0),
        why_others=refused,
        warnings=[*emergency_warnings, *left_out, *not_recorded],
        not_needed=". ".join(left_out) or "nothing is needed",
    )
    return await in_parallel(planned, options, partial(connections, reader))


def _after_repairs(step: PgStep, repaired: Sequence[Index]) -> PgStep:
    """The step as one that is skipped while a damaged index of its tables is not rebuilt."""
    before = tuple(index.shown for index in repaired if index.table_shown in step.tables)
    return replace(step, required_objects=before) if before else step
