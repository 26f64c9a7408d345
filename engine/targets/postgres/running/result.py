"""How a step ended, from the answer of the server: pure."""

from __future__ import annotations

from collections.abc import Mapping

from engine.domain.humanize import counted, span
from engine.domain.jobs import Reason, Status, WaitsFor
from engine.targets.postgres.connection import errors
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.locks import NOBODY, Blockers
from engine.targets.postgres.running import checking
from engine.targets.postgres.running.checking import Culprit
from engine.targets.postgres.running.statement import Answer, Notice
from engine.targets.postgres.running.wait_limits import WaitLimits
from engine.targets.protocol import StepResult


def outcome(
    step: PgStep,
    answer: Answer,
    effect: Mapping[str, int],
    *,
    is_closed: bool,
    waited: float,
    patience: WaitLimits | None = None,
    blockers: Blockers = NOBODY,
    held_by: str = "",
    is_gone: bool | None = None,
    culprit: Culprit | None = None,
) -> StepResult:
    """`waited`: for a lock, at most. `patience`: what is known of its waits; `blockers`: for whom. `held_by`: for whom
    dead rows are kept, in words. `is_gone`: whether its subject was dropped meanwhile, where that was looked for, as an
    error may be about something else. `culprit`: what is damaged, where that is not its subject."""
    was_impatient = patience is not None and patience.is_over.is_set()
    if answer.was_stopped and not was_impatient:
        return StepResult(status=Status.CANCELLED, effect=effect or None)
    if answer.was_stopped or (answer.error is not None and answer.error.sqlstate == errors.LOCK_TIMEOUT):
        why = _waited_in_vain(patience, waited, blockers)
        return StepResult(status=Status.FAILED, error=why, reason=Reason.TARGET_BUSY, effect=effect or None)
    if answer.error is not None:
        if answer.error.sqlstate in errors.GONE if is_gone is None else is_gone:
            return StepResult(status=Status.SKIPPED, error="it is gone: somebody has dropped it meanwhile")
        if step.method is Method.CHECK and errors.tells_damage(answer.error):
            return checking.found_by_error(step, answer.error, culprit or checking.culprit_of(step))
        why = errors.explain(answer.error, is_closed=is_closed, waited=waited, blockers=blockers.words)
        reason = errors.reason_of(answer.error)
        return StepResult(status=Status.FAILED, error=why, reason=reason, effect=effect or None)
    if step.method is Method.CHECK and answer.rows and len(answer.rows[0]) == 3:
        return checking.found_in_rows(step, answer)
    warnings = [notice.message for notice in answer.notices if notice.is_warning]
    if was_left_out(step, answer):
        return StepResult(status=Status.SKIPPED, error=warnings[0], warnings=(f"{step.object}: {warnings[0]}",))
    if kept := effect.get("rows_kept"):
        who = f" as long as there is {held_by}" if held_by else ": somebody may still see them"
        warnings.append(f"{step.object}: {counted(kept, 'dead row')} cannot be removed{who}")
    return StepResult(status=Status.COMPLETED, effect=effect or None, warnings=tuple(warnings))


def was_left_out(step: PgStep, answer: Answer) -> bool:
    """The server says OK all the same."""
    return answer.has_only_warned and step.method in {Method.VACUUM, Method.VACUUM_FULL, Method.STATISTICS}


def followed(step: PgStep, following: Answer, *, waited: float, blockers: str) -> list[Notice]:
    """What there is to tell of the second of two commands: the first is done, whatever became of it."""
    if following.was_stopped:
        return [to_be_run_still(step, "it was stopped")]
    if following.error is not None:
        if following.error.sqlstate == errors.NO_TABLE:
            return []
        why = errors.said(following.error)
        if following.error.sqlstate == errors.LOCK_TIMEOUT:
            why = f"it waited {waited:g} s for a lock held by {blockers or 'somebody else'}"
        return [to_be_run_still(step, why)]
    warnings = [notice for notice in following.notices if notice.is_warning]
    return [to_be_run_still(step, warnings[0].message)] if following.has_only_warned else warnings


def to_be_run_still(step: PgStep, why: str) -> Notice:
    return Notice("WARNING", f"{step.object} was rewritten, but this is to be run still: {step.then} ({why})")


def _waited_in_vain(patience: WaitLimits | None, waited: float, blockers: Blockers) -> str:
    if patience is not None and patience.waits_for is WaitsFor.TRANSACTIONS:
        who = f"the transaction of {blockers.transactions}" if blockers.transactions else "a transaction of somebody"
        return f"it waited {span(patience.waited)} for {who}. End it, or give a longer --snapshot-wait"
    return errors.lock_timeout(waited, blockers.words, by_itself=not blockers.has_prepared)
