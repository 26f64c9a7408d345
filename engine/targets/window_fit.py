"""Which steps of a plan run concurrently, and which would begin before its window closes: pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from engine.domain.statuses import Reason
from engine.targets.plans import OperationPlan, PlannedStep

if TYPE_CHECKING:
    from engine.targets.plans import PlannedStep


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


_NONE: Final[Mapping[int, PlannedStep]] = MappingProxyType({})


class StepScheduler:
    """Decides which steps, numbered from 1, may run now.

    At most `at_once` run, in their order. A step waits while another of the same `conflict` runs; a mandatory follow-up
    waits until all steps before it have ended.
    """

    def __init__(self, steps: Sequence[PlannedStep], *, at_once: int) -> None:
        # Finding the first key of a plain dict gets slower with each removed key.
        self._waiting = OrderedDict(enumerate(steps, 1))
        self._completing = [number for number, step in self._waiting.items() if step.mandatory_follow_up]
        self._at_once = at_once
        self._running: dict[int, PlannedStep] = {}
        self._verifying: set[int] = set()
        """Running steps whose command has ended and whose result is verified."""

    def next(self) -> tuple[int, PlannedStep] | None:
        """The next step to begin; None if none may begin now, or none is left."""
        if len(self._running) - len(self._verifying) >= self._at_once:
            return None
        number = self._next()
        if number is None:
            return None
        step = self._running[number] = self._waiting.pop(number)
        return number, step

    def command_finished(self, number: int) -> None:
        """Record that the command of a step ended; its verification takes no slot."""
        self._verifying.add(number)

    def step_finished(self, number: int, *, again: bool = False, instead: Mapping[int, PlannedStep] = _NONE) -> None:
        """Record the end of a step.

        `again`: queue it again, after the others and before its mandatory follow-up; so are the steps `instead` of it.
        """
        step = self._running.pop(number)
        self._verifying.discard(number)
        for new, one in ({number: step} if again else instead).items():
            self._put_behind(number, new, one)

    def extend(self, steps: Mapping[int, PlannedStep], *, at_once: int) -> None:
        """Add steps once all others have ended."""
        self._waiting.update(steps)
        self._at_once = at_once

    def _put_behind(self, ended: int, number: int, step: PlannedStep) -> None:
        """Queue a step after the others, and before the mandatory follow-up of the one that `ended`."""
        completing = next((n for n in self._completing if n > ended and n in self._waiting), None)
        behind = list(takewhile(lambda n: n != completing, reversed(self._waiting))) if completing else []
        self._waiting[number] = step
        for n in (completing, *reversed(behind)) if completing else ():
            self._waiting.move_to_end(n)

    def _next(self) -> int | None:
        busy = {step.conflict for number, step in self._running.items() if not self._has_freed(number, step)} - {""}
        for number, step in self._waiting.items():
            if step.mandatory_follow_up:
                return None if self._running or number != next(iter(self._waiting)) else number
            if step.conflict not in busy:
                return number
        return None

    def _has_freed(self, number: int, step: PlannedStep) -> bool:
        return step.frees_conflict_early and number in self._verifying
