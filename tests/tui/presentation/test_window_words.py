"""What is said of steps that a window leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Facts, PlannedStep, Reason, Status, Step
from engine.domain.humanize import PAST_THE_LIMIT
from engine.domain.steps import EXPECTED, TIME_LEFT
from engine.targets.lock_impact import NO_LOCK
from tui.presentation.effect_summary import step_effect
from tui.presentation.window_words import planned_step, step_error

SKIPPED = Step(
    number=1, attempt=1, object="i", command="REINDEX i", status=Status.SKIPPED, started_at=1, finished_at=1,
    reason=Reason.WILL_NOT_FIT,
)  # fmt: skip
PLANNED = PlannedStep(object="i", command="REINDEX i", reason="", lock=NO_LOCK)


@pytest.mark.parametrize(
    ("effect", "text"),
    [
        ({EXPECTED: 0.9, TIME_LEFT: 0.61}, "not begun: it takes 0.9 s, and 0.6 s was left"),
        ({EXPECTED: 0.24, TIME_LEFT: 0.21}, "not begun: it takes 0.24 s, and 0.21 s was left"),
        ({EXPECTED: 10800.0, TIME_LEFT: 3600.0}, "not begun: it takes about 3h, and about 1h was left"),
        (None, PAST_THE_LIMIT),
    ],
)
def test_a_step_that_does_not_fit_says_how_long_it_takes(effect: Facts | None, text: str) -> None:
    assert step_error(replace(SKIPPED, effect=effect)) == text
    assert step_effect(effect) == ""


def test_an_error_is_told_as_it_is() -> None:
    assert step_error(replace(SKIPPED, error="it broke", reason=Reason.TARGET_BUSY)) == "it broke"
    assert step_error(replace(SKIPPED, reason=Reason.TIME_LIMIT)) == PAST_THE_LIMIT
    assert step_error(replace(SKIPPED, reason=None)) == ""


def test_a_plan_says_what_would_not_begin() -> None:
    assert planned_step(PLANNED) == ""
    assert "ends after the time limit" in planned_step(replace(PLANNED, not_begun=Reason.WILL_NOT_FIT))
    assert "passes first" in planned_step(replace(PLANNED, not_begun=Reason.TIME_LIMIT))
