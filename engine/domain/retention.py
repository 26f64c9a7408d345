"""How long finished jobs are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.statuses import Status

DAY: Final = 86_400.0
"""Seconds."""


@frozen(kw_only=True)
class Retention:
    """How long finished jobs are kept, in seconds by status; None: without limit.

    The `keep_last` newest jobs of each target, and pinned jobs, are kept at any age.
    """

    completed: float | None = 90 * DAY
    failed: float | None = 365 * DAY
    cancelled: float | None = 365 * DAY
    keep_last: int = 20

    @property
    def ages(self) -> Mapping[Status, float | None]:
        return {Status.COMPLETED: self.completed, Status.FAILED: self.failed, Status.CANCELLED: self.cancelled}
