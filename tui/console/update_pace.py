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

    def __init__(self, update: Callable[[], None], clock: Callable[[], float] = monotonic) -> None:
        """`clock`: seconds."""
        self._update, self._clock = update, clock
        self._due = clock()

    def update_if_due(self) -> None:
        begun = self._clock()
        if begun >= self._due:
            self._update()
            ended = self._clock()
            self._due = ended + max(SHORTEST, REST * (ended - begun))


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
