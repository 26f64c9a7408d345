"""Bars over time: they keep the order, overlap only where times do, and fill exactly their width."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Attempt, ChildJob, Reason, Status, Step
from engine.domain.steps import WAITS, Progress, WaitsFor
from tests.tui.jobs import SECOND, START, child, parent, rescued
from tui.presentation.timeline import (
    TICK_LEAST,
    Axis,
    Interval,
    Mark,
    axis_labels,
    bar,
    child_intervals,
    job_axis,
    plain_bar,
    round_time,
    step_intervals,
    steps_to_show,
)

DAY = 86_400 * SECOND
WIDTHS = st.integers(1, 200)
LENGTHS = st.lists(st.integers(0, 30 * DAY), min_size=1, max_size=30)


def in_turn(lengths: list[int]) -> list[Interval]:
    """Intervals one after the other."""
    begins = [START + sum(lengths[:n]) for n in range(len(lengths))]
    return [Interval(at, at + length, Mark.RAN, is_visible=True) for at, length in zip(begins, lengths, strict=True)]


def over(intervals: list[Interval]) -> Axis:
    return Axis(intervals[0].begin, intervals[-1].end, intervals[0].begin)


def drawn(intervals: list[Interval], axis: Axis, width: int) -> str:
    return plain_bar(bar(intervals, axis, width))


@given(LENGTHS, WIDTHS)
def test_a_bar_has_exactly_its_width_and_a_run_is_always_seen(lengths: list[int], width: int) -> None:
    turns = in_turn(lengths)
    for interval in turns:
        cells = drawn([interval], over(turns), width)
        assert len(cells) == width
        assert Mark.RAN in cells


@given(LENGTHS, WIDTHS)
def test_bars_of_what_ran_in_turn_keep_their_order(lengths: list[int], width: int) -> None:
    turns = in_turn(lengths)
    bars = [drawn([interval], over(turns), width) for interval in turns]
    begins = [cells.index(Mark.RAN) for cells in bars]
    ends = [cells.rindex(Mark.RAN) for cells in bars]
    assert begins == sorted(begins)
    assert ends == sorted(ends)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 5))
def test_bars_of_what_ran_in_turn_do_not_overlap(cells: list[int], scale: int) -> None:
    turns = in_turn([count * SECOND for count in cells])
    bars = [drawn([interval], over(turns), sum(cells) * scale) for interval in turns]
    for column in zip(*bars, strict=True):
        assert column.count(Mark.RAN) == 1


@given(LENGTHS, WIDTHS, st.integers(-DAY, 60 * DAY))
def test_a_bar_beyond_its_axis_is_cut(lengths: list[int], width: int, shift: int) -> None:
    turns = in_turn(lengths)
    moved = [replace(one, begin=one.begin + shift, end=one.end + shift) for one in turns]
    assert len(drawn(moved, over(turns), width)) == width


def test_of_a_child_it_is_drawn_when_it_was_queued_and_which_attempt_was_repeated() -> None:
    job = replace(parent(rescued()), created_at=START - SECOND)
    now = START + 5 * SECOND
    assert drawn(list(child_intervals(job, job.children[0], now)), Axis(START - SECOND, now, START), 6) == "·×·▆▆▆"


def test_an_attempt_of_a_child_that_will_run_again_was_repeated() -> None:
    lost = replace(rescued(), status=Status.PENDING, attempts=rescued().attempts[:1])
    cells = drawn(list(child_intervals(parent(lost), lost, START + 3 * SECOND)), Axis(START, START + 3 * SECOND, 0), 3)
    assert cells == "×··"


def test_of_a_child_that_never_ran_nothing_is_drawn() -> None:
    skipped = child(status=Status.SKIPPED, reason=Reason.TIME_LIMIT)
    assert list(child_intervals(parent(skipped), skipped, START + DAY)) == []


def step(number: int, begin: float, end: float | None, *, waited: float = 0, status: Status | None = None) -> Step:
    return Step(
        number=number, attempt=1, object=f"t{number}", command="ANALYZE",
        status=status or (Status.RUNNING if end is None else Status.COMPLETED),
        started_at=START + round(begin * SECOND),
        finished_at=None if end is None else START + round(end * SECOND),
        effect={"waited": waited} if waited else None,
    )  # fmt: skip


def test_the_steps_of_an_attempt_that_was_killed_are_not_drawn_over_it() -> None:
    killed = replace(rescued(), steps=(step(1, 0, 2),))
    now = START + 5 * SECOND
    assert drawn(list(child_intervals(parent(killed), killed, now)), Axis(START, now, START), 5) == "×·▆▆▆"


def ran(*steps: Step, seconds: float = 6) -> ChildJob:
    end = START + round(seconds * SECOND)
    attempt = Attempt(number=1, pid=1, host=None, started_at=START, finished_at=end, status=Status.COMPLETED)
    return replace(child(), finished_at=end, attempts=(attempt,), steps=steps)


def test_the_wait_of_a_step_of_which_only_the_length_is_known_is_drawn_at_its_beginning() -> None:
    done = ran(step(1, 0, 3, waited=2), step(2, 3, 6))
    axis = Axis(START, START + 6 * SECOND, START)
    assert drawn(list(step_intervals(done.steps[0], 0)), axis, 6) == "░░▆   "
    assert drawn(list(child_intervals(parent(done), done, 0)), axis, 6) == "░░▆▆▆▆"


def test_while_one_step_waits_and_another_runs_the_child_runs() -> None:
    done = ran(step(1, 0, 6, waited=5), step(2, 2, 4))
    axis = Axis(START, START + 6 * SECOND, START)
    assert drawn(list(child_intervals(parent(done), done, 0)), axis, 6) == "░░▆▆░▆"


def with_waits(one: Step, *at: float) -> Step:
    """Beginnings and ends in turn, in seconds."""
    return replace(one, effect={WAITS: [START + round(seconds * SECOND) for seconds in at]})


def test_each_wait_is_drawn_when_it_was() -> None:
    done = ran(with_waits(step(1, 0, 6), 1, 3, 4, 5))
    axis = Axis(START, START + 6 * SECOND, START)
    assert drawn(list(step_intervals(done.steps[0], 0)), axis, 6) == "▆░░▆░▆"
    assert drawn(list(child_intervals(parent(done), done, 0)), axis, 6) == "▆░░▆░▆"


def test_while_steps_wait_in_turn_and_another_runs_the_child_runs() -> None:
    done = ran(with_waits(step(1, 0, 6), 1, 3, 4, 6), step(2, 2, 5))
    axis = Axis(START, START + 6 * SECOND, START)
    assert drawn(list(child_intervals(parent(done), done, 0)), axis, 6) == "▆░▆▆▆░"


def test_a_step_that_still_waits_is_drawn_as_waiting() -> None:
    steps = (step(1, 0, 1), with_waits(step(2, 1, None), 2))
    waiting = replace(child(status=Status.RUNNING), steps=steps)
    axis = Axis(START, START + 4 * SECOND, START)
    assert drawn(list(child_intervals(parent(waiting), waiting, START + 4 * SECOND)), axis, 4) == "▆▆░░"
    assert drawn(list(step_intervals(steps[1], START + 4 * SECOND)), axis, 4) == " ▆░░"


def test_a_wait_before_the_first_step_is_drawn_as_waiting() -> None:
    waiting = replace(child(status=Status.RUNNING), progress=Progress(waits_for=WaitsFor.SERVER))
    axis = Axis(START, START + 4 * SECOND, START)
    assert drawn(list(child_intervals(parent(waiting), waiting, START + 4 * SECOND)), axis, 4) == "░░░░"


def test_an_operation_that_gave_up_waiting_is_not_drawn_as_if_it_had_run() -> None:
    failed = replace(child(status=Status.FAILED), finished_at=START + 4 * SECOND, after={"waited": 3.0})
    axis = Axis(START, START + 4 * SECOND, START)
    assert drawn(list(child_intervals(parent(failed), failed, 0)), axis, 4) == "░░░▆"


@pytest.mark.parametrize("status", [Status.SKIPPED, Status.COMPLETED])
def test_a_step_that_gave_way_has_waited_whether_it_ran_again_or_not(status: Status) -> None:
    again = with_waits(step(1, 4, 5, status=status), 0, 2)
    axis = Axis(START, START + 6 * SECOND, START)
    done = ran(again, step(2, 2, 4))
    assert drawn(list(step_intervals(again, 0)), axis, 6) == "░░  ▆ "
    assert drawn(list(child_intervals(parent(done), done, 0)), axis, 6) == "░░▆▆▆▆"


def test_a_clock_that_was_set_back_makes_no_bar_that_runs_backwards() -> None:
    odd = replace(child(), started_at=START, finished_at=START - DAY)
    job = replace(parent(odd), created_at=START + DAY)
    axis = job_axis(job, START)
    assert axis.end >= axis.begin
    assert len(drawn(list(child_intervals(job, odd, START)), axis, 20)) == 20


def test_a_long_queue_is_left_out_and_a_short_one_drawn() -> None:
    job = parent(child())
    assert job_axis(replace(job, created_at=START - SECOND), START).begin == START - SECOND
    assert job_axis(replace(job, created_at=START - DAY), START).begin == START


def test_while_a_job_runs_its_bars_grow_and_the_scale_stays() -> None:
    job = parent(child(status=Status.RUNNING))
    axes = [job_axis(job, START + seconds * SECOND) for seconds in (31, 32, 59)]
    assert len(set(axes)) == 1
    lengths = [
        drawn(list(child_intervals(job, job.children[0], START + at * SECOND)), axes[0], 60).count(Mark.RAN)
        for at in (31, 32, 59)
    ]
    assert lengths == [31, 32, 59]


@given(st.integers(0, 100 * 365 * DAY))
def test_a_round_time_is_not_shorter_and_not_much_longer(length: int) -> None:
    assert length <= round_time(length) <= max(length * 5 // 2, 1)


@given(st.integers(1, 100 * 365 * DAY), st.integers(0, 400 * DAY), st.integers(0, 220))
def test_the_labels_of_an_axis_fit(length: int, after: int, width: int) -> None:
    text = axis_labels(Axis(START + after, START + after + length, START), width)
    assert len(text) <= width
    assert not text or width >= TICK_LEAST


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (SECOND // 2, ["0 ms", "200 ms", "400 ms"]),
        (10 * SECOND, ["0 s", "5 s"]),
        (200 * SECOND, ["0:00", "1:00", "2:00", "3:00"]),
        (10 * 3600 * SECOND, ["0:00", "3:00:00", "6:00:00"]),
    ],
)
def test_times_on_an_axis_are_round(length: int, labels: list[str]) -> None:
    text = axis_labels(Axis(START, START + length, START), 40)
    assert [part.strip() for part in text.split("  ") if part.strip()] == labels


@given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(Status)), max_size=30), st.integers(1, 10))
def test_of_many_steps_the_longest_are_shown_in_their_order(kinds: list[tuple[int, Status]], most: int) -> None:
    steps = [
        step(n, n, None if status is Status.RUNNING else n + took, status=status)
        for n, (took, status) in enumerate(kinds, 1)
    ]
    now = START + 1000 * SECOND
    shown = steps_to_show(steps, most, now)
    assert len(shown) == min(most, len(steps))
    assert [one.number for one in shown] == sorted(one.number for one in shown)
    running = sum(one.status is Status.RUNNING for one in steps)
    assert sum(one.status is Status.RUNNING for one in shown) == min(running, most)
