"""Which due time fires, and why others did not."""

from __future__ import annotations

import pytest

from engine.domain.schedules import FiringReason, Schedule
from engine.schedules.decisions import decide
from tests.engine.domain.test_due_times import at

HOUR = 3_600_000_000
MINUTE = 60_000_000
NIGHT = at("2026-11-27T22:00")


def nightly(*, catch_up: float = 0, until: str | None = None) -> Schedule:
    return Schedule(
        name="nightly",
        targets=("a",),
        start="0 22 * * *",
        timezone="Europe/Berlin",
        catch_up=catch_up,
        until=until,
    )


@pytest.mark.parametrize("late", [0, MINUTE])
def test_what_is_due_now_fires(late: int) -> None:
    decision = decide(nightly(), [NIGHT], NIGHT + late, clock_changed=False)
    assert (decision.fires, list(decision.missed)) == (NIGHT, [])


@pytest.mark.parametrize(
    ("clock_changed", "reason"), [(False, FiringReason.NO_WORKER), (True, FiringReason.CLOCK_CHANGED)]
)
def test_what_is_too_late_is_missed(clock_changed: bool, reason: FiringReason) -> None:
    decision = decide(nightly(), [NIGHT], NIGHT + MINUTE + 1, clock_changed=clock_changed)
    assert decision.fires is None
    assert [(one.due_at, one.reason) for one in decision.missed] == [(NIGHT, reason)]


def test_a_late_worker_catches_up_within_the_time_for_that() -> None:
    assert decide(nightly(catch_up=7200), [NIGHT], NIGHT + 2 * HOUR, clock_changed=False).fires == NIGHT
    late = decide(nightly(catch_up=7200), [NIGHT], NIGHT + 2 * HOUR + 1, clock_changed=False)
    assert (late.fires, [one.reason for one in late.missed]) == (None, [FiringReason.NO_WORKER])


def test_a_worker_that_comes_after_the_window_has_closed_does_not_catch_up() -> None:
    schedule = nightly(catch_up=7200, until="23:00")
    assert decide(schedule, [NIGHT], NIGHT + HOUR - 1, clock_changed=False).fires == NIGHT
    late = decide(schedule, [NIGHT], NIGHT + HOUR, clock_changed=False)
    assert (late.fires, [one.reason for one in late.missed]) == (None, [FiringReason.WINDOW_CLOSED])


def test_of_several_nights_only_the_last_can_be_caught_up() -> None:
    days = [NIGHT - 2 * 24 * HOUR, NIGHT - 24 * HOUR, NIGHT]
    decision = decide(nightly(catch_up=3 * 86_400), days, NIGHT + HOUR, clock_changed=False)
    assert decision.fires == NIGHT
    assert [(one.due_at, one.reason) for one in decision.missed] == [(day, FiringReason.NO_WORKER) for day in days[:-1]]
