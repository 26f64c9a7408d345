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
from engine.targets.postgres.planning.scope import Scope, analyzed_with_parent, scope
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.reading.ages import Old, aged_tables
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
    version, problem = reader.server.version, _problem(reader, options, needed)
    if problem:
        return OperationPlan(operation=Operation.OPTIMIZE, refused=problem)
    await reader.require(options)
    partitions = await partitions_of(reader)
    also = await by_name_only(reader, options)
    in_scope = scope(Operation.OPTIMIZE, options, needed.tables, needed.indexes, partitions, also)
    chosen = _indexes_in(in_scope, options, needed)
    tables, forbidden = _tables_in(in_scope, needed, chosen)
    to_vacuum = [table for table in tables if table.oid in needed.vacuum]
    old = await aged_tables(reader) if to_vacuum else {}
    recorded, not_recorded = recording(needed.drifted, {index.oid: index.shown for index in chosen.rebuilt})
    repacked = [table for table in in_scope.tables if table.oid in needed.left_by_pg_repack]
    pg_repack_drops, refused = pg_repack_steps.drop_steps(repacked, reader.server)
    rebuilds = operation_steps.reindex_steps(
        chosen.rebuilt,
        {table.oid: table for table in needed.tables},
        options,
        needed.reindex,
        [rebuild.drift for rebuild in needed.drifted],
        needed.expected,
    )
    repairs = [step for step in rebuilds if step.object in needed.damaged_indexes]
    of_tables = _table_steps(tables, options, needed, partitions, version, old)
    to_tend = [index for index in in_scope.indexes if index.oid in needed.tend and index.oid not in needed.reindex]
    steps = [
        *(replace(step, frees_conflict_early=False, expects_vacuum=False) for step in repairs),
        *pg_repack_drops,
        *operation_steps.drop_steps(allowed(leftovers_of(in_scope.indexes))[0]),
        *(_after_repairs(step, chosen.repaired) for step in of_tables),
        *operation_steps.tend_steps(to_tend, needed.tend, needed.table_pages),
        *(step for step in rebuilds if step not in repairs),
        *(operation_steps.database_statistics(version) if any(table.oid in old for table in to_vacuum) else ()),
        *recorded,
    ]
    emergency_warnings = operation_steps.emergency(to_vacuum, old)
    left_out = [f"left out: {chosen.why_others_stay}"] if chosen.why_others_stay else []
    damaged = {*needed.damaged, *options.leave_out}
    if in_scope.is_named:
        named = replace(options, leave_out=())
        meant = scope(Operation.OPTIMIZE, named, needed.tables, needed.indexes, partitions, also)
        damaged &= {*(table.shown for table in meant.tables), *(index.table_shown for index in meant.indexes)}
    if damaged:
        left_out.append(f"left out, as damaged: {listed(sorted(damaged), 3)}")
    planned = plan_of(
        Operation.OPTIMIZE,
        steps,
        reader.server,
        # In the order of the kinds of work, but first what the last run did not begin.
        NO_TURNS if emergency_warnings else replace(needed.turns, done={}),
        forbidden=[*forbidden, *chosen.forbidden],
        others_left_out=(chosen.others if in_scope.is_named else 0) + (len(repacked) if refused else 0),
        why_others=refused,
        warnings=[*emergency_warnings, *left_out, *not_recorded],
        not_needed=". ".join(left_out) or "nothing is needed",
    )
    return await in_parallel(planned, options, partial(connections, reader))


def _problem(reader: Reader, options: Options, needed: PlannedWork) -> str:
    """Why these options cannot be used; "" where they can."""
    problem = operation_steps.unsupported_option(options.server, reader.server.version)
    if needed.reindex and not problem:
        return operation_steps.unsafe_rebuild(options.server, reader.server.version)
    return problem


@frozen(kw_only=True)
class _ChosenIndexes:
    """Which indexes are rebuilt."""

    rebuilt: list[Index]
    repaired: list[Index]
    """The damaged ones among them."""
    forbidden: list[Index]
    others: int
    """How many cannot be rebuilt with these options,"""
    why_others_stay: str
    """and why."""


def _indexes_in(in_scope: Scope, options: Options, needed: PlannedWork) -> _ChosenIndexes:
    permitted, forbidden = allowed([index for index in in_scope.indexes if index.oid in needed.reindex])
    rebuilt, why_others_stay = rebuildable(permitted, options)
    return _ChosenIndexes(
        rebuilt=rebuilt,
        repaired=[index for index in rebuilt if index.shown in needed.damaged_indexes],
        forbidden=forbidden,
        others=len(permitted) - len(rebuilt),
        why_others_stay=why_others_stay,
    )


def _tables_in(in_scope: Scope, needed: PlannedWork, chosen: _ChosenIndexes) -> tuple[list[Table], list[Table]]:
    """The tables to vacuum or analyze, but for those whose damaged index stays as it is; and the forbidden ones."""
    wanted = [table for table in in_scope.tables if table.oid in needed.vacuum or table.oid in needed.analyze]
    permitted, forbidden = allowed(wanted)
    in_doubt = {index.table_shown for index in needed.indexes if index.shown in needed.damaged_indexes}
    in_doubt -= {index.table_shown for index in chosen.repaired}
    return [table for table in permitted if table.shown not in in_doubt], forbidden


def _table_steps(
    tables: Sequence[Table],
    options: Options,
    needed: PlannedWork,
    partitions: Mapping[int, Sequence[int]],
    version: int,
    old: Mapping[int, Old],
) -> list[PgStep]:
    """VACUUM and ANALYZE of these tables, in one command where a table needs both; the oldest first."""
    stale = [table for table in tables if table.oid in needed.analyze]
    with_parent = {} if operation_steps.supports_only(version) else analyzed_with_parent(stale, partitions)
    to_analyze = [table for table in stale if table.oid not in with_parent]
    both = {table.oid for table in to_analyze if table.oid in needed.vacuum}
    with_analyze = replace(options, server=replace(options.server, analyze=True))
    to_vacuum = [table for table in tables if table.oid in needed.vacuum]
    groups = (
        ([table for table in to_vacuum if table.oid in both], with_analyze),
        ([table for table in to_vacuum if table.oid not in both], options),
    )
    first = [
        step
        for group, its_options in groups
        for step in operation_steps.vacuum_steps(group, its_options, version, needed.vacuum, old)
    ]
    then = [
        step
        for group, its_options in groups
        for step in operation_steps.after_emergency(group, its_options, version, old)
    ]
    only_analyzed = [table for table in to_analyze if table.oid not in both]
    return [
        *(with_conflict_of_root(step, with_parent) for step in operation_steps.oldest_first(first, old)),
        *(with_conflict_of_root(step, with_parent) for step in then),
        *operation_steps.analyze_steps(only_analyzed, options, version, needed.analyze),
    ]


def _after_repairs(step: PgStep, repaired: Sequence[Index]) -> PgStep:
    """The step as one that is skipped while a damaged index of its tables is not rebuilt."""
    before = tuple(index.shown for index in repaired if index.table_shown in step.tables)
    return replace(step, required_objects=before) if before else step
