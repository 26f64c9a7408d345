"""Reported progress never goes back, and never reaches the end, which only the command knows. Pure."""

from __future__ import annotations

from typing import Final

ALMOST_ALL: Final = 0.99


def look_ahead(fraction: float, elapsed: float, age: float) -> float:
    """The fraction when the report is read. `age`: of a report when it is read, in seconds, on average."""
    return fraction * (1 + age / max(elapsed, age))


class ReportedFraction:
    """The fraction of one step."""

    def __init__(self) -> None:
        self.value: float | None = None
        """None while nothing is known."""

    def update(self, fraction: float | None) -> None:
        if fraction is not None:
            self.value = max(self.value or 0.0, min(fraction, ALMOST_ALL))
