"""A reported percent never goes back, and never reaches the end, which only the command knows. Pure."""

from __future__ import annotations

import math
from typing import Final

from engine.domain.jobs import ALMOST_ALL

_LINEAR_UNTIL: Final = 0.8
"""Up to this share, estimates by time are linear."""
_HISTORY_WEIGHT: Final = 2 / 3
"""The weight of the earlier duration against the observed progress."""


def approach_end(share: float) -> float:
    """Slow an estimate down near its end, since the step may take longer than expected."""
    return (
        share
        if share <= _LINEAR_UNTIL
        else 1 - (1 - _LINEAR_UNTIL) * math.exp((_LINEAR_UNTIL - share) / (1 - _LINEAR_UNTIL))
    )


def with_history(modelled: float | None, elapsed: float, seconds: float | None) -> float | None:
    """The fraction from what the server says and an earlier duration; None if neither is known.

    Args:
        modelled: by what the server says.
        seconds: how long it took before.
    """
    if not seconds:
        return modelled
    by_time = approach_end(elapsed / seconds)
    return by_time if modelled is None else _HISTORY_WEIGHT * by_time + (1 - _HISTORY_WEIGHT) * modelled


class ReportedFraction:
    """The fraction of one step."""

    def __init__(self) -> None:
        self.value: float | None = None
        """None while nothing is known."""

    def update(self, fraction: float | None) -> None:
        if fraction is not None:
            self.value = max(self.value or 0.0, min(fraction, ALMOST_ALL))
