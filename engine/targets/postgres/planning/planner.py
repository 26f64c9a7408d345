"""Makes the plan of an operation, or its refusal, from the catalog; its SQL: `operation_steps.py`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

from engine.domain.advice import TargetHistory
from engine.domain.errors import UsageError
from engine.domain.humanize import listed
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.turns import NO_TURNS, Turns
from engine.targets import plans
from engine.targets.plans import KEPT_FREE, OperationPlan, fitting, in_parallel
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.planning import check_steps, operation_steps, pg_repack_steps, repack_steps
from engine.targets.postgres.planning.collation_steps import recording
from engine.targets.postgres.planning.rights import allowed, missing_rights, unprivileged
from engine.targets.postgres.planning.scope import OF_TABLES, Scope, analyzed_with_parent, scope
from engine.targets.postgres.planning.steps import PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import repack, repack_client, xmin_horizon
from engine.targets.postgres.reading.ages import aged_tables, tables_older_than
from engine.targets.postgres.reading.amcheck import amcheck
from engine.targets.postgres.reading.collations import CollationRebuild, collation_rebuild, drifts
from engine.targets.postgres.reading.missing_statistics import without_statistics
from engine.targets.postgres.reading.names import Relation
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import Index, Table
from engine.targets.postgres.reading.repack import Surroundings
from engine.targets.postgres.reading.server_disks import TableCopy, table_copies
from engine.targets.postgres.reading.tablespaces import tablespace_problem

_NO_ROOM: Final = "Free some space there, or use --force: a full disk stops the writes of all sessions"


async def plan(
    reader: Reader,
    operation: Operation,
    options: Options,
    past: TargetHistory,
    dead_by_oid: Mapping[int, int] = MappingProxyType({}),
) -> OperationPlan:
    """See `Session.plan`. `dead_by_oid`: for rewrites, the bytes of tables that are dead space, if known."""
    version = reader.server.version
    if problem := operation_steps.unsupported_option(options.server, version):
        return OperationPlan(operation=operation, refused=problem)
    tables = await reader.tables(measured=True)
    needs_indexes = operation not in OF_TABLES or options.objects
    indexes = await reader.indexes(measured=True) if needs_indexes else []
    await reader.require(options)
    partitions = await partitions_of(reader)
    in_scope = scope(operation, options, tables, indexes, partitions, await by_name_only(reader, options))
    if unmovable := await tablespace_problem(reader, options.server.tablespace):
        return OperationPlan(operation=operation, refused=unmovable)
    if (oldest := _least_ages(options)) is not None:
        old_enough = await tables_older_than(reader, *oldest)
        in_scope = replace(in_scope, tables=[table for table in in_scope.tables if table.oid in old_enough])
    match operation:
        case Operation.VACUUM:
            planned = await _vacuum(reader, options, in_scope, partitions, past.turns)
        case Operation.ANALYZE:
            planned = await _analyze(reader, options, in_scope, partitions, past.turns)
        case Operation.REINDEX:
            drifted = [collation_rebuild(drift, indexes, past) for drift in await drifts(reader)]
            planned = _reindex(options, in_scope, {table.oid: table for table in tables}, reader, drifted, past.turns)
        case Operation.VACUUM_FULL | Operation.CLUSTER:
            planned = await _rewrite(reader, operation, options, in_scope, past.turns, dead_by_oid)
        case Operation.REPACK:
            planned = await _repack(reader, options, in_scope, past.turns, dead_by_oid)
        case Operation.CLEAN_LEFTOVERS:
            planned = await _clean_leftovers(reader, in_scope, past.turns)
        case Operation.CHECK:
            planned = await _check(reader, options, in_scope, past.turns)
        case _:
            raise UsageError(str(operation), "PostgreSQL has no such operation")
    if not planned.steps:
        return planned
    if (options.jobs or 1) > 1:
        if options.server.system:  # in parallel they could deadlock
            return replace(planned, warnings=(*planned.warnings, "the catalog is rebuilt one table at a time"))
        if planned.steps[0].conflict == repack_client.PROGRAM:
            return replace(planned, warnings=(*planned.warnings, "pg_repack rewrites one table at a time"))
    return await in_parallel(planned, options, partial(connections, reader))


def _least_ages(options: Options) -> tuple[int, int] | None:
    """The least ages of transaction ids and multixacts; None where all tables are meant."""
    xids, multixacts = options.server.min_xid_age, options.server.min_mxid_age
    return None if xids is None and multixacts is None else (xids or 0, multixacts or 0)


async def by_name_only(reader: Reader, options: Options) -> Sequence[Relation]:
    """Relations that only their name selects; see `Reader.by_name_only`."""
    return await reader.by_name_only() if options.objects else ()


async def require(reader: Reader, operations: Sequence[Operation], options: Options) -> None:
    """Raise UsageError for an object or schema to which one of the operations can do nothing."""
    tables, indexes, partitions = await reader.tables(), await reader.indexes(), await partitions_of(reader)
    also = await by_name_only(reader, options)
    for operation in operations:
        scope(operation, replace(options, objects=options.objects_for(operation)), tables, indexes, partitions, also)
    await tablespace_problem(reader, options.server.tablespace)


async def partitions_of(reader: Reader) -> dict[int, list[int]]:
    """The oids of the direct children of every table that has any."""
    children: dict[int, list[int]] = {}
    for parent, child in await reader.rows(query("partitions"), row=(int, int)):
        children.setdefault(parent, []).append(child)
    return children


async def _vacuum(
    reader: Reader, options: Options, in_scope: Scope, partitions: Mapping[int, Sequence[int]], turns: Turns
) -> OperationPlan:
    server, version = reader.server, reader.server.version
    analyzes_parents = in_scope.is_named and options.server.analyze
    permitted, forbidden = allowed([table for table in in_scope.tables if analyzes_parents or not table.is_partitioned])
    old = await aged_tables(reader)
    with_parent = {} if operation_steps.supports_only(version) else analyzed_with_parent(permitted, partitions)
    only_vacuumed = replace(options, server=replace(options.server, analyze=False))
    alone = [table for table in permitted if table.oid not in with_parent]
    others = [table for table in permitted if table.oid in with_parent]
    first = [
        *operation_steps.vacuum_steps(alone, options, version, {}, old, in_scope.columns),
        *operation_steps.vacuum_steps(others, only_vacuumed, version, {}, old),
    ]
    vacuum_steps = [
        *operation_steps.oldest_first(first, old),
        *operation_steps.after_emergency(alone, options, version, old, in_scope.columns),
        *operation_steps.after_emergency(others, only_vacuumed, version, old),
    ]
    steps = [
        *(with_conflict_of_root(step, with_parent) for step in vacuum_steps),
        *operation_steps.analyze_steps(
            [table for table in alone if table.is_partitioned], options, version, {}, in_scope.columns
        ),
    ]
    if steps and not in_scope.is_named:
        steps += operation_steps.database_statistics(version)
    horizon_warnings = xmin_horizon.warnings(await xmin_horizon.read(reader))
    emergency_warnings = operation_steps.emergency(permitted, old)
    return plan_of(
        Operation.VACUUM,
        steps,
        server,
        NO_TURNS if emergency_warnings else turns,
        forbidden=forbidden,
        warnings=[*emergency_warnings, *horizon_warnings],
        not_needed=_too_young(options),
    )


def with_conflict_of_root(step: PgStep, with_parent: Mapping[int, Table]) -> PgStep:
    """The step; that of a partition conflicts with its root, whose ANALYZE would wait for the lock of its VACUUM.

    `with_parent`: the roots of the partitions that are analyzed with them, by the oid of the partition.
    """
    root = with_parent.get(step.subject.oid) if step.subject is not None else None
    return step if root is None else replace(step, conflict=root.shown)


async def _clean_leftovers(reader: Reader, in_scope: Scope, turns: Turns) -> OperationPlan:
    server, operation = reader.server, Operation.CLEAN_LEFTOVERS
    permitted, forbidden = allowed(leftovers_of(in_scope.indexes))
    left = await repack_client.leftovers(reader)
    repacked = [table for table in in_scope.tables if table.oid in left]
    gone = [] if in_scope.is_named else pg_repack_steps.of_dropped_tables(left, await reader.tables())
    pg_repack_drops, refused = pg_repack_steps.drop_steps(repacked, server)
    steps = [*pg_repack_drops, *operation_steps.drop_steps(permitted)]
    return plan_of(
        operation,
        steps,
        server,
        turns,
        forbidden=forbidden,
        others_left_out=len(repacked) if refused else 0,
        why_others=refused,
        warnings=gone,
        not_needed=". ".join(gone) or "no leftover index",
    )


async def _analyze(
    reader: Reader, options: Options, in_scope: Scope, partitions: Mapping[int, Sequence[int]], turns: Turns
) -> OperationPlan:
    version = reader.server.version
    permitted, forbidden = allowed(in_scope.tables)
    if options.server.missing_only:
        lacking = await without_statistics(reader)
        permitted = [table for table in permitted if table.oid in lacking]
        if not permitted:
            return OperationPlan(operation=Operation.ANALYZE, not_needed="every table has statistics")
    with_parent = {} if operation_steps.supports_only(version) else analyzed_with_parent(permitted, partitions)
    to_analyze = [table for table in permitted if table.oid not in with_parent]
    steps = operation_steps.analyze_steps(to_analyze, options, version, {}, in_scope.columns)
    not_needed = _too_young(options)
    return plan_of(Operation.ANALYZE, steps, reader.server, turns, forbidden=forbidden, not_needed=not_needed)


def _too_young(options: Options) -> str:
    """Why no table is in scope, where only old ones are meant; "" where all are."""
    return "" if _least_ages(options) is None else "no table is that old"


def _reindex(
    options: Options,
    in_scope: Scope,
    tables: dict[int, Table],
    reader: Reader,
    drifted: Sequence[CollationRebuild],
    turns: Turns,
) -> OperationPlan:
    if problem := operation_steps.unsafe_rebuild(options.server, reader.server.version):
        return OperationPlan(operation=Operation.REINDEX, refused=problem)
    of_catalog = options.server.system
    indexes = [index for index in in_scope.indexes if index.in_catalog == of_catalog and not index.is_leftover]
    invalid = [] if in_scope.is_named else [index.shown for index in indexes if not index.is_valid]
    permitted, forbidden = allowed([index for index in indexes if index.is_valid or in_scope.is_named])
    if of_catalog and not permitted and forbidden:
        return _catalog_refused(Operation.REINDEX, reader.server)
    to_rebuild, why_others_stay = rebuildable(permitted, options)
    only_indexes_named = in_scope.is_named and not in_scope.tables
    if why_others_stay and only_indexes_named and not (to_rebuild or forbidden):
        return OperationPlan(operation=Operation.REINDEX, refused=why_others_stay)
    not_needed = [f"left out: {why_others_stay}"] if why_others_stay else []
    warnings = list(not_needed)
    if leftovers := leftovers_of(in_scope.indexes):
        names = listed([index.shown for index in leftovers])
        warnings.append(f"left out: leftovers, which clean-leftovers drops: {names}")
    if invalid:
        how = "reindex --object NAME rebuilds one, a unique one only without duplicates"
        not_needed.append(f"left out: invalid indexes: {listed(invalid)}. Drop them, or name them: {how}")
        warnings.append(not_needed[-1])
    steps = operation_steps.reindex_steps(to_rebuild, tables, options, {}, [rebuild.drift for rebuild in drifted])
    rebuilt_names = {index.oid: index.shown for index in to_rebuild}
    recorded, not_recorded = recording(drifted, rebuilt_names) if steps else ([], [])
    return plan_of(
        Operation.REINDEX,
        [*steps, *recorded],
        reader.server,
        turns,
        forbidden=forbidden,
        others_left_out=len(permitted) - len(to_rebuild) if in_scope.is_named else 0,
        warnings=[*warnings, *not_recorded],
        not_needed=". ".join(not_needed),
    )


def _catalog_refused(operation: Operation, server: Server) -> OperationPlan:
    return OperationPlan(operation=operation, refused=f"{server.user} may not maintain the catalog: a superuser may")


def rebuildable(indexes: Sequence[Index], options: Options) -> tuple[list[Index], str]:
    """The indexes that can be rebuilt with these options, and why the others cannot."""
    of_exclusions = [index for index in indexes if index.is_exclusion] if options.server.is_concurrent else []
    if not of_exclusions:
        return list(indexes), ""
    others = [index for index in indexes if not index.is_exclusion]
    why = f"exclusion constraints cannot be rebuilt concurrently: {listed([index.shown for index in of_exclusions])}"
    return others, f"{why}. reindex --offline --object NAME can do it, and blocks writers"


async def _rewrite(
    reader: Reader,
    operation: Operation,
    options: Options,
    in_scope: Scope,
    turns: Turns,
    dead_by_oid: Mapping[int, int],
) -> OperationPlan:
    server = reader.server
    of_catalog = options.server.system
    tables = [table for table in in_scope.tables if table.in_catalog == of_catalog and not table.is_partitioned]
    permitted, forbidden = allowed(tables)
    if of_catalog and not permitted and forbidden:
        return _catalog_refused(operation, server)
    if operation is Operation.CLUSTER:
        unclustered = [table for table in permitted if table.clustered_by is None]
        if in_scope.is_named and unclustered:
            name = unclustered[0].shown
            why = f"{name} is not clustered on an index. Choose one: ALTER TABLE {name} CLUSTER ON index_name"
            return OperationPlan(operation=operation, refused=why)
        permitted = [table for table in permitted if table.clustered_by is not None]
    steps = operation_steps.rewrite_steps(operation, permitted, options, server.version)
    not_needed = "no table is clustered on an index" if operation is Operation.CLUSTER else _too_young(options)
    replication_state = await repack.surroundings(reader)
    fitting_steps, no_room, forced = await _with_room(reader, steps, permitted, replication_state, options, dead_by_oid)
    return plan_of(
        operation,
        fitting_steps,
        server,
        turns,
        forbidden=forbidden,
        others_left_out=len(steps) - len(fitting_steps),
        why_others=no_room,
        warnings=[*forced, *repack_steps.log_warnings(fitting_steps, replication_state)],
        not_needed=not_needed,
    )


async def _with_room(
    reader: Reader,
    steps: Sequence[PgStep],
    tables: Sequence[Table],
    replication_state: Surroundings,
    options: Options,
    dead_by_oid: Mapping[int, int],
) -> tuple[list[PgStep], list[str], list[str]]:
    """The rewrites whose copies fit on the disk of the server, or may fit; the rest as of `fitting`."""
    if not steps:
        return [], [], []
    log_kept = None
    if replication_state.idle_slots:
        log_kept = sys.maxsize if replication_state.kept_at_most is None else replication_state.kept_at_most
    copies = await table_copies(reader, tables, dead_by_oid, log_kept)
    with_needs = [_with_copy(step, copies) for step in steps]
    return fitting(with_needs, _NO_ROOM, force=options.force)


def _with_copy(step: PgStep, copies: Mapping[int, TableCopy]) -> PgStep:
    copy = copies.get(step.subject.oid) if step.subject is not None else None
    return step if copy is None else replace(step, disk_needed=copy.bytes, needs=copy.needs)


async def can_repack(reader: Reader) -> bool:
    """Whether the server can rewrite a table that is in use. Raises TargetError."""
    server = reader.server
    if repack_steps.unable(server.version, server.version_text, await repack.surroundings(reader)):
        return False
    if server.version >= repack_steps.SINCE:
        return True
    extension, clients = await repack_client.extension(reader), await repack_client.clients()
    return not pg_repack_steps.unable(server, extension, clients)


async def _repack(
    reader: Reader, options: Options, in_scope: Scope, turns: Turns, dead_by_oid: Mapping[int, int]
) -> OperationPlan:
    server, operation = reader.server, Operation.REPACK
    replication_state = await repack.surroundings(reader)
    tables = [table for table in in_scope.tables if not table.in_catalog and not table.is_partitioned]
    if problem := repack_steps.unable(server.version, server.version_text, replication_state):
        return OperationPlan(operation=operation, refused=problem)
    client, leftovers = None, frozenset[int]()
    if server.version < repack_steps.SINCE:
        extension, clients = await repack_client.extension(reader), await repack_client.clients()
        if problem := pg_repack_steps.unable(server, extension, clients):
            hints = (
                [pg_repack_steps.on_another_host(tables, server.database)] if in_scope.is_named and not clients else []
            )
            return OperationPlan(operation=operation, refused=". ".join([problem, *hints]))
        client, leftovers = pg_repack_steps.client_of(extension, clients), await repack_client.leftovers(reader)
        tables = [table for table in tables if table.schema != repack_client.SCHEMA]
    obstacles = await (repack.obstacles(reader) if client is None else repack_client.obstacles(reader))
    refusals = repack_steps.refusals(tables, obstacles)
    permitted, forbidden = allowed([table for table in tables if table.oid not in obstacles])
    if refusals and in_scope.is_named and not (permitted or forbidden):
        return OperationPlan(operation=operation, refused=". ".join(refusals))
    if client is None:
        steps = repack_steps.repack_steps(permitted)
    else:
        steps = pg_repack_steps.pg_repack_steps(permitted, client, leftovers, server.database)
    fitting_steps, no_room, forced = await _with_room(reader, steps, permitted, replication_state, options, dead_by_oid)
    warnings = [
        *(f"left out: {why}" for why in refusals),
        *forced,
        *repack_steps.log_warnings(fitting_steps, replication_state),
    ]
    if leftovers and not in_scope.is_named:
        warnings += pg_repack_steps.of_dropped_tables(leftovers, await reader.tables())
    impossible = sum(table.oid in obstacles for table in tables)
    return plan_of(
        operation,
        fitting_steps,
        server,
        turns,
        forbidden=forbidden,
        others_left_out=len(steps) - len(fitting_steps) + (impossible if in_scope.is_named else 0),
        why_others=no_room,
        warnings=warnings,
        not_needed=". ".join(refusals),
    )


async def _check(reader: Reader, options: Options, in_scope: Scope, turns: Turns) -> OperationPlan:
    extension = await amcheck(reader)
    if extension.obstacle:
        return OperationPlan(operation=Operation.CHECK, refused=extension.obstacle)
    indexes = [index for index in in_scope.indexes if index.is_valid]
    full = options.check_level is CheckLevel.FULL
    tables = [] if extension.no_tables else in_scope.tables
    steps = check_steps.check_steps(indexes, tables, extension.schema, full=full)
    without = extension.no_tables if in_scope.tables else ""
    warnings = [without] if without else []
    return plan_of(Operation.CHECK, steps, reader.server, turns, warnings=warnings, not_needed=without)


def leftovers_of(indexes: Sequence[Index]) -> list[Index]:
    return [index for index in indexes if index.is_leftover and not index.is_valid]


def plan_of(
    operation: Operation,
    steps: Sequence[PgStep],
    server: Server,
    turns: Turns,
    *,
    forbidden: Sequence[Table | Index] = (),
    others_left_out: int = 0,
    why_others: Sequence[str] = (),
    warnings: Sequence[str] = (),
    not_needed: str = "",
) -> OperationPlan:
    """See `plans.plan_of`.

    Args:
        forbidden: what the role may not maintain.
        others_left_out: how many other tables or indexes are left out, such as for lack of disk space.
        why_others: why some of these are.
    """
    names = tuple(one.shown for one in unprivileged(forbidden))
    return plans.plan_of(
        operation,
        steps,
        turns,
        why_left_out=[*missing_rights(forbidden, server), *why_others],
        left_out=len(names) + others_left_out,
        forbidden=names,
        warnings=warnings,
        not_needed=not_needed or "no table or index to work on",
    )


async def connections(reader: Reader) -> tuple[int, str]:
    """How many the server has left for steps, and why no more."""
    free, free_for_role = await reader.row(query("free_connections"), row=(int, int | None))
    most = max(free - KEPT_FREE, 1)
    if free_for_role is not None and max(free_for_role, 1) < most:
        return max(free_for_role, 1), "the CONNECTION LIMIT of the role or the database leaves no more"
    return most, f"the server has {free} connections left, and {KEPT_FREE} are kept free"
