"""Time, as one function that tests replace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

from engine.domain.steps import Micros

_JUMP: Final = 1_000_000
"""Microseconds: less is how far a clock that is adjusted little by little may be off after hours."""


def _elapsed() -> int:
    """Nanoseconds since some moment, which no setting of the clock changes; also while the machine is suspended."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns()


class SteadyClock:
    """Microseconds since the epoch, UTC: by the system's clock, but for what is measured while that is set.

    While it is held steady, it goes on as if nobody had set it, so that no duration is negative or huge.
    """

    def __init__(self, wall: Callable[[], int] = lambda: time.time_ns(), elapsed: Callable[[], int] = _elapsed) -> None:
        """Both give nanoseconds."""
        self._wall = wall
        self._elapsed = elapsed
        self._holders = 0
        self._anchor: tuple[Micros, int] | None = None
        """What it said when `elapsed` said what."""

    def __call__(self) -> Micros:
        anchor = self._anchor  # other threads ask, too
        if anchor is None:
            return self._wall() // 1000
        at, since = anchor
        return at + (self._elapsed() - since) // 1000

    @contextmanager
    def steady(self) -> Iterator[None]:
        self._holders += 1
        if self._anchor is None:
            self._anchor = self._wall() // 1000, self._elapsed()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._anchor = None

    def not_before(self, at: Micros) -> None:
        """While it is held steady: go on from `at`, where it is not there yet."""
        if self._anchor is not None and self() < at:
            self._anchor = at, self._elapsed()

    @property
    def is_off(self) -> bool:
        """Whether the system's clock says something else by now."""
        return self._anchor is not None and abs(self._wall() // 1000 - self()) > _JUMP


now: Final = SteadyClock()
"""Microseconds since the epoch, UTC."""


def held_steady(clock: Callable[[], Micros]) -> AbstractContextManager[None]:
    """While what is measured goes on; a clock of a test does as it likes."""
    return clock.steady() if isinstance(clock, SteadyClock) else nullcontext()
