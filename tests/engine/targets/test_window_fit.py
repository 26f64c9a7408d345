"""Which steps begin in a window, by their estimates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.requests import Operation
from engine.domain.statuses import Reason
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.window_fit import in_window, needed_seconds, operation_in_window, reason_not_to_begin

LATE, LONG = Reason.TIME_LIMIT, Reason.WILL_NOT_FIT


def step(estimate: float | None, **more: Any) -> PlannedStep:
    return replace(PlannedStep(object="a", command="A", reason="", lock=NO_LOCK, estimate=estimate), **more)


def plan(*steps: PlannedStep, parallel: int = 1) -> OperationPlan:
    return OperationPlan(operation=Operation.REINDEX, steps=steps, parallel=parallel)


def left_out(*plans: OperationPlan, seconds: float, fit: bool = True) -> list[Reason | None]:
    return [step.not_begun for one in in_window(plans, seconds, fit=fit) for step in one.steps]


def test_what_ends_too_late_is_left_out_and_the_next_that_fits_is_begun() -> None:
    assert left_out(plan(step(3), step(9), step(4)), seconds=8) == [None, LONG, None]
    assert left_out(plan(step(3), step(9), step(4)), seconds=8, fit=False) == [None, None, LATE]
    assert left_out(plan(step(8), step(1)), seconds=8) == [None, LATE]
    assert left_out(plan(step(3)), plan(step(6)), plan(step(5)), seconds=8) == [None, LONG, None]
    assert left_out(plan(step(1)), seconds=0) == [LATE]


def test_what_has_no_estimate_is_begun() -> None:
    assert left_out(plan(step(None), step(9), step(None)), seconds=8) == [None, LONG, None]


def test_several_at_once_take_turns() -> None:
    assert left_out(plan(step(5), step(5), step(5), step(3), parallel=2), seconds=8) == [None, None, LONG, None]


def test_steps_that_exclude_each_other_begin_as_in_a_run() -> None:
    same = [step(5, conflict="t"), step(5, conflict="t"), step(5)]
    assert left_out(plan(*same, parallel=2), seconds=8) == [None, LONG, None]
    assert left_out(plan(*same, parallel=2), seconds=10) == [None, None, None]


def test_a_follow_up_begins_when_all_before_it_have_ended() -> None:
    after = step(1, mandatory_follow_up=True)
    marked, ends = operation_in_window(plan(step(2), step(6), after, parallel=2), 3.0, 20, fit=True)
    assert marked.steps[-1].not_begun is None
    assert ends == 10


def test_what_must_follow_counts_with_what_it_follows() -> None:
    after = step(3, mandatory_follow_up=True)
    assert needed_seconds([step(5), step(2), after]) == [8, 5, 3]
    assert left_out(plan(step(6), after), seconds=8) == [LONG, LATE]
    assert left_out(plan(step(5), after), seconds=8) == [None, None]
    copied = [step(5, lost_without_next=True), step(2), step(4)]
    assert needed_seconds(copied) == [7, 2, 4]
    assert left_out(plan(*copied), seconds=6) == [LONG, None, None]
    assert left_out(plan(*copied), seconds=7) == [None, None, LATE]
    assert left_out(plan(step(5, lost_without_next=True), step(None)), seconds=5) == [None, None]


@pytest.mark.parametrize(
    ("needed", "time_left", "fit", "reason"),
    [
        (5, None, True, None),
        (5, 5, True, None),
        (5.1, 5, True, LONG),
        (5.1, 5, False, None),
        (None, 5, True, None),
        (0, 0, True, LATE),
        (None, -1, False, LATE),
    ],
)
def test_whether_a_step_may_begin(needed: float | None, time_left: float | None, fit: bool, reason: Reason) -> None:
    assert reason_not_to_begin(needed, time_left, fit=fit) is reason


@given(st.lists(st.none() | st.floats(0, 100), max_size=30), st.floats(0.1, 300), st.integers(1, 4))
def test_all_that_begins_ends_in_the_window(estimates: list[float | None], seconds: float, parallel: int) -> None:
    (marked,) = in_window([plan(*map(step, estimates), parallel=parallel)], seconds, fit=True)
    begun = [step.estimate or 0.0 for step in marked.steps if step.not_begun is None]
    assert sum(begun) <= seconds * parallel * (1 + 1e-9)
    assert all(one <= seconds for one in begun)
    assert all(step.estimate is not None for step in marked.steps if step.not_begun is LONG)
