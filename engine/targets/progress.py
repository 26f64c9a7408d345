"""A reported percent never goes back, and never reaches the end, which only the command knows. Pure."""

from __future__ import annotations

import math
from typing import Final

ALMOST_ALL: Final = 0.99
_LINEAR_UNTIL: Final = 0.8
"""Up to this share, estimates by time are linear."""
_HISTORY_WEIGHT: Final = 2 / 3
"""The weight of the earlier duration against the observed progress."""


def report_age(elapsed: float) -> float:
    """Seconds from a look at a server until its report is read, on average: at first reports are sent at once."""
    return min(0.1 + 0.04 * elapsed, 0.2)


def look_ahead(fraction: float, elapsed: float, age: float) -> float:
    """The fraction when the report is read. `age`: of a report when it is read, in seconds, on average."""
    return fraction * (1 + age / max(elapsed, age))


def approach_end(share: float) -> float:
    """Slow an estimate down near its end, since the step may take longer than expected."""
    return (
        share
        if share <= _LINEAR_UNTIL
        else 1 - (1 - _LINEAR_UNTIL) * math.exp((_LINEAR_UNTIL - share) / (1 - _LINEAR_UNTIL))
    )


def with_history(modelled: float | None, elapsed: float, age: float, seconds: float | None) -> float | None:
    """The fraction from what the server says and an earlier duration, at the time of reading; None if neither is known.

    Args:
        modelled: by what the server says.
        age: see `look_ahead`.
        seconds: how long it took before.
    """
    if modelled is not None:
        modelled = min(look_ahead(modelled, elapsed, age), (1 + modelled) / 2)
    if not seconds:
        return modelled
    by_time = approach_end((elapsed + age) / seconds)
    return by_time if modelled is None else _HISTORY_WEIGHT * by_time + (1 - _HISTORY_WEIGHT) * modelled


class ReportedFraction:
    """The fraction of one step."""

    def __init__(self) -> None:
        self.value: float | None = None
        """None while nothing is known."""

    def update(self, fraction: float | None) -> None:
        if fraction is not None:
            self.value = max(self.value or 0.0, min(fraction, ALMOST_ALL))
