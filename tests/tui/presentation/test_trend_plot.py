"""The trend of an operation as text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import JobId, Operation, Options, PastRun, Status, Trend
from tui.console.views.trend import trend_lines
from tui.presentation.text import cells
from tui.presentation.trend_plot import ROWS, bars, plots, too_few

DAY = 86_400 * 1_000_000
START = 1_795_000_000 * 1_000_000


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def trend(seconds: Sequence[float], sizes: Sequence[float | None] = (), *, every: int = DAY, **more: int) -> Trend:
    runs = tuple(
        PastRun(
            job=JobId(n + 1, 1), status=Status.COMPLETED, at=START + n * every, seconds=took,
            size=sizes[n] if sizes else None, options=Options(),
        )
        for n, took in enumerate(seconds)
    )  # fmt: skip
    return Trend(Operation.VACUUM, runs, **more)


def lines(of: Trend, width: int = 76) -> list[str]:
    return [line.text.rstrip() for line in trend_lines([of], width)]


def test_durations_and_sizes_are_plotted_with_what_stands_out() -> None:
    of = trend([1, 2, 4, 8, 3], [1e9, 2e9, None, 4e9, 3e9], failed=2, cancelled=1)
    assert lines(of) == [
        "Trend on this database up to this job",
        "  vacuum  5 runs from 2026-11-18 to 2026-11-22, not counting 2 failed and 1",
        "  cancelled",
        "    duration  last 3.00 s, median 3.00 s",
        "              min 1.00 s on 2026-11-18, max 8.00 s on 2026-11-21",
        "        8.00 s    █",
        "                 ▄█▁",
        "             0 ▃▆███",
        "    size  last 3.00 GB, median 2.50 GB",
        "          min 1.00 GB on 2026-11-18, max 4.00 GB on 2026-11-21",
        "       4.00 GB   █▂",
        "                ▄██",
        "             0 ▆███",
    ]


def test_of_runs_of_one_day_that_is_named_once_and_then_their_times() -> None:
    shown = lines(trend([1, 2, 8, 4], [1e9, 2e9, None, 4e9], every=DAY // 24))
    assert shown[1] == "  vacuum  4 runs on 2026-11-18 from 11:06 to 14:06"
    assert shown[2:4] == [
        "    duration  last 4.00 s, median 3.00 s",
        "              min 1.00 s at 11:06, max 8.00 s at 13:06",
    ]
    assert "2026" not in "".join(shown[2:])


def test_of_runs_of_one_minute_no_time_is_named_twice() -> None:
    shown = lines(trend([1, 2, 8], every=1_000_000))
    assert shown[1:4] == [
        "  vacuum  3 runs on 2026-11-18 at 11:06",
        "    duration  last 8.00 s, median 2.00 s",
        "              min 1.00 s, max 8.00 s",
    ]


def test_least_and_most_of_one_day_name_it_once() -> None:
    shown = lines(trend([4, 4, 1, 8, 4], every=DAY // 2))
    assert shown[1] == "  vacuum  5 runs from 2026-11-18 to 2026-11-20"
    assert shown[3] == "              min 1.00 s and max 8.00 s on 2026-11-19"


def test_a_last_size_that_is_not_of_the_last_run_says_of_when_it_is() -> None:
    assert "    size  last 3.00 GB on 2026-11-20, median 2.00 GB" in lines(trend([1, 2, 3, 4], [1e9, 2e9, 3e9, None]))


def test_where_there_is_room_they_stand_beside_each_other() -> None:
    shown = lines(trend([1, 2, 4], [1e9, 2e9, 4e9]), 154)
    assert len(shown) == 2 + 5
    assert "duration  last 4.00 s, median 2.00 s" in shown[2]
    assert shown[2].index("size  last 4.00 GB, median 2.00 GB") == 4 + 75


def test_fewer_than_three_runs_are_said_and_not_drawn() -> None:
    assert lines(trend([1, 2], [1, 2], failed=4)) == [
        "Trend on this database up to this job",
        "  vacuum: fewer than 3 completed runs up to this job",
    ]
    assert too_few([trend([]), trend([1])]) == "vacuum, vacuum: fewer than 3 completed runs up to this job"
    assert len(plots(trend([1, 2, 3], [5, None, 7]), 76)) == 1  # of the sizes there are too few


def test_sizes_that_hardly_differ_are_said_and_not_drawn() -> None:
    _, sizes = plots(trend([1, 2, 3], [100e9, 101e9, 99e9]), 76)
    assert sizes.rows == ()
    assert "min 99.0 GB" in " ".join(sizes.lines)


def test_without_operations_there_is_nothing() -> None:
    assert trend_lines([], 76) == []


@given(
    st.lists(st.floats(0, 1e7), min_size=3, max_size=60),
    st.floats(0, 1e15),
    st.integers(56, 160),
    st.sampled_from([DAY, DAY // 3, DAY // 300, 1]),
)
def test_it_fits_whatever_the_figures(seconds: list[float], size: float, width: int, every: int) -> None:
    of = trend(seconds, [size * second for second in seconds], every=every)
    assert max(cells(text) for text in lines(of, width)) <= width


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=60))
def test_each_value_has_a_bar_and_the_largest_is_the_highest(values: list[float]) -> None:
    rows = bars(values, ROWS)
    assert {len(row) for row in rows} == {len(values)}
    assert " " not in rows[-1]
    heights = ["".join(row[n] for row in rows) for n in range(len(values))]
    if max(values) > 0:
        assert heights[values.index(max(values))] == "█" * ROWS
