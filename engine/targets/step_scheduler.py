"""Schedules the steps of a plan that run concurrently: pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import takewhile
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from engine.targets.plans import PlannedStep

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
