"""Measures how long concurrent steps wait for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.domain.steps import WAITS, Facts, Micros

WORTH_TELLING: Final = 500_000
"""Microseconds: shorter waits are not reported."""
MOST_WAITS: Final = 50
"""Waits of one step that are kept; of more, those closest together become one."""


class LockWaitTimer:
    """The wait of each step, and of all together: the whole waits only while every running step waits."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        self._clock = clock
        self._running: set[int] = set()
        self._since: dict[int, Micros] = {}
        """The start of the current wait, by step."""
        self._waited: dict[int, Micros] = {}
        self._over: dict[int, list[tuple[Micros, Micros]]] = {}
        """The waits of a step that are over."""
        self._all_since: Micros | None = None
        self.total: Micros = 0
        """Microseconds in which every running step waited; without a current wait."""

    def update(self, step: int, *, waits: bool) -> bool:
        """Record that a step runs, and whether it waits. Returns whether that changed."""
        changes = waits != (step in self._since)
        self._running.add(step)
        if not waits:
            self._end(step)
        elif step not in self._since:
            self._since[step] = self._clock()
        self._update_total()
        return changes

    def stop(self, step: int) -> Micros:
        """Record that a step ended; returns the microseconds that it waited."""
        self._end(step)
        self._running.discard(step)
        self._update_total()
        return self._waited.pop(step, 0)

    @property
    def total_now(self) -> Micros:
        """`total` with the current wait."""
        return self.total + (0 if self._all_since is None else self._elapsed(self._all_since))

    def waits(self, step: int) -> Facts:
        """The fact `WAITS` of a step."""
        times = [time for wait in self._over.get(step, ()) for time in wait]
        times += [self._since[step]] if step in self._since else []
        return {WAITS: times} if times else {}

    def hand_on(self, step: int, to: int) -> None:
        """Give the waits of a step that is over to another one."""
        if waits := self._over.pop(step, None):
            self._over[to] = [*waits, *self._over.get(to, ())]

    def _end(self, step: int) -> None:
        if (since := self._since.pop(step, None)) is not None:
            elapsed = self._elapsed(since)
            self._waited[step] = self._waited.get(step, 0) + elapsed
            if elapsed >= WORTH_TELLING:
                self._over[step] = _fewer([*self._over.get(step, ()), (since, since + elapsed)])

    def _update_total(self) -> None:
        all_wait = bool(self._running) and len(self._since) == len(self._running)
        if not all_wait and self._all_since is not None:
            self.total += self._elapsed(self._all_since)
            self._all_since = None
        elif all_wait and self._all_since is None:
            self._all_since = self._clock()

    def _elapsed(self, since: Micros) -> Micros:
        return max(self._clock() - since, 0)  # the clock may have been set back


def _fewer(waits: list[tuple[Micros, Micros]]) -> list[tuple[Micros, Micros]]:
    if len(waits) <= MOST_WAITS:
        return waits
    first = min(range(len(waits) - 1), key=lambda number: waits[number + 1][0] - waits[number][1])
    return [*waits[:first], (waits[first][0], waits[first + 1][1]), *waits[first + 2 :]]


def wait_facts(waited: Micros) -> Facts:
    """The fact `waited`, in seconds; empty for short waits."""
    return {"waited": round(waited / 1e6, 1)} if waited >= WORTH_TELLING else {}
