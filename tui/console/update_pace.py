"""How often a screen is updated while results come in; the last result of all is shown by who calls it."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

SHORTEST: Final = 0.25
"""Seconds between two updates, at least,"""
REST: Final = 9.0
"""and so many times what the last one took: keys come first."""


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
