"""All that comes before the first step of an operation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.domain.advice import TargetHistory
from engine.domain.claims import Outcome
from engine.domain.damage import Damage, DamageChange, newly_seen
from engine.domain.frozen import frozen
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, IS_UNCHECKED, Facts, LogLevel
from engine.history.target_history import damage_record, with_seen
from engine.targets.damage_gate import plan_gated
from engine.targets.outage import TEMPORARY_ERRORS

if TYPE_CHECKING:
    from engine.execution.attempt import Attempt
    from engine.targets.plans import OperationPlan
    from engine.targets.session import PlannedOperation, Session
    from engine.targets.target import Target

_STARTS: Final = 3
"""How often an operation starts, if its server goes down before the first step."""
_REPLACED: Final = "the file was replaced while the job ran: the one that is there now is left as it is"
_NEEDS_HISTORY: Final = frozenset({Operation.OPTIMIZE, Operation.REINDEX, Operation.REPAIR, Operation.BACKUP})


@frozen(kw_only=True)
class Prepared:
    """An operation that can begin."""

    attempt: Attempt
    """Its options are those of the plan."""
    planned: PlannedOperation
    plan: OperationPlan
    """That of `planned`, with estimates from the history."""
    remarks: Sequence[str]
    """About who uses the database."""
    known: Sequence[Damage]
    """The known damage of its database."""
    seen: DamageChange
    """The part of it that was not on record."""
    before: Facts
    """The facts of the database before the first step."""
    reading: float
    """Seconds that reading these facts took: after the last step they are read again."""


async def open_and_prepare(attempt: Attempt, target: Target, stack: AsyncExitStack) -> Prepared | Outcome:
    """An operation that can begin, on a session that `stack` closes; or how it ends, as nothing is to be done.

    It starts again where the server goes down, or gives no connection, before the first step. Raises TargetError,
    UsageError, NotBegunError, OwnershipLostError.
    """
    for _ in range(_STARTS - 1):
        async with AsyncExitStack() as opened:
            session = await attempt.open(target, opened)
            try:
                prepared = await _prepare_after_a_crash(attempt, target, session)
            except TEMPORARY_ERRORS:
                continue
            await stack.enter_async_context(opened.pop_all())
            return prepared
    return await _prepare_after_a_crash(attempt, target, await attempt.open(target, stack))


async def _prepare_after_a_crash(attempt: Attempt, target: Target, session: Session) -> Prepared | Outcome:
    """Clean up what a process of an earlier attempt left, then prepare."""
    attempt = await attempt.knowing_damage(target)
    await attempt.require_owned()
    if attempt.claim.deaths:
        for line in await attempt.unless_cancelled(session.cleanup_orphans(attempt.claim.earlier)):
            attempt.reporter.log(LogLevel.WARNING, line)
    return await attempt.until_begun(_prepare(attempt, target, session))


async def _prepare(attempt: Attempt, target: Target, session: Session) -> Prepared | Outcome:
    claim, operation, knowledge = attempt.claim, attempt.operation, attempt.knowledge
    for line in await session.lock():
        attempt.reporter.log(LogLevel.WARNING, line)
    if (limits := attempt.options.if_needed) is not None:
        needed = await knowledge.needed_now(claim, attempt.options, limits, session)
        if isinstance(needed, Outcome):
            return needed
        attempt = replace(attempt, options=needed)
    if operation is Operation.CHECK and attempt.options.verify and await knowledge.is_named_check(claim):
        attempt = replace(attempt, options=replace(attempt.options, verify=False))
    options = attempt.options
    past = await attempt.past()
    seen = newly_seen(damage_record(past), await session.seen_damage())
    past = with_seen(past, seen.found)
    goes_by = past if operation in _NEEDS_HISTORY else known_damage_of(past)
    if goes_by is not None and not _is_first(attempt, past) and await target.goes_in_turns(operation, options):
        goes_by = replace(goes_by, turns=await knowledge.turns(claim.target))
    is_named = bool(options.objects) and await knowledge.is_of_person(claim)
    gated = await plan_gated(session, target, operation, options, past, goes_by, is_named=is_named)
    known, plan = damage_record(past), gated.plan
    if gated.planned is None:
        by_this_job = any(damage.job == claim.job.parent and damage.accepted_at is None for damage in known)
        status = Status.SKIPPED if by_this_job else Status.FAILED
        return Outcome(status=status, reason=Reason.DAMAGED, error=plan.refused, damage=seen)
    begin = time.monotonic()
    before = await gated.planned.facts()
    reading = time.monotonic() - begin
    earlier_file = await knowledge.earlier_file(claim) if FILE in before else ""
    if earlier_file and before[FILE] != earlier_file:
        return Outcome(status=Status.FAILED, reason=Reason.OPERATION_ERROR, error=_REPLACED, before=before, damage=seen)
    if plan.refused is not None:
        return Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=plan.refused, before=before, damage=seen)
    if plan.not_needed is not None:
        return Outcome(
            status=Status.SKIPPED, reason=Reason.NOT_NEEDED, error=plan.not_needed, warnings=plan.warnings, damage=seen
        )
    if past is not None and not past.is_checked and target.operations[operation].writes:
        before = {**before, IS_UNCHECKED: True}
    plan = await knowledge.estimated(claim, plan, options, before, past.jobs if past is not None else None)
    return Prepared(
        attempt=attempt,
        planned=gated.planned,
        plan=plan,
        remarks=await session.remarks([plan]),
        known=known,
        seen=seen,
        before=before,
        reading=reading,
    )


def known_damage_of(past: TargetHistory | None) -> TargetHistory:
    """What of the history counts where the operation does not go by it: tables that must not be read, and damage of
    which a person has taken note."""
    known = past or TargetHistory(now=0)
    return TargetHistory(now=0, damaged_tables=known.damaged_tables, accepted_damage=known.accepted_damage)


def _is_first(attempt: Attempt, past: TargetHistory | None) -> bool:
    """Whether no other attempt has begun on its target so far."""
    if past is None or past.jobs is None or attempt.claim.attempt > 1:
        return False
    return not any(child.attempt and child.id != attempt.claim.job for job in past.jobs for child in job.children)
