"""The clock, as one function that tests replace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Final

from engine.domain.steps import Micros

_JUMP: Final = 1_000_000
"""Microseconds: a clock that is slewed stays below this for hours."""


_elapsed: Final[Callable[[], int]] = (
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic_ns
)
"""Monotonic nanoseconds, including suspend."""


class SteadyClock:
    """Microseconds since the epoch, UTC, by the system clock, or by that of a server which it follows.

    While held steady it ignores changes of the system clock, so that no duration is negative or huge.
    """

    def __init__(self, wall: Callable[[], int] = lambda: time.time_ns(), elapsed: Callable[[], int] = _elapsed) -> None:
        """Both give nanoseconds."""
        self._wall = wall
        self._elapsed = elapsed
        self._holders = 0
        self._ahead: Micros = 0
        self._anchor: tuple[Micros, int] | None = None
        """The time and the value of `elapsed` when it was held."""

    def __call__(self) -> Micros:
        anchor = self._anchor  # read by other threads, too
        if anchor is None:
            return self.wall()
        at, since = anchor
        return at + (self._elapsed() - since) // 1000

    def wall(self) -> Micros:
        """The time of the system clock, or of the one that it follows, also while it is held steady."""
        return self.at_host(self._wall())

    def at_host(self, nanoseconds: int) -> Micros:
        """The time of this clock when the system's showed so many: that of a file, for example."""
        return nanoseconds // 1000 + self._ahead

    def follow(self, asked: Micros, shown: Micros) -> None:
        """Show what another clock shows from now on. It was asked at a time of this one, and has just answered.

        That took a while. Where what this clock shows may be the same, it stays: it does not waver.
        """
        answered = self.wall()
        if not asked <= shown <= answered:
            self._ahead += shown - (asked + answered) // 2

    def elapsed(self) -> Micros:
        """Microseconds since some moment, whatever the clock is set to; also those in which the machine slept."""
        return self._elapsed() // 1000

    @contextmanager
    def steady(self) -> Iterator[None]:
        self._holders += 1
        if self._anchor is None:
            self._anchor = self.wall(), self._elapsed()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._anchor = None

    def not_before(self, at: Micros) -> None:
        """While held steady: advance to `at` if it is earlier."""
        if self._anchor is not None and self() < at:
            self._anchor = at, self._elapsed()

    @property
    def is_off(self) -> bool:
        """Whether the system clock differs by now."""
        return self._anchor is not None and abs(self.wall() - self()) > _JUMP


now: Final = SteadyClock()
"""Microseconds since the epoch, UTC."""


def wall_clock(clock: Callable[[], Micros]) -> Callable[[], Micros]:
    """The clock of the system behind a clock; one of a test is that itself."""
    return clock.wall if isinstance(clock, SteadyClock) else clock


def elapsed(clock: Callable[[], Micros]) -> Callable[[], Micros]:
    """What counts microseconds beside a clock, and is never set; a clock of a test is that itself."""
    return clock.elapsed if isinstance(clock, SteadyClock) else clock


def held_steady(clock: Callable[[], Micros]) -> AbstractContextManager[None]:
    """Hold the clock steady while inside; clocks of tests are left alone."""
    return clock.steady() if isinstance(clock, SteadyClock) else nullcontext()
