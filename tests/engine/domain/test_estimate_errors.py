"""How far estimates were from what happened."""

from __future__ import annotations

import pytest

from engine.domain.estimate_errors import errors_by_operation, errors_by_target, is_known, is_misleading
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import Operation

VACUUM, REINDEX = Operation.VACUUM, Operation.REINDEX


def run(estimate: float, seconds: float, target: str = "a", operation: Operation = VACUUM) -> EstimatedRun:
    return EstimatedRun(target, operation, estimate, seconds)


def test_the_median_of_each_operation_on_each_target() -> None:
    runs = [run(10, 10), run(15, 10), run(90, 10), run(1, 4, "b"), run(1, 2, "b", REINDEX)]
    errors = errors_by_target(runs)
    assert [(one.operation, one.target, one.runs, one.error, one.seconds) for one in errors] == [
        (VACUUM, "b", 1, 0.75, 3),
        (VACUUM, "a", 3, 0.5, 5),
        (REINDEX, "b", 1, 0.5, 1),
    ]
    first, second = errors_by_operation(errors)
    assert (first.operation, first.runs, first.targets, first.error, first.seconds) == (VACUUM, 4, 2, 0.625, 4)
    assert first.worst is not None
    assert (first.worst.target, first.worst.runs) == ("a", 3)  # one run of b says nothing
    assert second.worst is None
    assert [is_known(one) for one in errors] == [False, True, False]
    assert [is_known(one) for one in (first, second)] == [True, False]
    assert (second.operation, second.runs) == (REINDEX, 1)


def test_without_runs_there_is_nothing_to_tell() -> None:
    assert errors_by_operation(errors_by_target([])) == []


def test_a_run_that_took_no_time_divides_nothing_by_zero() -> None:
    assert errors_by_target([run(1, 0.0)])[0].error == 1000


@pytest.mark.parametrize(
    ("estimate", "seconds", "runs", "misleads"),
    [
        (60, 10_800, 3, True),
        (10_800, 60, 3, True),
        (5, 1, 50, False),  # 400 %, and nobody waits for it
        (14_000, 10_800, 9, False),
        (60, 10_800, 2, False),
        (59, 118, 3, False),
        (61, 122, 3, False),
        (60, 122, 3, True),
    ],
)
def test_what_misleads_is_off_by_half_and_by_a_minute(
    estimate: float, seconds: float, runs: int, misleads: bool
) -> None:
    (one,) = errors_by_target([run(estimate, seconds)] * runs)
    (all_of_them,) = errors_by_operation([one])
    assert is_misleading(one) is is_misleading(all_of_them) is misleads
