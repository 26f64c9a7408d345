"""Makes the plan of an operation, or its refusal, from the catalog; its SQL: `operation_steps.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from engine.domain.advice import TargetHistory
from engine.domain.errors import UsageError
from engine.domain.humanize import listed
from engine.domain.requests import CheckLevel, Operation, Options
from engine.domain.turns import Turns
from engine.targets.mysql.connection.server import Cluster, Flavor, Server
from engine.targets.mysql.planning import operation_steps
from engine.targets.mysql.planning.connections import free_for_steps
from engine.targets.mysql.planning.operation_specs import SPECS
from engine.targets.mysql.planning.rights import TO_PURGE, allowed, grant, rights, to_grant_everywhere
from engine.targets.mysql.planning.scope import chosen, scope
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.mysql.planning.undo_steps import plan_of_mariadb, plan_purge
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.disks import disk_needs
from engine.targets.mysql.reading.files import file_sizes
from engine.targets.mysql.reading.foreign_keys import foreign_keys
from engine.targets.mysql.reading.histograms import auto_update, histogram_columns
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.reading.tables import Table, known_tables, tables
from engine.targets.mysql.reading.undo import truncation, undo_spaces
from engine.targets.plans import OperationPlan, fitting, in_parallel, plan_of

_CLUSTERS: Final = {
    Cluster.GALERA: "in a Galera cluster every node waits for the rebuild of each table (total order isolation) and"
    " rolls back the transactions that use it; a rebuild that began cannot be cancelled",
    Cluster.GROUP_REPLICATION: "in group replication every member repeats the rebuild, and falls behind while it does",
}
_ON_THIS_NODE: Final = "it is done on this node of the Galera cluster alone: run it on each"
# A rebuilt table has other statistics.
_ORDER: Final = (Operation.REBUILD, Operation.ANALYZE)


async def plan(
    reader: Reader, operation: Operation, options: Options, past: TargetHistory, unopened: Sequence[Table]
) -> OperationPlan:
    """See `Session.plan`. OPTIMIZE is planned by what the advice calls for: see `plan_needed`.

    `unopened`: see `unopened_tables`.
    """
    if operation is Operation.PURGE_UNDO:
        if reader.server.flavor is Flavor.MARIADB:
            return plan_of_mariadb(await truncation(reader))
        found_rights = await rights(reader)
        if missing := [one for one in TO_PURGE if found_rights is not None and one not in found_rights.everywhere]:
            names, user = ", ".join(missing), reader.server.user
            problem = f"{user} may not purge undo tablespaces. {to_grant_everywhere(names, user)}"
            return OperationPlan(operation=operation, refused=problem)
        return plan_purge(await undo_spaces(reader))
    if operation not in operation_steps.PLANNED:
        raise UsageError(str(operation), "MariaDB and MySQL have no such operation")
    if problem := refusal(reader.server, operation, options):
        return OperationPlan(operation=operation, refused=problem)
    files = await file_sizes(reader)
    found = await tables(reader, exact=operation is Operation.REBUILD, files=files, unopened=unopened)
    in_scope = scope(operation, options, found)
    reasons: Mapping[str, str] = {}
    if operation is Operation.REPAIR:
        found_by_check = frozenset(past.damaged_tables)
        damaged = [table for table in in_scope if table.shown in found_by_check or table.comment]
        reasons = {table.name: table.comment or "it is on record as damaged" for table in damaged}
        in_scope = in_scope if options.objects else damaged
    return await plan_tables(reader, operation, options, in_scope, reasons, past.turns, unopened)


async def plan_needed(
    reader: Reader,
    options: Options,
    all_tables: Sequence[Table],
    reasons: Mapping[Operation, Mapping[str, str]],
    turns: Turns,
    unknown: Sequence[str],
) -> OperationPlan:
    """The plan of `optimize`: the work that advice asks for.

    Args:
        all_tables: those of the database.
        reasons: by operation, why tables need it, by name.
        unknown: facts that could not be read, as texts.
    """
    if problem := refusal(reader.server, Operation.OPTIMIZE, options):
        return OperationPlan(operation=Operation.OPTIMIZE, refused=problem)
    in_scope = scope(Operation.OPTIMIZE, options, all_tables)
    plans, left_out = [], [f"left out: {text}" for text in unknown]
    for operation in _ORDER:
        needy = [table for table in in_scope if table.name in reasons[operation]]
        if needy and (problem := refusal(reader.server, operation, options)):
            left_out.append(f"left out: {operation} of {listed([table.shown for table in needy], 3)}: {problem}")
        elif needy:
            plans.append(await plan_tables(reader, operation, options, needy, reasons[operation], turns))
    left_out += [f"left out: {plan.refused}" for plan in plans if plan.refused]
    if options.leave_out:
        left_out.append(f"left out, as damaged: {listed(list(options.leave_out), 3)}")
    steps = [step for plan in plans for step in plan.steps]
    if not steps:
        return OperationPlan(operation=Operation.OPTIMIZE, not_needed=". ".join(left_out) or "nothing is needed")
    warnings = dict.fromkeys([*left_out, *(warning for plan in plans for warning in plan.warnings)])
    planned = OperationPlan(
        operation=Operation.OPTIMIZE,
        steps=tuple(steps),
        warnings=tuple(warnings),
        left_out=sum(plan.left_out for plan in plans),
        forbidden=tuple(dict.fromkeys(name for plan in plans for name in plan.forbidden)),
    )
    return await in_parallel(planned, options, partial(free_for_steps, reader))


async def require(reader: Reader, operations: Sequence[Operation], options: Options) -> None:
    """Raise UsageError for an object to which one of the operations can do nothing."""
    if options.objects:
        all_tables = await known_tables(reader)
        views = {name for (name,) in await reader.rows(query("views"), row=(str,))}
        if view := next((name for name in options.objects if name in views), None):
            raise UsageError(f"object {view}", "is a view", "name the tables that it reads")
        chosen(options.objects, all_tables)
        for operation in operations:
            scope(operation, options, all_tables)


async def plan_tables(
    reader: Reader,
    operation: Operation,
    options: Options,
    in_scope: Sequence[Table],
    reasons: Mapping[str, str],
    turns: Turns,
    unopened: Sequence[Table] = (),
) -> OperationPlan:
    """The plan of an operation on these tables. `reasons`: why they need it, by name."""
    permitted, forbidden = allowed(operation, in_scope, await rights(reader))
    why_left_out = [grant(operation, forbidden, reader.server.user)] if forbidden else []
    possible, forced = permitted, list[str]()
    if operation is Operation.REBUILD:
        possible, why_others_stay = _rebuildable(permitted, reader.server, options)
        why_left_out += why_others_stay
    left_out = len(forbidden) + (len(permitted) - len(possible) if options.objects else 0)
    steps = await _steps(reader, operation, options, possible, reasons, unopened)
    if any(step.disk_needed for step in steps):
        needs = await disk_needs(reader, possible)  # by table, which is what steps conflict by
        steps = [replace(step, needs=needs.get(step.conflict, ())) for step in steps]
        what_to_do = _NO_ROOM_TO_REPAIR if operation is Operation.REPAIR else _NO_ROOM
        fitting_steps, no_room, forced = fitting(steps, what_to_do, force=options.force)
        left_out += len(steps) - len(fitting_steps)
        steps = fitting_steps
        why_left_out += no_room
    planned = plan_of(
        operation,
        steps,
        turns,
        why_left_out=why_left_out,
        left_out=left_out,
        forbidden=tuple(table.shown for table in forbidden),
        warnings=[*_cluster_warnings(reader.server, operation, options), *forced] if steps else [],
        not_needed=_NOTHING.get(operation, "no table to work on"),
    )
    return await in_parallel(planned, options, partial(free_for_steps, reader))


_NO_ROOM: Final = "Free some space there, or use --force: a rebuild that finds no space is rolled back"
_NO_ROOM_TO_REPAIR: Final = (
    "Free some space there: a repair that finds no space waits for it, and blocks all access to its table"
)
_NOTHING: Final = {
    Operation.REPAIR: "no table is known to be damaged. Run check first, or name a table with --object",
}


def refusal(server: Server, operation: Operation, options: Options) -> str:
    """Why this server must not run it; "" if it may."""
    if not SPECS[operation].writes:
        return ""
    if (server.is_replica or server.is_read_only) and not options.server.no_binlog:
        what = "a replica" if server.is_replica else "read-only, as a former source is"
        return (
            f"it is {what}: what dbtend does there goes into its own binary log, and the servers drift apart. Give the"
            " source, or keep the work out of the log: --no-binlog"
        )
    may_rebuild = options.force or options.server.no_binlog
    if server.cluster is not None and operation is Operation.REBUILD and not may_rebuild:
        return f"{_CLUSTERS[server.cluster]}. Rebuild its nodes one by one: --no-binlog. Override: --force"
    return ""


def _cluster_warnings(server: Server, operation: Operation, options: Options) -> list[str]:
    """What an operation means to the other nodes of a Galera cluster."""
    if not server.is_galera or not SPECS[operation].writes:
        return []
    if operation is not Operation.REBUILD:
        return [_ON_THIS_NODE]
    if not options.server.no_binlog:
        return [_CLUSTERS[Cluster.GALERA]]
    return [f"{_ON_THIS_NODE}. Writers to any table of this node wait for the rebuild of each table"]


def _rebuildable(tables: Sequence[Table], server: Server, options: Options) -> tuple[list[Table], list[str]]:
    """The tables that can be rebuilt, and why the others cannot."""
    possible, keyless, offline, reasons = list[Table](), list[str](), list[str](), list[str]()
    for table in tables:
        if server.requires_primary_key and not table.has_primary_key:
            keyless.append(table.shown)
        elif table.must_be_offline and not options.server.offline:
            offline.append(f"{table.shown} ({table.must_be_offline})")
        else:
            possible.append(table)
    if keyless:
        without_key = "the server rebuilds no table without a primary key (sql_require_primary_key)"
        reasons.append(f"{without_key}: {listed(keyless, 3)}. Add one")
    if offline:
        names = listed(offline, 3)
        reasons.append(f"these cannot be rebuilt online: {names}. rebuild --offline does it, and blocks writers")
    return possible, reasons


async def _steps(
    reader: Reader,
    operation: Operation,
    options: Options,
    tables: Sequence[Table],
    reasons: Mapping[str, str],
    unopened: Sequence[Table],
) -> list[MySqlStep]:
    server = reader.server
    match operation:
        case Operation.ANALYZE:
            histograms = await histogram_columns(reader) if server.flavor is Flavor.MYSQL else {}
            renews = auto_update(server)
            return operation_steps.analyze_steps(tables, options, server, reasons, histograms, auto_update=renews)
        case Operation.REBUILD:
            return operation_steps.rebuild_steps(tables, options, server, reasons)
        case Operation.REPAIR:
            return operation_steps.repair_steps(tables, options, server, reasons)
        case _:
            full = options.check_level is CheckLevel.FULL
            return operation_steps.check_steps(tables, await foreign_keys(reader, unopened), full=full)
