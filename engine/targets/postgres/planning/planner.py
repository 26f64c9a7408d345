"""Makes the plan of an operation from the catalog."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from engine.domain.advice import TargetHistory
from engine.domain.errors import UsageError
from engine.domain.humanize import listed
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.turns import NO_TURNS, Turns
from engine.targets.disk_space import fit_at_once
from engine.targets.plans import OperationPlan, by_turn, fitting
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.planning import check_steps, operation_steps, pg_repack_steps, repack_steps
from engine.targets.postgres.planning.collation_steps import recording
from engine.targets.postgres.planning.rights import allowed, missing_rights, unprivileged
from engine.targets.postgres.planning.scope import OF_TABLES, Scope, analyzed_with_parent, scope
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.reading import repack, repack_client, xmin_horizon
from engine.targets.postgres.reading.ages import aged_tables, tables_older_than
from engine.targets.postgres.reading.amcheck import amcheck
from engine.targets.postgres.reading.collations import CollationRebuild, collation_rebuild, drifts
from engine.targets.postgres.reading.missing_statistics import without_statistics
from engine.targets.postgres.reading.names import Relation
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import Index, Table
from engine.targets.postgres.reading.repack import Surroundings
from engine.targets.postgres.reading.server_disks import disk_needs
from engine.targets.postgres.reading.tablespaces import tablespace_problem

_NO_ROOM: Final = "Free some space there, or use --force: a full disk stops the writes of all sessions"
KEPT_FREE: Final = 3
"""Connections of the server that are left to others."""
# Not what inherits without being a part: that is a table of its own.
PARTITIONS: Final = """
SELECT h.inhparent::int8, h.inhrelid::int8 FROM pg_inherits AS h JOIN pg_class AS c ON c.oid = h.inhrelid
WHERE c.relispartition
"""
# A role without pg_read_all_stats does not see backend_type of others.
_SESSIONS: Final = """
(SELECT usesysid, datid FROM pg_stat_activity
WHERE usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend')
"""
FREE_CONNECTIONS: Final = f"""
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
        - (SELECT count(*) FROM {_SESSIONS} AS s)::int,
    CASE WHEN NOT r.rolsuper THEN least(
        CASE WHEN r.rolconnlimit >= 0 THEN
            r.rolconnlimit - (SELECT count(*) FROM {_SESSIONS} AS s WHERE s.usesysid = r.oid) END,
        CASE WHEN d.datconnlimit >= 0 THEN
            d.datconnlimit - (SELECT count(*) FROM {_SESSIONS} AS s WHERE s.datid = d.oid) END)::int END
FROM pg_roles AS r, pg_database AS d WHERE r.rolname = session_user AND d.datname = current_database()
"""


async def plan(
    reader: Reader,
    operation: Operation,
    options: Options,
    past: TargetHistory,
    dead: Mapping[int, float] = MappingProxyType({}),
) -> OperationPlan:
    """See `Session.plan`. `dead`: for rewrites, the share of tables that is dead space, by oid, if known."""
    version = reader.server.version
    if problem := operation_steps.unsupported_option(options.server, version):
        return OperationPlan(operation=operation, refused=problem)
    tables = await reader.tables(measured=True)
    needs_indexes = operation not in OF_TABLES or options.objects
    indexes = await reader.indexes(measured=True) if needs_indexes else []
    await reader.require(options)
    partitions = await partitions_of(reader)
    found = scope(operation, options, tables, indexes, partitions, await by_name_only(reader, options))
    if unmovable := await tablespace_problem(reader, options.server.tablespace):
        return OperationPlan(operation=operation, refused=unmovable)
    if (oldest := _least_ages(options)) is not None:
        old_enough = await tables_older_than(reader, *oldest)
        found = replace(found, tables=[table for table in found.tables if table.oid in old_enough])
    if operation is Operation.ANALYZE:
        planned = await _analyze(reader, options, found, partitions, past.turns)
    elif operation is Operation.REINDEX:
        drifted = [collation_rebuild(drift, indexes, past) for drift in await drifts(reader)]
        planned = _reindex(options, found, {table.oid: table for table in tables}, reader, drifted, past.turns)
    else:
        planned = await _planned(reader, operation, options, found, past.turns, dead)
    if not planned.steps:
        return planned
    if (options.jobs or 1) > 1:
        if options.server.system:  # in parallel they could deadlock
            return replace(planned, warnings=(*planned.warnings, "the catalog is rebuilt one table at a time"))
        if planned.steps[0].conflict == repack_client.PROGRAM:
            return replace(planned, warnings=(*planned.warnings, "pg_repack rewrites one table at a time"))
    return await in_parallel(reader, planned, options)


def _least_ages(options: Options) -> tuple[int, int] | None:
    """The least ages of transaction ids and multixacts; None where all tables are meant."""
    xids, multixacts = options.server.min_xid_age, options.server.min_mxid_age
    return None if xids is None and multixacts is None else (xids or 0, multixacts or 0)


async def by_name_only(reader: Reader, options: Options) -> Sequence[Relation]:
    """Relations that only their name selects; see `Reader.by_name_only`."""
    return await reader.by_name_only() if options.objects else ()


async def require(reader: Reader, operations: Sequence[Operation], options: Options) -> None:
    """Raise UsageError for an object to which one of the operations can do nothing."""
    tables, indexes, partitions = await reader.tables(), await reader.indexes(), await partitions_of(reader)
    also = await by_name_only(reader, options)
    for operation in operations:
        scope(operation, replace(options, objects=options.objects_for(operation)), tables, indexes, partitions, also)
    await tablespace_problem(reader, options.server.tablespace)


async def partitions_of(reader: Reader) -> dict[int, list[int]]:
    """The oids of the direct children of every table that has any."""
    children: dict[int, list[int]] = {}
    for parent, child in await reader.rows(PARTITIONS, row=(int, int)):
        children.setdefault(parent, []).append(child)
    return children


async def _planned(
    reader: Reader, operation: Operation, options: Options, found: Scope, turns: Turns, dead: Mapping[int, float]
) -> OperationPlan:
    server = reader.server
    match operation:
        case Operation.VACUUM:
            wanted, forbidden = allowed([table for table in found.tables if not table.is_partitioned])
            old = await aged_tables(reader)
            steps = operation_steps.vacuum_steps(wanted, options, server.version, {}, old, found.columns)
            if steps and not found.is_named:
                steps += operation_steps.database_statistics(server.version)
            held = xmin_horizon.warnings(await xmin_horizon.read(reader))
            hurried = operation_steps.emergency(wanted, old)
            return plan_of(
                operation,
                steps,
                server,
                NO_TURNS if hurried else turns,
                forbidden=forbidden,
                warnings=[*hurried, *held],
                nothing=_too_young(options),
            )
        case Operation.VACUUM_FULL | Operation.CLUSTER:
            return await _rewrite(reader, operation, options, found, turns, dead)
        case Operation.REPACK:
            return await _repack(reader, options, found, turns, dead)
        case Operation.CLEAN_LEFTOVERS:
            leftovers, forbidden_leftovers = allowed(leftovers_of(found.indexes))
            steps = operation_steps.drop_steps(leftovers)
            nothing = "no leftover index"
            return plan_of(operation, steps, server, turns, forbidden=forbidden_leftovers, nothing=nothing)
        case Operation.CHECK:
            return await _check(reader, options, found, turns)
        case _:
            raise UsageError(str(operation), "PostgreSQL has no such operation")


async def _analyze(
    reader: Reader, options: Options, found: Scope, partitions: Mapping[int, Sequence[int]], turns: Turns
) -> OperationPlan:
    version = reader.server.version
    wanted, forbidden = allowed(found.tables)
    if options.server.missing_only:
        lacking = await without_statistics(reader)
        wanted = [table for table in wanted if table.oid in lacking]
        if not wanted:
            return OperationPlan(operation=Operation.ANALYZE, not_needed="every table has statistics")
    along = {} if operation_steps.supports_only(version) else analyzed_with_parent(wanted, partitions)
    wanted = [table for table in wanted if table.oid not in along]
    steps = operation_steps.analyze_steps(wanted, options, version, {}, found.columns)
    return plan_of(Operation.ANALYZE, steps, reader.server, turns, forbidden=forbidden, nothing=_too_young(options))


def _too_young(options: Options) -> str:
    return "" if _least_ages(options) is None else "no table is that old"


def _reindex(
    options: Options,
    found: Scope,
    tables: dict[int, Table],
    reader: Reader,
    drifted: Sequence[CollationRebuild],
    turns: Turns,
) -> OperationPlan:
    if problem := operation_steps.unsafe_rebuild(options.server, reader.server.version):
        return OperationPlan(operation=Operation.REINDEX, refused=problem)
    of_catalog = options.server.system
    mine = [index for index in found.indexes if index.in_catalog == of_catalog and not index.is_leftover]
    invalid = [] if found.is_named else [index.shown for index in mine if not index.is_valid]
    mine = [index for index in mine if index.is_valid or found.is_named]
    wanted, forbidden = allowed(mine)
    if of_catalog and not wanted and forbidden:
        return _catalog_refused(Operation.REINDEX, reader.server)
    wanted, exclusive = rebuildable(wanted, options)
    if (
        exclusive and not (wanted or forbidden) and found.is_named and not found.tables
    ):  # an index is all that was named
        return OperationPlan(operation=Operation.REINDEX, refused=exclusive)
    nothing = [f"left out: {exclusive}"] if exclusive else []
    warnings = list(nothing)
    if leftovers := leftovers_of(found.indexes):
        names = listed([index.shown for index in leftovers])
        warnings.append(f"left out: leftovers, which clean-leftovers drops: {names}")
    if invalid:
        how = "reindex --object NAME rebuilds one, a unique one only without duplicates"
        nothing.append(f"left out: invalid indexes: {listed(invalid)}. Drop them, or name them: {how}")
        warnings.append(nothing[-1])
    steps = operation_steps.reindex_steps(wanted, tables, options, {}, [one.drift for one in drifted])
    recorded, not_recorded = recording(drifted, {index.oid: index.shown for index in wanted}) if steps else ([], [])
    return plan_of(
        Operation.REINDEX,
        [*steps, *recorded],
        reader.server,
        turns,
        forbidden=forbidden,
        warnings=[*warnings, *not_recorded],
        nothing=". ".join(nothing),
    )


def _catalog_refused(operation: Operation, server: Server) -> OperationPlan:
    return OperationPlan(operation=operation, refused=f"{server.user} may not maintain the catalog: a superuser may")


def rebuildable(indexes: Sequence[Index], options: Options) -> tuple[list[Index], str]:
    """The indexes that can be rebuilt with these options, and why the others cannot."""
    exclusive = [index for index in indexes if index.is_exclusion] if options.server.is_concurrent else []
    if not exclusive:
        return list(indexes), ""
    others = [index for index in indexes if not index.is_exclusion]
    why = f"exclusion constraints cannot be rebuilt concurrently: {listed([index.shown for index in exclusive])}"
    return others, f"{why}. reindex --offline --object NAME can do it, and blocks writers"


async def _rewrite(
    reader: Reader, operation: Operation, options: Options, found: Scope, turns: Turns, dead: Mapping[int, float]
) -> OperationPlan:
    server = reader.server
    of_catalog = options.server.system
    mine = [table for table in found.tables if table.in_catalog == of_catalog and not table.is_partitioned]
    wanted, forbidden = allowed(mine)
    if of_catalog and not wanted and forbidden:
        return _catalog_refused(operation, server)
    if operation is Operation.CLUSTER:
        without = [table for table in wanted if table.clustered_by is None]
        if found.is_named and without:
            name = without[0].shown
            why = f"{name} is not clustered on an index. Choose one: ALTER TABLE {name} CLUSTER ON index_name"
            return OperationPlan(operation=operation, refused=why)
        wanted = [table for table in wanted if table.clustered_by is not None]
    steps = operation_steps.rewrite_steps(operation, wanted, options, server.version)
    nothing = "no table is clustered on an index" if operation is Operation.CLUSTER else _too_young(options)
    around = await repack.surroundings(reader)
    fit, problems = await _with_room(reader, steps, wanted, around, options, dead)
    if steps and not fit:
        return _without_room(operation, problems)
    warnings = [*problems, *repack_steps.log_warnings(fit, around)]
    return plan_of(operation, fit, server, turns, forbidden=forbidden, warnings=warnings, nothing=nothing)


async def _with_room(
    reader: Reader,
    steps: Sequence[PgStep],
    tables: Sequence[Table],
    around: Surroundings,
    options: Options,
    dead: Mapping[int, float],
) -> tuple[list[PgStep], list[str]]:
    """The rewrites whose copies fit on the disk of the server, or may fit, and why the others are left out."""
    if not steps:
        return [], []
    kept = (sys.maxsize if around.kept_at_most is None else around.kept_at_most) if around.idle_slots else None
    needs = await disk_needs(reader, tables, dead, kept)
    placed = [step if step.subject is None else replace(step, needs=needs.get(step.subject.oid, ())) for step in steps]
    return fitting(placed, _NO_ROOM, force=options.force)


def _without_room(operation: Operation, problems: Sequence[str]) -> OperationPlan:
    return OperationPlan(operation=operation, refused=". ".join(one.removeprefix("left out: ") for one in problems))


async def _repack(
    reader: Reader, options: Options, found: Scope, turns: Turns, dead: Mapping[int, float]
) -> OperationPlan:
    server, operation = reader.server, Operation.REPACK
    around = await repack.surroundings(reader)
    mine = [table for table in found.tables if not table.in_catalog and not table.is_partitioned]
    if problem := repack_steps.unable(server.version, server.version_text, around):
        return OperationPlan(operation=operation, refused=problem)
    client, leftovers = None, frozenset[int]()
    if server.version < repack_steps.SINCE:
        extension, clients = await repack_client.extension(reader), await repack_client.clients()
        if problem := pg_repack_steps.unable(server, extension, clients):
            how = [pg_repack_steps.on_another_host(mine, server.database)] if found.is_named and not clients else []
            return OperationPlan(operation=operation, refused=". ".join([problem, *how]))
        client, leftovers = pg_repack_steps.client_of(extension, clients), await repack_client.leftovers(reader)
        mine = [table for table in mine if table.schema != repack_client.SCHEMA]
    obstacles = await (repack.obstacles(reader) if client is None else repack_client.obstacles(reader))
    refusals = repack_steps.refusals(mine, obstacles)
    wanted, forbidden = allowed([table for table in mine if table.oid not in obstacles])
    if refusals and found.is_named and not (wanted or forbidden):
        return OperationPlan(operation=operation, refused=". ".join(refusals))
    if client is None:
        steps = repack_steps.repack_steps(wanted)
    else:
        steps = pg_repack_steps.pg_repack_steps(wanted, client, leftovers, server.database)
    fit, problems = await _with_room(reader, steps, wanted, around, options, dead)
    if steps and not fit:
        return _without_room(operation, problems)
    warnings = [*(f"left out: {why}" for why in refusals), *problems, *repack_steps.log_warnings(fit, around)]
    if leftovers and not found.is_named:
        warnings += pg_repack_steps.of_dropped_tables(leftovers, await reader.tables())
    return plan_of(operation, fit, server, turns, forbidden=forbidden, warnings=warnings, nothing=". ".join(refusals))


async def _check(reader: Reader, options: Options, found: Scope, turns: Turns) -> OperationPlan:
    schema, obstacle = await amcheck(reader)
    if obstacle:
        return OperationPlan(operation=Operation.CHECK, refused=obstacle)
    indexes = [index for index in found.indexes if index.is_valid]
    full = options.check_level is CheckLevel.FULL
    steps = check_steps.check_steps(indexes, found.tables, schema, reader.server.version, full=full)
    return plan_of(Operation.CHECK, steps, reader.server, turns)


def leftovers_of(indexes: Sequence[Index]) -> list[Index]:
    return [index for index in indexes if index.is_leftover and not index.is_valid]


def plan_of(
    operation: Operation,
    steps: Sequence[PgStep],
    server: Server,
    turns: Turns,
    *,
    forbidden: Sequence[Table | Index] = (),
    warnings: Sequence[str] = (),
    nothing: str = "",
) -> OperationPlan:
    """The plan with these steps, in turn. Without steps it is refused where rights are missing, else not needed.

    Args:
        forbidden: what the role may not maintain.
        nothing: why there is nothing to do, where there are no steps.
    """
    rights = missing_rights(forbidden, server)
    if not steps and rights:
        return OperationPlan(operation=operation, refused=". ".join([*rights, *warnings]))
    if not steps:
        return OperationPlan(operation=operation, not_needed=nothing or "no table or index to work on")
    return OperationPlan(
        operation=operation,
        steps=tuple(by_turn(steps, operation, turns)),
        warnings=(*(f"left out: {right}" for right in rights), *warnings),
        left_out=len(unprivileged(forbidden)),
    )


async def in_parallel(reader: Reader, planned: OperationPlan, options: Options) -> OperationPlan:
    """Set how many steps run at once: as requested, limited by the connections that the server has left."""
    wanted = min(options.jobs or 1, len(planned.steps))
    if wanted == 1:
        return planned
    free, own = await reader.row(FREE_CONNECTIONS, row=(int, int | None))
    most = max(free - KEPT_FREE, 1)
    why = f"the server has {free} connections left, and {KEPT_FREE} are kept free"
    if own is not None and max(own, 1) < most:
        most, why = max(own, 1), "the CONNECTION LIMIT of the role or the database leaves no more"
    fit = fit_at_once([step.needs for step in planned.steps], min(wanted, most))
    if not options.force and fit < min(wanted, most):
        most, why = fit, "the disk has no room for the copies of more"
    if most >= wanted:
        return replace(planned, parallel=wanted)
    return replace(
        planned, parallel=most, warnings=(*planned.warnings, f"{most} steps run at once instead of {wanted}: {why}")
    )
