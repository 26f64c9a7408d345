"""For how long finished jobs are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.statuses import Status

DAY: Final = 86_400.0
"""Seconds."""


@frozen(kw_only=True)
class Retention:
    """For how long finished jobs are kept, in seconds by status; None for ever.

    The `keep_last` newest jobs of each target are kept whatever their age, and those that are pinned.
    """

    completed: float | None = 90 * DAY
    failed: float | None = 365 * DAY
    cancelled: float | None = 365 * DAY
    keep_last: int = 20

    @property
    def ages(self) -> Mapping[Status, float | None]:
        return {
            Status.COMPLETED: self.completed,
            Status.FAILED: self.failed,
            Status.CANCELLED: self.cancelled,
        }
