"""Whose turn it is among the steps of a plan that run at once: pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.targets.base import PlannedStep


class Turns:
    """Which steps, with their numbers from 1, may run now.

    `at_once` of them, in their order, but for what has to wait: a step while another of the same `conflict` runs, and
    one that completes those before it until they are all over.
    """

    def __init__(self, steps: Sequence[PlannedStep], *, at_once: int) -> None:
        self._waiting = dict(enumerate(steps, 1))
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

    def command_is_over(self, number: int) -> None:
        """Of this step only a look at what it did is left, which takes no turn."""
        self._looked_at.add(number)

    def is_over(self, number: int, *, again: bool = False) -> None:
        """All of this step is. `again`: it is to have another turn, after the others, and before what completes it."""
        step = self._running.pop(number)
        self._looked_at.discard(number)
        if again:
            self._put_back(number, step)

    def _put_back(self, number: int, step: PlannedStep) -> None:
        later = [n for n, waiting in self._waiting.items() if waiting.completes_previous and n > number]
        order = list(self._waiting)
        order.insert(order.index(later[0]) if later else len(order), number)
        self._waiting = {n: self._waiting.get(n, step) for n in order}

    def _next(self) -> int | None:
        busy = {step.conflict for number, step in self._running.items() if not self._has_freed(number, step)} - {""}
        for number, step in self._waiting.items():
            if step.completes_previous:
                return None if self._running or number != next(iter(self._waiting)) else number
            if step.conflict not in busy:
                return number
        return None

    def _has_freed(self, number: int, step: PlannedStep) -> bool:
        return step.frees_when_over and number in self._looked_at
