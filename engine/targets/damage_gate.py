"""Keeps operations from writing to what is known to be damaged: the same in a plan and before its steps run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from engine.domain.advice import TargetHistory
from engine.domain.damage import (
    REBUILDS,
    WHOLE_DATABASE,
    Damage,
    blocked_tables,
    blocking,
    blocks_all,
    describe,
    kept_from_rebuilds,
    people_of,
    suspects,
)
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.requests import Operation, Options
from engine.domain.server_names import command_word
from engine.targets.plans import OperationPlan
from engine.targets.session import PlannedOperation, Session
from engine.targets.target import Target

_BY_FORCE: Final = "To write to it although it is damaged, give --force"


@frozen
class GatedPlan:
    """The plan of an operation, and what runs it; None where known damage keeps it from running."""

    plan: OperationPlan
    planned: PlannedOperation | None = None


async def plan_gated(
    session: Session,
    target: Target,
    operation: Operation,
    options: Options,
    known: TargetHistory | None,
    past: TargetHistory | None,
    *,
    is_named: bool,
) -> GatedPlan:
    """Plan an operation without what it must not write to, as it is known to be damaged.

    Args:
        known: the history with the known damage.
        past: the history that the operation uses.
        is_named: whether a person has named the objects of this request, if it has any: no retry and no schedule.

    Raises as `Session.plan`.
    """
    if operation is Operation.CHECK:
        return await _check_gated(session, options, known, past, is_named=is_named)
    lifted = known is None or _may_read_suspects(options, is_named)
    suspected = suspects(known.accepted_damage) if known and not lifted else frozenset[str]()
    if suspected:
        options = replace(options, leave_out=(*options.leave_out, *sorted(suspected)))
    gated = await _plan_gated(session, target, operation, options, known, past)
    if known is None or gated.planned is None or not target.operations[operation].writes:
        return gated
    objects = {WHOLE_DATABASE, *(name for step in gated.plan.steps for name in (*step.all_objects, *step.tables))}
    is_file = target.engine.is_file

    def written(damage: Iterable[Damage]) -> list[Damage]:
        return [one for one in damage if is_file or {one.object, one.table or one.object} & objects]

    kept = _kept(known, operation)
    rebuilt = [one for one in known.accepted_damage if one.object in kept]
    forced = written([*blocking(known.known_damage, operation, target.engine), *rebuilt])
    accepted = [one for one in written(known.accepted_damage) if one not in forced]
    by_force = f"--force writes to what is damaged: {describe(forced)}" if forced else ""
    warnings = [
        _why_left_out(known, suspected) if suspected else "",
        f"writes to what {people_of(accepted)} took note of: {describe(accepted)}" if accepted else "",
        by_force,
    ]
    plan = gated.plan
    for warning in warnings:
        plan = _with_warning(gated.planned, warning, plan).plan
    return GatedPlan(replace(plan, by_force=by_force if plan.steps else ""), gated.planned)


def _kept(known: TargetHistory | None, operation: Operation) -> frozenset[str]:
    """The tables whose damage a person took note of, and that the operation may rebuild only by force."""
    return kept_from_rebuilds(known.accepted_damage) if known and operation in REBUILDS else frozenset()


def _may_read_suspects(options: Options, is_named: bool) -> bool:
    """To take note of a table under which a server went down does not name it: reading it may end the server again."""
    return options.force or (is_named and bool(options.objects))


async def _check_gated(
    session: Session, options: Options, known: TargetHistory | None, past: TargetHistory | None, *, is_named: bool
) -> GatedPlan:
    """A check changes nothing: it reads damaged tables, too, but those under which a server went down."""
    lifted = known is None or _may_read_suspects(options, is_named)
    tables = suspects((*known.known_damage, *known.accepted_damage)) if known and not lifted else frozenset[str]()
    whole = await session.plan(Operation.CHECK, replace(options, leave_out=()), past)
    tables &= {name for step in whole.plan.steps for name in (*step.all_objects, *step.tables)}
    if not tables:
        return GatedPlan(whole.plan, whole)
    suspected = tuple(sorted(tables))
    planned = await session.plan(Operation.CHECK, replace(options, leave_out=suspected), past)
    why = f"{_why_left_out(known, tables)}. After that, name it with --object to check it"
    if planned.plan.steps:
        return _with_warning(planned, why, replace(planned.plan, suspected=suspected))
    return GatedPlan(OperationPlan(operation=Operation.CHECK, refused=why, is_damaged=True))


async def _plan_gated(
    session: Session,
    target: Target,
    operation: Operation,
    options: Options,
    known: TargetHistory | None,
    past: TargetHistory | None,
) -> GatedPlan:
    kept = _kept(known, operation)
    damage = known.known_damage if known is not None else ()
    if not (damage or kept) or options.force or not target.operations[operation].writes:
        planned = await session.plan(operation, options, past)
        copied = [one for one in damage if not one.is_repaired] if operation is Operation.BACKUP else []
        return _with_warning(planned, f"the backup may copy damage: {describe(copied)}" if copied else "")
    if whole := blocks_all(damage, operation, target.engine):
        return _refused(operation, target, damage, f"nothing is written, as {describe(whole)}")
    tables = blocked_tables(damage, operation) | kept
    if not tables:
        return _with_warning(await session.plan(operation, options, past), "")
    why = _why_left_out(known, tables)
    if kept:
        tables_kept = listed(sorted(kept), 3)
        why += f". That a person took note of it does not say whether {tables_kept} or its indexes are right"
    left_out = tuple(dict.fromkeys((*options.leave_out, *sorted(tables))))
    planned = await session.plan(operation, replace(options, leave_out=left_out), past)
    if planned.plan.steps or planned.plan.refused is not None:
        names = options.objects_for(operation)
        is_meant = not names or any({table, table.rpartition(".")[2]} & {*names} for table in tables)
        return _with_warning(planned, why if is_meant else "")
    whole_plan = await session.plan(operation, options, past)
    if not whole_plan.plan.steps:
        return GatedPlan(whole_plan.plan, whole_plan)
    return _refused(operation, target, damage, why, is_accepted=tables == kept)


def _why_left_out(known: TargetHistory | None, tables: frozenset[str]) -> str:
    damage = (*known.known_damage, *known.accepted_damage) if known is not None else ()
    about = describe(one for one in damage if {one.object, one.table} & tables)
    return f"{listed(sorted(tables), 3)} is left out, as {about}"


def _with_warning(planned: PlannedOperation, warning: str, plan: OperationPlan | None = None) -> GatedPlan:
    plan = plan or planned.plan
    if warning and plan.steps:
        plan = replace(plan, warnings=(*plan.warnings, warning))
    return GatedPlan(plan, planned)


def _refused(
    operation: Operation, target: Target, damage: Iterable[Damage], why: str, *, is_accepted: bool = False
) -> GatedPlan:
    """`is_accepted`: whether a person took note of all of it already."""
    if not is_accepted and not any(one.is_unreadable for one in damage):
        command = f"dbtend fleet --accept-damage {command_word(target.url)}"
        why += ". Put it right, for example from a backup, then run a full check."
        why += f" If nothing more can be saved, take note of that ({command})"
    return GatedPlan(OperationPlan(operation=operation, refused=f"{why}. {_BY_FORCE}", is_damaged=True))
