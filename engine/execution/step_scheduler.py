"""Whose turn it is among the steps of a plan that run at once: pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.targets.protocol import PlannedStep


class StepScheduler:
    """Which steps, with their numbers from 1, may run now.

    `at_once` of them, in their order, but for what has to wait: a step while another of the same `conflict` runs, and
    one that completes those before it until they are all over.
    """

    def __init__(self, steps: Sequence[PlannedStep], *, at_once: int) -> None:
        # To find the first of a plain dict takes the longer the more were taken out before it.
        self._waiting = OrderedDict(enumerate(steps, 1))
        self._completing = [number for number, step in self._waiting.items() if step.mandatory_follow_up]
        self._at_once = at_once
        self._running: dict[int, PlannedStep] = {}
        self._looked_at: set[int] = set()
        """Those of them whose command is over."""

    def next(self) -> tuple[int, PlannedStep] | None:
        """The step that begins now; None while none may, or where none is left."""
        if len(self._running) - len(self._looked_at) >= self._at_once:
            return None
        number = self._next()
        if number is None:
            return None
        step = self._running[number] = self._waiting.pop(number)
        return number, step

    def command_finished(self, number: int) -> None:
        """Of this step only a look at what it did is left, which takes no turn."""
        self._looked_at.add(number)

    def is_over(self, number: int, *, again: bool = False) -> None:
        """All of this step is. `again`: it is to have another turn, after the others, and before what completes it."""
        step = self._running.pop(number)
        self._looked_at.discard(number)
        if again:
            self._put_back(number, step)

    def _put_back(self, number: int, step: PlannedStep) -> None:
        completing = next((n for n in self._completing if n > number and n in self._waiting), None)
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
        return step.frees_conflict_early and number in self._looked_at
