"""Which steps a plan would begin before its window closes: pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from engine.domain.statuses import Reason
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.step_scheduler import StepScheduler


def needed_seconds(steps: Sequence[PlannedStep]) -> list[float | None]:
    """The expected seconds of each step until its work is safe; None without an estimate.

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
    """The plan of an operation that begins at `begins`, with the steps marked that would not begin; when it ends.

    Its steps begin in the order, and by the rules, of a run: see `StepScheduler`.
    """
    scheduler, needed = StepScheduler(plan.steps, at_once=plan.parallel), needed_seconds(plan.steps)
    reasons, running, now = dict[int, Reason | None](), list[tuple[float, int]](), begins
    while True:
        while (turn := scheduler.next()) is not None:
            number, step = turn
            if step.mandatory_follow_up:
                has_begun = any(reason is None for reason in reasons.values())
                reason = None if has_begun else Reason.TIME_LIMIT
            elif plan.steps[number - 2].lost_without_next and reasons.get(number - 1, Reason.TIME_LIMIT) is None:
                reason = None
            else:
                reason = reason_not_to_begin(needed[number - 1], time_left - now, fit=fit)
            reasons[number] = reason
            if reason is None:
                heappush(running, (now + (step.estimate or 0.0), number))
            else:
                scheduler.step_finished(number)
        if not running:
            break
        now, ended = heappop(running)
        scheduler.step_finished(ended)
    steps = (replace(step, not_begun=reasons[number]) for number, step in enumerate(plan.steps, 1))
    return replace(plan, steps=tuple(steps)), now
