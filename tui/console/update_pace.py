"""How often a screen is updated while results come in; the last result of all is shown by who calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic
from typing import Final, TypeVar

_T = TypeVar("_T")
SHORTEST: Final = 0.25
"""Seconds between two updates, at least."""
REST: Final = 9.0
"""The pause between two updates, as a multiple of what the last one took: keys come first."""


class UpdatePace:
    """Updates at most so often that a slow update leaves most of the time to other things."""

    def __init__(
        self, update: Callable[[], None], clock: Callable[[], float] = monotonic, *, shortest: float = SHORTEST
    ) -> None:
        """`clock`: seconds. `shortest`: seconds between two updates, at least."""
        self._update, self._clock, self._shortest = update, clock, shortest
        self._due = clock()
        self._is_behind = False
        """Whether there was news since the last update."""

    def update_if_due(self) -> None:
        begun = self._clock()
        self._is_behind = begun < self._due
        if not self._is_behind:
            self._update()
            ended = self._clock()
            self._due = ended + max(self._shortest, REST * (ended - begun))

    def catch_up(self) -> None:
        """Update now if there was news since the last update."""
        if self._is_behind:
            self._is_behind = False
            self._update()


SLICE, PAUSE = 0.008, 0.002
"""Seconds of work on many things, and of the pause after it, in which keys are answered."""


async def in_slices(things: Iterable[_T]) -> AsyncIterator[_T]:
    """The same things, with a pause after each slice of the work on them."""
    until = monotonic() + SLICE
    for thing in things:
        if monotonic() >= until:
            await asyncio.sleep(PAUSE)
            until = monotonic() + SLICE
        yield thing
