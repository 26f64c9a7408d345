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


def decide(schedule: Schedule, due: Sequence[Micros], now: Micros, *, looked_at: Micros | None) -> Decision:
    """The outcome of due times without a record. Only the last one may fire: those before it are over.

    Args:
        due: the due times up to now, in order; at least one.
        looked_at: when this process looked before, by the clock at that time; None: never.
    """
    *over, last = due
    closes = closes_at(schedule, last)
    missed = [_missed(schedule, at, _passed(at, looked_at), now) for at in over]
    if (now - last) / 1e6 > max(schedule.catch_up, IN_TIME):
        return Decision(None, [*missed, _missed(schedule, last, _passed(last, looked_at), now)])
    if closes is not None and closes <= now:
        return Decision(None, [*missed, _missed(schedule, last, FiringReason.WINDOW_CLOSED, now)])
    return Decision(last, missed)


def _passed(at: Micros, looked_at: Micros | None) -> FiringReason:
    """Why a due time passed unseen. Where this process looked before it, the clock went over it at once."""
    has_watched = looked_at is not None and looked_at < at
    return FiringReason.CLOCK_CHANGED if has_watched else FiringReason.NO_WORKER


def _missed(schedule: Schedule, at: Micros, reason: FiringReason, now: Micros) -> Firing:
    return Firing(schedule=schedule.name, due_at=at, status=FiringStatus.MISSED, reason=reason, recorded_at=now)
