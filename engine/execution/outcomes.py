"""How a child ended, derived from its steps: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.claims import Outcome
from engine.domain.effects import CheckResult
from engine.domain.humanize import NOT_BEGUN, counted, listed
from engine.domain.statuses import LEFT_BY_WINDOW, Reason, Status
from engine.domain.steps import Facts, format_findings, object_name
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepResult

StepOutcome = tuple[PlannedStep, StepResult]
_MOST_REASONS: Final = 2
"""Reasons of failed steps in the error of an operation; each step has its own error."""


def child_outcome(
    results: Sequence[StepOutcome],
    *,
    planned: Sequence[PlannedStep],
    after: Facts | None,
    warnings: Sequence[str] = (),
    skip_reason: Reason | None = None,
    stop_reason: str = "",
) -> Outcome:
    """How a child ended, derived from its steps. One failed step fails it; the error lists them.

    `skip_reason`: why steps were not begun, other than a cancel. `stop_reason`: why no further step could begin.
    """
    failed = [(step, result) for step, result in results if result.status is Status.FAILED]
    # Steps are compared by identity: equal ones may occur twice among thousands.
    over = {id(step) for step, result in results if result.status is not Status.CANCELLED}
    begun = {id(step) for step, result in results if not result.never_began}
    cut_short = [step for step in planned if id(step) not in over]
    not_begun = [step for step, result in results if result.never_began and result.status is Status.SKIPPED]
    status, reason, error = Status.COMPLETED, None, None
    if stop_reason:
        status, reason = Status.FAILED, _abort_reason(results)
        error = _describe_abort(results, len(planned), stop_reason)
    elif failed:
        reasons = {result.reason or Reason.OPERATION_ERROR for _, result in failed}
        status, reason = Status.FAILED, reasons.pop() if len(reasons) == 1 else Reason.OPERATION_ERROR
        error = describe_failures(failed, len(planned))
        if cut_short:
            error = (
                f"stopped after {len(over)} of {len(planned)} steps. By then: {error}. "
                f"Not through: {listed([step.command for step in cut_short], most=1)}"
            )
        elif not_begun:
            when = "By the time limit" if skip_reason in LEFT_BY_WINDOW else "After that"
            number = len(not_begun)
            error += f". {when} {counted(number, 'step')} of it {'was' if number == 1 else 'were'} not begun"
    elif cut_short:
        status, reason = Status.CANCELLED, Reason.CANCELLED_BY_USER
        error = describe_cancelled(results, len(planned))
    elif not_begun:
        status, error = partial_outcome(results, len(planned))
        reason = skip_reason or Reason.TIME_LIMIT
    elif busy := _busy(results):
        status, reason, error = Status.SKIPPED, Reason.TARGET_BUSY, busy
    if reason is Reason.REFUSED and any(result.status is Status.COMPLETED for _, result in results):
        reason = Reason.OPERATION_ERROR  # a refused operation has not begun
    if (cut_short or not_begun) and (check := CheckResult.of(after)) is not None:
        after = {**(after or {}), **replace(check, complete=False).facts()}
    return Outcome(
        status=status,
        reason=reason,
        error=error,
        warnings=(*warnings, *(warning for _, result in results for warning in result.warnings)),
        after=after,
        left=sum(id(step) not in begun and not step.mandatory_follow_up for step in planned),
    )


def _busy(results: Sequence[StepOutcome]) -> str:
    """What each step gave way to, as the first one says it, where none did anything; "" otherwise."""
    work = [result for step, result in results if not step.mandatory_follow_up]
    gave_way = [one for one in work if one.status is Status.SKIPPED and one.reason is Reason.TARGET_BUSY]
    return (work[0].error or "") if work and len(gave_way) == len(work) else ""


def _abort_reason(results: Sequence[StepOutcome]) -> Reason:
    """Why an operation could not continue: its server was lost, unless all steps that say it name another reason."""
    reasons = {result.reason for _, result in results if result.stop_reason}
    return (reasons.pop() if len(reasons) == 1 else None) or Reason.SERVER_LOST


def _describe_abort(results: Sequence[StepOutcome], planned: int, stop_reason: str) -> str:
    """The error of an operation that could not continue: the steps done, those in doubt, those not begun."""
    done = sum(result.status is Status.COMPLETED for _, result in results)
    failed = [outcome for outcome in results if outcome[1].status is Status.FAILED]
    lost = [step for step, result in failed if result.reason is Reason.SERVER_LOST]
    not_begun = [step for step, result in results if result.never_began and result.status is Status.SKIPPED]
    parts = [stop_reason, f"{done:,} of {counted(planned, 'step')} completed"]
    parts += [f"not known how it ended: {_names(lost)}"] if lost else []
    parts += [_not_begun(not_begun)] if not_begun else []
    others = [outcome for outcome in failed if outcome[1].reason is not Reason.SERVER_LOST]
    return "; ".join(parts) + (f". {describe_failures(others, planned)}" if others else "")


def _not_begun(steps: Sequence[PlannedStep]) -> str:
    return ": ".join(filter(None, (f"{len(steps):,} not begun", _names(steps))))


def _names(steps: Iterable[PlannedStep]) -> str:
    return listed(list(dict.fromkeys(filter(None, (object_name(step.object) for step in steps)))))


def partial_outcome(results: Sequence[StepOutcome], planned: int) -> tuple[Status, str | None]:
    """The status and error of a child whose window closed, or had too little time left, before all its steps began."""
    done = sum(result.status is Status.COMPLETED for _, result in results)
    if not done and not any(result.error for _, result in results if not result.never_began):
        return Status.SKIPPED, None
    not_begun = [step for step, result in results if result.never_began]
    return Status.COMPLETED, f"{done:,} of {counted(planned, 'step')} done by the time limit; {_not_begun(not_begun)}"


def describe_cancelled(results: Sequence[StepOutcome], planned: int) -> str | None:
    """The error of a cancelled child: how far it came and what remains; None if its engine does not report it."""
    done = [step for step, result in results if result.status is Status.COMPLETED]
    how_far = f"stopped after {len(done)} of {planned} steps"
    if not all(step.lost_without_next for step in done):
        return f"{how_far}; the completed steps stay"
    remains = dict.fromkeys(result.left for _, result in results if result.status is Status.CANCELLED)
    if text := "; ".join(filter(None, remains)):
        return text
    if done:
        return f"{how_far}; nothing of it stays"
    return None if remains else NOT_BEGUN


def describe_failures(failed: Sequence[StepOutcome], planned: int) -> str:
    """The error of failed steps, by object; of a child of one step its error. Findings are listed apart."""
    if planned == 1:
        return failed[0][1].error or "failed"
    finds: list[StepResult] = []
    objects: dict[str, list[str]] = {}
    for step, result in failed:
        if result.error_is_finding:
            finds.append(result)
        else:
            objects.setdefault(result.error or "failed", []).append(object_name(step.object))
    parts = {error: listed(list(filter(None, names))) for error, names in objects.items()}
    phrases = [f"{names}: {error}" if names else error for error, names in list(parts.items())[:_MOST_REASONS]]
    if others := list(filter(None, (name for names in list(objects.values())[_MOST_REASONS:] for name in names))):
        phrases.append(f"{listed(others)} failed, too")
    details = "; ".join(phrases)
    number = sum(map(len, objects.values()))
    failures = f"{details}; {number} of {planned} steps failed" if objects else ""
    return ". Found: ".join(filter(None, [failures, describe_findings(finds)]))


def describe_findings(finds: Sequence[StepResult]) -> str:
    """The first finding and their number; "" without findings."""
    if len(finds) < 2:
        return finds[0].error or "" if finds else ""
    found = list(dict.fromkeys(finding for result in finds for finding in result.findings))
    return found[0] if len(found) == 1 else f"{found[0]}, the first of {format_findings(len(found))}"
