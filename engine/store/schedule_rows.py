"""Rows of schedules and firings to values: pure functions for all stores."""

from __future__ import annotations

from typing import Final

from engine.domain.schedules import Firing, FiringReason, FiringStatus, ScheduleState
from engine.store.row_checks import checked, sound
from engine.store.rows import Row

STATE: Final = ("name", "start", "config", "since", "disabled_at", "disabled_by")
FIRING: Final = ("schedule", "due_at", "status", "reason", "error", "batch_id", "jobs", "recorded_at")
KEPT: Final = 400 * 86_400 * 1_000_000
"""Microseconds for which firings are kept: more than a year."""
KEPT_OF_EACH: Final = 10_000
"""Firings of one schedule that are kept at most."""


def decode_state(row: Row) -> ScheduleState:
    return ScheduleState(**checked(dict(zip(STATE, row, strict=True))))


def decode_firing(row: Row) -> Firing:
    values = checked(dict(zip(FIRING, row, strict=True)))
    with sound("a firing"):
        return Firing(
            schedule=values["schedule"],
            due_at=values["due_at"],
            status=FiringStatus(values["status"]),
            reason=FiringReason(values["reason"]) if values["reason"] else None,
            error=values["error"],
            batch=values["batch_id"],
            jobs=values["jobs"],
            recorded_at=values["recorded_at"],
        )
