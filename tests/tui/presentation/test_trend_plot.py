"""The trend of an operation as text."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import JobId, Operation, Options, PastRun, Status, Trend
from tui.console.views.job_document import trend_lines
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


def trend(
    seconds: Sequence[float],
    sizes: Sequence[float | None] = (),
    *,
    every: int = DAY,
    operation: Operation = Operation.VACUUM,
    ordinal: int = 1,
    **more: int,
) -> Trend:
    runs = tuple(
        PastRun(
            job=JobId(n + 1, ordinal), status=Status.COMPLETED, at=START + n * every + ordinal, seconds=took,
            size=sizes[n] if sizes else None, options=Options(),
        )
        for n, took in enumerate(seconds)
    )  # fmt: skip
    return Trend(operation, runs, **more)


def lines(*of: Trend, job: int | None = None, width: int = 76) -> list[str]:
    """The lines of the page of a job, usually of the last of these runs."""
    last = len(of[0].runs) if job is None else job
    return [line.text.rstrip() for line in trend_lines(of, last, width)]


def meaning(of: Trend, job: int | None = None) -> str:
    return plots([of], len(of.runs) if job is None else job)[0].meaning


def test_durations_and_sizes_stand_side_by_side_over_real_dates() -> None:
    of = trend([1, 2, 4, 8, 3], [1e9, 2e9, None, 4e9, 3e9], failed=2, cancelled=1)
    assert lines(of) == [
        "Trend on this database up to this job",
        "  vacuum  3.00 s                        size  3.00 GB",
        "    8.00 s                    █          4.00 GB                    █     ▂",
        "                       ▄      █     ▁                  ▄            █     █",
        "         0 ▃     ▆     █      █     █          0 ▆     █            █     █",
        "           2026-11-18      2026-11-22            2026-11-18      2026-11-22",
        "  took about as long as the median of   3.0 times as large as on 2026-11-18",
        "  4 runs (3.00 s), not counting 2",
        "  failed and 1 cancelled",
    ]


def test_a_run_stands_at_its_date_and_not_at_its_number() -> None:
    runs = trend([5] * 3 + [10]).runs
    moved = Trend(Operation.VACUUM, (*runs[:3], replace(runs[3], at=START + 30 * DAY)))
    bottom = lines(moved)[4]
    (first, *_, before, last) = (n for n, char in enumerate(bottom) if char == "█")
    assert before - first < 4
    assert last - before > 15


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ([10, 10, 10, 14], "took 40% longer than the median of 3 runs (10.00 s)"),
        ([10, 10, 10, 32], "took 3.2 times as long as the median of 3 runs (10.00 s)"),
        ([10, 10, 10, 7], "took 30% less time than the median of 3 runs (10.00 s)"),
        ([10, 10, 10, 10.9], "took about as long as the median of 3 runs (10.00 s)"),
        ([0.002, 0.002, 0.004], "took about as long as the median of 2 runs (2 ms)"),
        ([0, 0, 1], "took longer than the median of 2 runs (0 ms)"),
    ],
)
def test_a_plot_says_what_the_duration_of_the_job_means(seconds: list[float], words: str) -> None:
    assert meaning(trend(seconds)) == words


def test_what_is_not_counted_is_said() -> None:
    assert meaning(trend([10, 10, 10], failed=2, cancelled=1)).endswith(", not counting 2 failed and 1 cancelled")


def test_a_job_that_did_not_complete_is_compared_with_nothing() -> None:
    of = trend([1, 2, 3])
    assert meaning(of, job=4) == "median of 3 runs: 2.00 s"
    assert lines(of, job=4)[1] == "  vacuum  3.00 s on 2026-11-20"


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([100e6, 110e6, 112e6], "12% larger than on 2026-11-18"),
        ([100e6, 90e6, 75e6], "25% smaller than on 2026-11-18"),
        ([100e6, 100e6, 100e6], "as large as on 2026-11-18"),
        ([100e6, 200e6, 250e6], "2.5 times as large as on 2026-11-18"),
        ([100e3, 200e6, 250.46e6], "2,505 times as large as on 2026-11-18"),
        ([0, 1, 2], "as large as on 2026-11-18"),
    ],
)
def test_the_plot_of_the_size_says_how_it_has_grown(sizes: list[float], words: str) -> None:
    assert plots([trend([1, 1, 1], sizes)], 3)[-1].meaning == words


def test_the_size_is_plotted_once_after_the_last_operation_of_each_job() -> None:
    vacuum = trend([1, 2, 3], [3e9, 4e9, 5e9])
    analyze = trend([1, 1, 1], [1e9, 2e9, 2.5e9], operation=Operation.ANALYZE, ordinal=2)
    *durations, sizes = plots([vacuum, analyze], 3)
    assert [plot.title for plot in (*durations, sizes)] == ["vacuum  3.00 s", "analyze  1.00 s", "size  2.50 GB"]
    assert [point.value for point in sizes.points] == [1e9, 2e9, 2.5e9]


def test_a_last_size_that_is_not_of_the_job_says_of_when_it_is() -> None:
    assert plots([trend([1, 2, 3, 4], [1e9, 2e9, 3e9, None])], 4)[-1].title == "size  3.00 GB on 2026-11-20"


def test_of_runs_of_one_day_the_times_are_named() -> None:
    shown = lines(trend([1, 2, 8, 4], [1e9, 2e9, None, 4e9], every=DAY // 24))
    assert shown[5].split() == ["11:06", "14:06"] * 2
    assert "2026" not in "".join(shown)


def test_of_runs_of_one_minute_the_time_is_named_once() -> None:
    shown = lines(trend([1, 2, 8], every=1))
    assert shown[5].split() == ["11:06"]


@pytest.mark.parametrize(("width", "beside"), [(40, 1), (76, 2), (118, 3), (198, 5)])
def test_as_many_stand_side_by_side_as_fit(width: int, beside: int) -> None:
    of = [
        trend([1, 2, 4], [1e9, 2e9, 4e9], operation=operation, ordinal=n)
        for n, operation in enumerate((Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.CHECK), 1)
    ]
    titles = lines(*of, width=width)[1]
    names = ("vacuum", "analyze", "reindex", "check", "size")
    assert sum(name in titles for name in names) == beside
    assert all(any(name in line for line in lines(*of, width=width)) for name in names)


def test_fewer_than_three_runs_are_said_and_not_drawn() -> None:
    assert lines(trend([1, 2], [1, 2], failed=4)) == [
        "Trend on this database up to this job",
        "  vacuum: fewer than 3 completed runs up to this job",
    ]
    assert too_few([trend([]), trend([1])]) == "vacuum, vacuum: fewer than 3 completed runs up to this job"
    assert len(plots([trend([1, 2, 3], [5, None, 7])], 3)) == 1  # of the sizes there are too few


def test_figures_that_hardly_differ_are_said_and_not_drawn() -> None:
    shown = lines(trend([10, 10.1, 10]))
    assert shown[1:] == ["  vacuum  10.00 s", "  took about as long as the median of 2 runs (10.05 s)"]


def test_without_operations_there_is_nothing() -> None:
    assert trend_lines([], 1, 76) == []


@given(
    st.lists(st.floats(0, 1e7), min_size=3, max_size=60),
    st.floats(0, 1e15),
    st.integers(56, 220),
    st.sampled_from([DAY, DAY // 3, DAY // 300, 1]),
    st.integers(1, 61),
)
def test_it_fits_whatever_the_figures(seconds: list[float], size: float, width: int, every: int, job: int) -> None:
    of = trend(seconds, [size * second for second in seconds], every=every)
    assert max(cells(text) for text in lines(of, job=job, width=width)) <= width


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e12)), min_size=1, max_size=60))
def test_each_value_has_a_bar_and_the_largest_is_the_highest(values: list[float | None]) -> None:
    rows = bars(values, ROWS)
    assert {len(row) for row in rows} == {len(values)}
    assert [char == " " for char in rows[-1]] == [value is None for value in values]
    heights = ["".join(row[n] for row in rows) for n in range(len(values))]
    most = max((value for value in values if value is not None), default=0)
    if most > 0:
        assert heights[values.index(most)] == "█" * ROWS
