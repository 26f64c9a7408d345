"""The result of a step, from the answer of the server: pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from engine.domain.humanize import counted, span
from engine.domain.statuses import Reason, Status
from engine.domain.steps import WAITED_FOR, Facts, WaitsFor
from engine.targets.postgres.connection import errors
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.locks import NO_BLOCKERS, Blockers
from engine.targets.postgres.running import checking
from engine.targets.postgres.running.checking import DamagedObject
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.postgres.running.wait_limits import WaitLimits
from engine.targets.step_execution import StepResult
from engine.targets.waits import no_lock


def step_result(
    step: PgStep,
    answer: Answer,
    effect: Mapping[str, int],
    *,
    is_closed: bool,
    waited: float,
    wait_limits: WaitLimits | None = None,
    blockers: Blockers = NO_BLOCKERS,
    held_by: str | None = "",
    is_gone: bool | None = None,
    damaged: DamagedObject | None = None,
) -> StepResult:
    """The result of a step, from the answer of the server.

    Args:
        waited: the lock_timeout, in seconds.
        wait_limits: the waits that were seen.
        blockers: the sessions that it waited for.
        held_by: the oldest session that keeps dead rows, as text; None if that is not worth a word.
        is_gone: whether the table or index was dropped; None if not checked.
        damaged: the damaged object, if it is not the step's own.
    """
    has_exceeded = wait_limits is not None and wait_limits.exceeded.is_set()
    if answer.was_stopped and not has_exceeded:
        return StepResult(status=Status.CANCELLED, effect=effect or None)
    if answer.was_stopped or (answer.error is not None and answer.error.sqlstate == errors.LOCK_TIMEOUT):
        why = _waited_in_vain(wait_limits, waited, blockers)
        did: Facts = {**effect, **_waited_for(wait_limits)}
        return StepResult(status=Status.FAILED, error=why, reason=Reason.TARGET_BUSY, effect=did or None)
    if answer.error is not None:
        if answer.error.sqlstate in errors.GONE if is_gone is None else is_gone:
            return StepResult(status=Status.SKIPPED, error="it no longer exists: another session dropped it")
        if step.method is Method.CHECK and errors.reports_damage(answer.error):
            return checking.finding_of_error(step, answer.error, damaged or checking.damaged_object(step))
        why = errors.explain(answer.error, is_closed=is_closed, waited=waited, blockers=blockers.text)
        reason = errors.reason_of(answer.error)
        return StepResult(status=Status.FAILED, error=why, reason=reason, effect=effect or None)
    if step.method is Method.CHECK and answer.rows and len(answer.rows[0]) == 3:
        return checking.findings_in_rows(step, answer)
    warnings = [notice.message for notice in answer.notices if notice.is_warning]
    if was_skipped_by_server(step, answer):
        return StepResult(
            status=Status.SKIPPED,
            reason=Reason.TARGET_BUSY,
            error=warnings[0],
            warnings=(f"{step.object}: {warnings[0]}",),
        )
    if (kept := effect.get("rows_kept")) and held_by is not None:
        who = f"held back by {held_by}" if held_by else "another session may still see them"
        warnings.append(f"{step.object}: {counted(kept, 'dead row')} not yet removable: {who}")
    return StepResult(status=Status.COMPLETED, effect=effect or None, warnings=tuple(warnings))


def was_skipped_by_server(step: PgStep, answer: Answer) -> bool:
    """Whether the server skipped the table with a warning, although the command succeeded."""
    return answer.has_only_warned and step.method in {Method.VACUUM, Method.VACUUM_FULL, Method.STATISTICS}


def follow_up_notices(step: PgStep, following: Answer, *, waited: float, blockers: str) -> list[Notice]:
    """Warnings about the second of two commands; the first has completed."""
    if following.was_stopped:
        return [missing_follow_up(step, "it was stopped")]
    if following.error is not None:
        if following.error.sqlstate == errors.NO_TABLE:
            return []
        why = errors.server_message(following.error)
        if following.error.sqlstate == errors.LOCK_TIMEOUT:
            why = no_lock(waited, blockers)
        return [missing_follow_up(step, why)]
    warnings = [notice for notice in following.notices if notice.is_warning]
    return [missing_follow_up(step, warnings[0].message)] if following.has_only_warned else warnings


def missing_follow_up(step: PgStep, why: str) -> Notice:
    return Notice("WARNING", f"{step.object} was rewritten. Still to run: {step.follow_up_command} ({why})")


def _waited_for(wait_limits: WaitLimits | None) -> Facts:
    of_transactions = wait_limits is not None and wait_limits.waits_for is WaitsFor.TRANSACTIONS
    return {WAITED_FOR: WaitsFor.TRANSACTIONS} if of_transactions else {}


def _waited_in_vain(wait_limits: WaitLimits | None, waited: float, blockers: Blockers) -> str:
    if wait_limits is not None and wait_limits.waits_for is WaitsFor.TRANSACTIONS:
        session = blockers.transactions
        who = f"the transaction of {session}" if session else "a transaction of another session"
        longer = "later time limit" if wait_limits.is_closed else "longer --snapshot-wait"
        return f"it waited {span(wait_limits.waited)} for {who}. End it, or give a {longer}"
    return no_lock(waited, blockers.text)
