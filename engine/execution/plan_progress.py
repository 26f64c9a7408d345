"""The percent of a whole plan: pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import heapreplace
from typing import TYPE_CHECKING, Final

from engine.domain.jobs import ALMOST_ALL, REMAINING_FROM
from engine.domain.steps import Progress

if TYPE_CHECKING:
    from engine.targets.plans import PlannedStep
    from engine.targets.step_execution import StepProgress

_OLDEST: Final = 0.5
"""Seconds: after a longer silence a step may stand."""
ONE_BY_ONE: Final = 500
"""Above this many steps, estimate by average throughput instead of simulating each start."""


class PlanProgress:
    """The elapsed share of the expected time of steps that run `at_once` at a time."""

    def __init__(self, steps: Sequence[PlannedStep], *, at_once: int) -> None:
        self._steps = steps
        self._at_once = at_once
        self._weights = dict(enumerate(_weights(steps), 1))
        self._conflicts = {number: step.conflict for number, step in enumerate(steps, 1) if step.conflict}
        """Steps that must not run beside another, with their conflict key."""
        self._whole = self._duration(self._weights)

    def snapshot(
        self,
        over: Collection[int],
        running: Mapping[int, StepProgress],
        *,
        before: float = 0.0,
        worked: float = 0.0,
        ending: float = 0.0,
    ) -> Progress:
        """The progress now.

        Args:
            over: numbers of steps, from 1; those of `running`, too.
            before: seconds of work before the first step, for planning.
            worked: seconds of work since the first step.
            ending: seconds that follow the last step.
        """
        is_known = bool(over) or any(progress.fraction is not None for progress in running.values())
        fraction = None
        if self._weights and is_known:  # not during the first step, if its engine does not report progress
            remaining = {number: weight for number, weight in self._weights.items() if number not in over}
            for number, progress in running.items():
                if number in remaining:
                    remaining[number] *= 1.0 - (progress.fraction or 0.0)
            fraction = max(1.0 - self._duration(remaining) / self._whole, 0.0)
            fraction = with_planning(fraction, before, worked, ending, self._whole)
        waiting = [number for number, progress in running.items() if progress.waits_for is not None]
        shown = min(waiting or running, default=max(over, default=1))  # show a blocked step first
        return Progress(
            fraction=fraction,
            object=self._steps[shown - 1].object if self._steps else None,
            steps_done=len(over),
            steps_total=len(self._steps),
            phase=running[shown].phase if shown in running else None,
            waits_for=running[shown].waits_for if shown in running else None,
        )

    def _duration(self, remaining: Mapping[int, float]) -> float:
        """The time until all steps end, `at_once` at a time and none beside another of the same `conflict`.

        `remaining`: the weights that are left, by number of the step.
        """
        if not remaining:
            return 0.0
        chains: dict[str, float] = {}
        for number, conflict in self._conflicts.items():
            if number in remaining:
                chains[conflict] = chains.get(conflict, 0.0) + remaining[number]
        longest = max(*remaining.values(), *chains.values(), 0.0)
        if self._at_once == 1 or len(remaining) > ONE_BY_ONE:
            return max(sum(remaining.values()) / self._at_once, longest)
        ends = [0.0] * self._at_once
        for weight in remaining.values():
            heapreplace(ends, ends[0] + weight)
        return max(*ends, longest)


def with_planning(fraction: float, before: float, worked: float, ending: float, expected: float) -> float:
    """The share of all the time that is over, from the share of the steps.

    They take as long as they promise by now, and no less than expected: a first step that ends early tells little.
    """
    if not REMAINING_FROM <= fraction < 1.0:
        return fraction
    steps = max(worked / fraction, expected)
    return (before + fraction * steps) / (before + steps + ending) if steps else fraction


def look_ahead(fraction: float | None, worked: float, age: float) -> float | None:
    """The fraction when its report is read, on average.

    Args:
        worked: seconds after which it was known.
        age: seconds since, until it is read.
    """
    if fraction is None or fraction >= ALMOST_ALL:
        return fraction
    age = min(max(age, 0.0), _OLDEST)
    return min(fraction * (1 + age / max(worked, age)), ALMOST_ALL) if age else fraction


def _weights(steps: Sequence[PlannedStep]) -> list[float]:
    """The estimates or weights of the steps; a step with neither gets the average."""
    given = [step.weight if step.estimate is None else step.estimate for step in steps]
    known = [max(weight, 0.0) for weight in given if weight is not None]  # a damaged database may give negative numbers
    usual = sum(known) / len(known) if sum(known) else 1.0
    return [max(usual if weight is None else weight, usual / 1000) for weight in given]
