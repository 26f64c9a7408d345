"""How far a step is by the counts of an earlier run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.targets.course import POINTS, AlongCourse, Course, CourseRecorder, between

TOTAL = ROWS = 1_000_000


def evenly(share: float) -> float:
    return share


def all_at_first(share: float) -> float:
    """Like a rebuild that has written its file, and then waits for the disk."""
    return min(share / 0.6, 1.0)


def all_at_last(share: float) -> float:
    """Like a check whose other threads read the table first."""
    return max(share - 0.5, 0.0) * 2


def recorded(work: Callable[[float], float], seconds: float, *, every: float = 0.2, total: float = TOTAL) -> Course:
    recorder = CourseRecorder(ROWS)
    for number in range(1, round(seconds / every)):
        recorder.add(number * every, round(total * work(number * every / seconds)))
    return recorder.course(seconds)


def mean_error(
    work: Callable[[float], float], course: Course, took: float, takes: float, total: float = TOTAL
) -> float:
    along, number = AlongCourse(course, took, ROWS), 100
    found = [along.share(round(total * work(step / number)), takes * step / number) for step in range(1, number)]
    return sum(abs(share - step / number) for step, share in enumerate(found, 1)) / number


@pytest.mark.parametrize("work", [evenly, all_at_first, all_at_last])
@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0, 4.0])
def test_however_fast_the_machine_is_now_a_run_finds_itself_in_the_earlier_one(
    work: Callable[[float], float], speed: float
) -> None:
    without_pace = abs(1 - speed) * 0.25  # until the first count nothing tells how fast this run is
    assert mean_error(work, recorded(work, 10.0), 10.0, 10.0 * speed) <= (
        0.03 if work is not all_at_last else 0.03 + without_pace
    )


def test_a_little_more_or_less_work_than_before_is_no_great_error() -> None:
    for factor in (0.9, 1.1):
        assert mean_error(evenly, recorded(evenly, 10.0), 10.0, 10.0, TOTAL * factor) <= 0.06


def test_a_course_has_the_same_points_however_long_the_run_was() -> None:
    points = [TOTAL * point / POINTS for point in range(1, POINTS + 1)]
    assert recorded(evenly, 10.0) == pytest.approx(points, rel=0.03)
    assert recorded(evenly, 7_200.0) == pytest.approx(recorded(evenly, 10.0), rel=0.03)


def test_a_run_that_was_short_or_not_counted_has_no_course() -> None:
    assert recorded(evenly, 0.2) == ()
    assert recorded(lambda _: 0.0, 10.0) == ()


def test_a_wait_shorter_than_the_pause_between_two_looks_leaves_the_course_as_it_is() -> None:
    recorder = CourseRecorder(ROWS)
    for worked, count in ((0.4, 40), (0.4, 39), (0.8, 80)):  # a clock that stands, a count that shrinks
        recorder.add(worked, count)
    assert list(recorder.course(1.0)) == sorted(recorder.course(1.0))


def test_where_nothing_is_counted_any_more_the_share_is_open() -> None:
    course = recorded(all_at_first, 10.0)
    earliest, latest = between(course, TOTAL)
    assert earliest == pytest.approx(0.59, abs=0.03)
    assert latest == 1.0
    assert between(course, 0) == (0.0, 0.0)
    assert between(course, 2 * TOTAL) == (1.0, 1.0)
