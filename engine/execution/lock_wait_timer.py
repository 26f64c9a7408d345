"""For how long steps that run at once have waited for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from engine.domain.steps import Facts, Micros

WORTH_TELLING: Final = 500_000
"""Microseconds."""


class LockWaitTimer:
    """Of each step, and of all together: only while every step that runs waits does the whole wait."""

    def __init__(self, clock: Callable[[], Micros]) -> None:
        self._clock = clock
        self._running: set[int] = set()
        self._since: dict[int, Micros] = {}
        """Those that wait now."""
        self._waited: dict[int, Micros] = {}
        self._all_since: Micros | None = None
        self.together: Micros = 0
        """As far as it is over."""

    def tell(self, step: int, *, waits: bool) -> None:
        """A step runs, and waits or does not."""
        self._running.add(step)
        if not waits:
            self._end(step)
        elif step not in self._since:
            self._since[step] = self._clock()
        self._look_at_all()

    def over(self, step: int) -> Micros:
        """A step runs no more; how long it has waited."""
        self._end(step)
        self._running.discard(step)
        self._look_at_all()
        return self._waited.pop(step, 0)

    def _end(self, step: int) -> None:
        if (since := self._since.pop(step, None)) is not None:
            self._waited[step] = self._waited.get(step, 0) + self._elapsed(since)

    def _look_at_all(self) -> None:
        all_wait = bool(self._running) and len(self._since) == len(self._running)
        if not all_wait and self._all_since is not None:
            self.together += self._elapsed(self._all_since)
            self._all_since = None
        elif all_wait and self._all_since is None:
            self._all_since = self._clock()

    def _elapsed(self, since: Micros) -> Micros:
        return max(self._clock() - since, 0)  # it may have been set back


def wait_facts(waited: Micros) -> Facts:
    """`waited`, in seconds, where it is worth telling."""
    return {"waited": round(waited / 1e6, 1)} if waited >= WORTH_TELLING else {}
