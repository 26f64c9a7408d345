"""How operations went over time, as small plots of text side by side: pure functions, for both front ends."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from engine import PastRun, Trend
from engine.domain.frozen import frozen
from engine.domain.median import median
from engine.domain.steps import Micros
from tui.presentation.text import cells, counted, local_time, padded, precise_duration, size

FEWEST: Final = 3
"""Runs that a trend needs."""
LABEL: Final = 9
"""Cells of the labels beside the bars, at least."""
ROWS: Final = 3
PLOT_LEAST: Final = 34
"""The least width of a plot, in cells, where others stand beside it."""
PLOT_MOST: Final = 60
"""The greatest width of a plot, in cells."""
GAP: Final = 3
NEARLY: Final = 0.95
"""Where the least is so much of the most, they are nearly the same."""
NOTICEABLE: Final = 0.1
"""The least difference from the median that is shown, as a share of it."""
NOTICEABLE_SECONDS: Final = 0.05
"""The least difference from the median that is shown, in seconds."""
BLOCKS: Final = " ▁▂▃▄▅▆▇█"


@frozen
class Point:
    at: Micros
    value: float


@frozen
class Plot:
    """Figures over time, with a title and what they mean. `end`: the last time that any plot shows."""

    title: str
    meaning: str
    points: tuple[Point, ...]
    begin: Micros
    end: Micros
    highest: str
    """The largest figure, as text."""


@frozen
class PlotCell:
    """A piece of a line: of one plot."""

    text: str
    bars: str = ""
    is_title: bool = False


def plots(trends: Sequence[Trend], job: int) -> list[Plot]:
    """A plot of the durations of each operation with enough runs, and one of the size of the database.

    Args:
        job: the number of the job that the trends lead up to.
    """
    runs = [run for trend in trends for run in trend.runs if len(trend.runs) >= FEWEST]
    if not runs:
        return []
    begin, end = min(run.at for run in runs), max(run.at for run in runs)
    found = [_durations(trend, job, begin, end) for trend in trends if len(trend.runs) >= FEWEST]
    sizes = _sizes(runs)
    return [*found, _size_plot(sizes, job, begin, end)] if len(sizes) >= FEWEST else found


def too_few(trends: Sequence[Trend]) -> str:
    """`vacuum, analyze: fewer than 3 completed runs up to this job`; "" if there are none such."""
    names = ", ".join(trend.operation for trend in trends if len(trend.runs) < FEWEST)
    return f"{names}: fewer than {FEWEST} completed runs up to this job" if names else ""


def side_by_side(shown: Sequence[Plot], width: int) -> Iterator[tuple[PlotCell, ...]]:
    """The lines of the plots, as many beside each other as fit in `width` cells; an empty line between two rows."""
    most = max((width + GAP) // (PLOT_LEAST + GAP), 1)
    beside = -(-len(shown) // -(-len(shown) // most)) if shown else 1
    each = min((width - GAP * (beside - 1)) // beside, PLOT_MOST)
    for first in range(0, len(shown), beside):
        if first:
            yield ()
        for pieces in zip_longest(
            *(_block(plot, each) for plot in shown[first : first + beside]), fillvalue=PlotCell("")
        ):
            yield tuple(_filled(piece, each + GAP) for piece in pieces[:-1]) + pieces[-1:]


def _durations(trend: Trend, job: int, begin: Micros, end: Micros) -> Plot:
    last, points = trend.runs[-1], tuple(Point(run.at, run.seconds) for run in trend.runs)
    is_of_job = last.job.parent == job
    when = "" if is_of_job else _when(last.at, begin, end)
    meaning = _took([run.seconds for run in trend.runs], is_of_job=is_of_job)
    return Plot(
        title=f"{trend.operation}  {precise_duration(last.seconds)} {when}".rstrip(),
        meaning=f"{meaning}{_not_counted(trend)}",
        points=points,
        begin=begin,
        end=end,
        highest=precise_duration(max(run.seconds for run in trend.runs)),
    )


def _took(seconds: Sequence[float], *, is_of_job: bool) -> str:
    """`took 40% longer than the median of 14 runs (1.20 s)`: the runs before the last one."""
    if not is_of_job:
        return f"median of {counted(len(seconds), 'run')}: {precise_duration(median(seconds))}"
    *earlier, last = seconds
    usual = median(earlier)
    return f"took {_compared(last, usual)} the median of {counted(len(earlier), 'run')} ({precise_duration(usual)})"


def _compared(seconds: float, usual: float) -> str:
    difference = seconds - usual
    if abs(difference) < max(NOTICEABLE * usual, NOTICEABLE_SECONDS):
        return "about as long as"
    if difference < 0:
        return f"{-difference / usual:.0%} less time than"
    if not usual or seconds >= 2 * usual:
        return f"{seconds / usual:.1f} times as long as" if usual else "longer than"
    return f"{difference / usual:.0%} longer than"


def _not_counted(trend: Trend) -> str:
    numbers = ((trend.failed, "failed"), (trend.cancelled, "cancelled"))
    counts = [f"{count:,} {what}" for count, what in numbers if count]
    return f", not counting {' and '.join(counts)}" if counts else ""


def _sizes(runs: Sequence[PastRun]) -> list[tuple[int, Point]]:
    """The size of the database after each job, oldest first, with the number of the job."""
    last: dict[int, tuple[int | None, Point]] = {}
    for run in sorted(runs, key=lambda run: run.job.ordinal or 0):
        if run.size is not None:
            last[run.job.parent] = (run.job.ordinal, Point(run.at, run.size))
    return sorted(((job, point) for job, (_, point) in last.items()), key=lambda one: one[1].at)


def _size_plot(sizes: Sequence[tuple[int, Point]], job: int, begin: Micros, end: Micros) -> Plot:
    first, (last_job, last) = sizes[0][1], sizes[-1]
    when = "" if last_job == job else _when(last.at, begin, end)
    return Plot(
        title=f"size  {size(last.value)} {when}".rstrip(),
        meaning=f"{_grown(first.value, last.value)} {_when(first.at, begin, end) or 'at first'}",
        points=tuple(point for _, point in sizes),
        begin=begin,
        end=end,
        highest=size(max(point.value for _, point in sizes)),
    )


def _grown(first: float, last: float) -> str:
    if size(first) == size(last) or not first:
        return "as large as"
    times = last / first
    if times >= 2:
        return f"{times:.1f} times as large as" if times < 10 else f"{times:,.0f} times as large as"
    return f"{abs(last - first) / first:.0%} {'larger' if last > first else 'smaller'} than"


def _when(at: Micros, begin: Micros, end: Micros) -> str:
    """A time as precise as needed to tell it from others between two times; "" in the same minute."""
    moment = local_time(at)
    if local_time(begin)[:10] != local_time(end)[:10]:
        return f"on {moment[:10]}"
    return f"at {moment[11:16]}" if local_time(begin)[:16] != local_time(end)[:16] else ""


def _block(plot: Plot, width: int) -> Iterator[PlotCell]:
    yield PlotCell(plot.title, is_title=True)
    values = [point.value for point in plot.points]
    beside = max(LABEL, cells(plot.highest) + 1)
    room = width - beside
    if min(values) <= NEARLY * max(values):  # equal bars show nothing
        labels = [plot.highest, *[""] * (ROWS - 2), "0"]
        for label, row in zip(labels, bars(_columns(plot, room), ROWS), strict=True):
            yield PlotCell(f"{label:>{beside - 1}} ", row)
        yield PlotCell(" " * beside + _dates(plot, room))
    yield from map(PlotCell, textwrap.wrap(plot.meaning, width))


def _columns(plot: Plot, width: int) -> list[float | None]:
    """The largest figure at each place on the axis; None where there is none."""
    found: list[float | None] = [None] * width
    span = plot.end - plot.begin
    for number, point in enumerate(plot.points):
        at = round((point.at - plot.begin) * (width - 1) / span) if span else min(number, width - 1)
        found[at] = max(found[at] or 0.0, point.value)
    return found


def bars(values: Sequence[float | None], rows: int) -> list[str]:
    """A bar for each value, from 0 up to the largest, in so many rows from the top; the least is seen, too."""
    most = max(value or 0.0 for value in values)

    def height(value: float | None) -> int:
        return 0 if value is None else max(round(value / most * rows * 8), 1) if most > 0 else 1

    steps = list(map(height, values))
    return ["".join(BLOCKS[max(0, min(step - 8 * below, 8))] for step in steps) for below in range(rows - 1, -1, -1)]


def _dates(plot: Plot, width: int) -> str:
    """The first and the last date of the axis; of one day the times."""
    first, last = local_time(plot.begin), local_time(plot.end)
    piece = slice(0, 10) if first[:10] != last[:10] else slice(11, 16)
    return first[piece] if first[piece] == last[piece] else f"{first[piece]}{last[piece]:>{width - len(first[piece])}}"


def _filled(piece: PlotCell, width: int) -> PlotCell:
    """The cell in exactly `width` cells."""
    room = width - cells(piece.text)
    if piece.bars:
        return PlotCell(piece.text, padded(piece.bars, room), piece.is_title)
    return PlotCell(padded(piece.text, width), "", piece.is_title)
