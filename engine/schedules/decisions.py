"""Which due time fires now, and why others did not: pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.due_times import closes_at
from engine.domain.frozen import frozen
from engine.domain.schedules import Firing, FiringReason, FiringStatus, Schedule
from engine.domain.steps import Micros

IN_TIME: Final = 60.0
"""Seconds after a due time within which it fires in any case: a worker may be replaced in between."""


@frozen
class Decision:
    fires: Micros | None
    """The due time that fires."""
    missed: Sequence[Firing] = ()
    """The due times that do not, each with the reason."""


def decide(schedule: Schedule, due: Sequence[Micros], now: Micros, *, clock_changed: bool) -> Decision:
    """The outcome of due times without a record. Only the last one may fire: those before it are over.

    Args:
        due: the due times up to now, in order; at least one.
        clock_changed: whether the clock was set since the last look of this process. If not, no worker was running
            at the due times without a record.
    """
    unseen = FiringReason.CLOCK_CHANGED if clock_changed else FiringReason.NO_WORKER
    *over, last = due
    closes = closes_at(schedule, last)
    missed = [_missed(schedule, at, unseen, now) for at in over]
    if (now - last) / 1e6 > max(schedule.catch_up, IN_TIME):
        return Decision(None, [*missed, _missed(schedule, last, unseen, now)])
    if closes is not None and closes <= now:
        return Decision(None, [*missed, _missed(schedule, last, FiringReason.WINDOW_CLOSED, now)])
    return Decision(last, missed)


def _missed(schedule: Schedule, at: Micros, reason: FiringReason, now: Micros) -> Firing:
    return Firing(schedule=schedule.name, due_at=at, status=FiringStatus.MISSED, reason=reason, recorded_at=now)
