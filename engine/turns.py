"""Whose turn it is among the steps of a plan that run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.targets.base import PlannedStep


class Turns:
    """Gives each step, with its number from 1, to one of those who iterate over it at once.

    In their order, but for what has to wait: a step while another of the same `conflict` runs, and one that completes
    those before it until they are all over. Who asks for the next step is done with the one it had, unless somebody
    is still holding that.
    """

    def __init__(self, steps: Sequence[PlannedStep]) -> None:
        self._waiting = dict(enumerate(steps, 1))
        self._running: dict[int, PlannedStep] = {}
        self._holders: dict[int, int] = {}
        """How many have still to do with a step that runs."""
        self._freed: set[int] = set()
        """Those that run, and are in the way of none any more."""
        self._to_repeat: set[int] = set()
        self._somebody_is_done = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[tuple[int, PlannedStep]]:
        while True:
            while (number := self._next()) is None:
                if not self._waiting:
                    return
                await self._somebody_is_done.wait()
            step = self._running[number] = self._waiting.pop(number)
            with self.holding(number):
                yield number, step
                if step.frees_when_over:
                    self._freed.add(number)
                    self._wake_others()

    @contextmanager
    def holding(self, number: int) -> Iterator[None]:
        """Meanwhile this step, which has had its turn, is not over."""
        self._holders[number] = self._holders.get(number, 0) + 1
        try:
            yield
        finally:
            self._holders[number] -= 1
            if not self._holders[number]:
                step = self._running.pop(number)
                self._freed.discard(number)
                if number in self._to_repeat:
                    self._put_back(number, step)
                self._wake_others()

    def _wake_others(self) -> None:
        self._somebody_is_done.set()
        self._somebody_is_done = asyncio.Event()

    def repeat(self, number: int) -> None:
        """Give this step, which somebody still holds, another turn: after the others, and before what completes it."""
        self._to_repeat.add(number)

    def _put_back(self, number: int, step: PlannedStep) -> None:
        self._to_repeat.remove(number)
        later = [n for n, waiting in self._waiting.items() if waiting.completes_previous and n > number]
        order = list(self._waiting)
        order.insert(order.index(later[0]) if later else len(order), number)
        self._waiting = {n: self._waiting.get(n, step) for n in order}

    def _next(self) -> int | None:
        busy = {step.conflict for number, step in self._running.items() if number not in self._freed} - {""}
        for number, step in self._waiting.items():
            if step.completes_previous:
                return None if self._running or number != next(iter(self._waiting)) else number
            if step.conflict not in busy:
                return number
        return None
