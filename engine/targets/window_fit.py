"""Which steps a plan would begin before its window closes: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heapreplace

from engine.domain.statuses import Reason
from engine.targets.plans import OperationPlan, PlannedStep


def needed_seconds(steps: Sequence[PlannedStep]) -> list[float | None]:
    """Of each step: the expected seconds until its work is safe; None without an estimate.

    That is its own time with that of the steps that must follow it.
    """
    needed: list[float | None] = []
    follow_ups = next_seconds = 0.0
    for step in reversed(steps):
        own = step.estimate or 0.0
        after = next_seconds if step.lost_without_next else follow_ups
        needed.append(None if step.estimate is None else own + after)
        if step.mandatory_follow_up:
            follow_ups += own
        next_seconds = own + after
    needed.reverse()
    return needed


def reason_not_to_begin(needed: float | None, time_left: float | None, *, fit: bool) -> Reason | None:
    """Why a step must not begin now; None if it may.

    Args:
        needed: see `needed_seconds`.
        time_left: seconds until the window closes; None: it does not.
        fit: see `Options.fit`.
    """
    if time_left is None:
        return None
    if time_left <= 0:
        return Reason.TIME_LIMIT
    return Reason.WILL_NOT_FIT if fit and needed is not None and needed > time_left else None


def in_window(operations: Iterable[OperationPlan], time_left: float, *, fit: bool) -> tuple[OperationPlan, ...]:
    """The operations, one after another from now on, with the steps marked that would not begin.

    Steps without an estimate count as taking no time.
    """
    planned, begins = [], 0.0
    for operation in operations:
        marked, begins = operation_in_window(operation, begins, time_left, fit=fit)
        planned.append(marked)
    return tuple(planned)


def operation_in_window(
    plan: OperationPlan, begins: float, time_left: float, *, fit: bool
) -> tuple[OperationPlan, float]:
    """The plan of an operation that begins at `begins`, with the steps marked that would not begin; when it ends."""
    ends = [begins] * plan.parallel
    steps, has_begun, is_needed = list[PlannedStep](), False, False
    for step, needed in zip(plan.steps, needed_seconds(plan.steps), strict=True):
        if step.mandatory_follow_up:
            reason = None if has_begun else Reason.TIME_LIMIT
            ends = [max(ends)] * plan.parallel
        else:
            reason = None if is_needed else reason_not_to_begin(needed, time_left - min(ends), fit=fit)
            has_begun = has_begun or reason is None
        if reason is None:
            ends.sort()
            heapreplace(ends, ends[0] + (step.estimate or 0.0))
        is_needed = step.lost_without_next and reason is None
        steps.append(replace(step, not_begun=reason))
    return replace(plan, steps=tuple(steps)), max(ends)
