"""How an operation went over time, as a small plot of text: pure functions, shared by the console and `dbtend show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from engine import PastRun, Trend
from engine.domain.frozen import frozen
from tui.presentation.text import cells, counted, local_time, precise_duration, size

FEWEST: Final = 3
"""Runs that a trend needs."""
LABEL: Final = 11
"""Cells for what the axis says."""
ROWS: Final = 3
NEARLY: Final = 0.95
"""Where the least is so much of the most, they are nearly the same."""
BLOCKS: Final = " ▁▂▃▄▅▆▇█"


@frozen
class Plot:
    """Lines of text about some figures, and rows of bars with their labels, a column for each figure.

    No bars if all figures are nearly the same.
    """

    lines: tuple[str, ...]
    rows: tuple[tuple[str, str], ...]


def headline(trend: Trend) -> str:
    """`vacuum  60 runs from 2026-08-01 to 2026-11-24, not counting 2 failed and 1 cancelled`."""
    first, last = trend.runs[0], trend.runs[-1]
    if _day(first) != _day(last):
        when = f"from {_day(first)} to {_day(last)}"
    elif _minute(first) != _minute(last):
        when = f"on {_day(first)} from {_minute(first)} to {_minute(last)}"
    else:
        when = f"on {_day(first)} at {_minute(first)}"
    return f"{trend.operation}  {counted(len(trend.runs), 'run')} {when}{_left_out(trend)}"


def in_two(trends: Sequence[Trend]) -> tuple[list[Trend], list[Trend]]:
    """Those with enough runs for a trend, and the others."""
    enough = [trend for trend in trends if len(trend.runs) >= FEWEST]
    return enough, [trend for trend in trends if trend not in enough]


def too_few(trends: Sequence[Trend]) -> str:
    """`vacuum, analyze: fewer than 3 completed runs up to this job`; empty where there are none such."""
    names = ", ".join(trend.operation for trend in trends)
    return f"{names}: fewer than {FEWEST} completed runs up to this job" if names else ""


def plots(trend: Trend, width: int) -> list[Plot]:
    """Plots of durations and of known sizes; none if there are too few."""
    runs = trend.runs[-max(width - LABEL, 1) :]
    when = _when(trend.runs)
    sized = [run for run in runs if run.size is not None]
    found = [
        _plot("duration", runs, when, lambda run: run.seconds, precise_duration, width),
        _plot("size", sized, when, lambda run: run.size or 0.0, size, width, is_earlier=runs[-1].size is None),
    ]
    return [plot for plot in found if plot is not None]


def _left_out(trend: Trend) -> str:
    counts = [
        f"{number} {what}" for number, what in ((trend.failed, "failed"), (trend.cancelled, "cancelled")) if number
    ]
    return f", not counting {' and '.join(counts)}" if counts else ""


def _when(runs: Sequence[PastRun]) -> Callable[[PastRun], str]:
    """The time of a run as precise as needed to tell it from the others."""
    first, last = runs[0], runs[-1]
    if _day(first) != _day(last):
        return lambda run: f" on {_day(run)}"
    return lambda run: f" at {_minute(run)}" if _minute(first) != _minute(last) else ""


def _plot(
    what: str,
    runs: Sequence[PastRun],
    when: Callable[[PastRun], str],
    value: Callable[[PastRun], float],
    words: Callable[[float], str],
    width: int,
    *,
    is_earlier: bool = False,
) -> Plot | None:
    """`is_earlier`: the last of these runs is not the last that the headline speaks of."""
    if len(runs) < FEWEST:
        return None
    values = [value(run) for run in runs]
    least, most = min(runs, key=value), max(runs, key=value)
    of_last = when(runs[-1]) if is_earlier else ""
    facts = [f"last {words(values[-1])}{of_last}", f"median {words(_median(values))}"]
    lowest, highest = f"min {words(value(least))}", f"max {words(value(most))}"
    both = f"{lowest} and {highest}{when(most)}"
    if when(least) and when(least) == when(most) and cells(f"{what}  {both}") <= width:
        facts.append(both)
    else:
        facts += [lowest + when(least), highest + when(most)]
    lines = tuple(_packed(f"{what}  ", facts, width))
    if value(least) > NEARLY * value(most):
        return Plot(lines, ())  # equal bars show nothing
    labels = [words(max(values)), *[""] * (ROWS - 2), "0"]
    return Plot(lines, tuple(zip([f"{label:>{LABEL - 1}} " for label in labels], bars(values, ROWS), strict=True)))


def _packed(what: str, facts: Sequence[str], width: int) -> Iterator[str]:
    """Two facts beside each other where they fit, each on one line as a whole."""
    beside: list[str] = []
    for fact in facts:
        if len(beside) == 2 or (beside and cells(what + ", ".join([*beside, fact])) > width):
            yield what + ", ".join(beside)
            what, beside = " " * cells(what), []
        beside.append(fact)
    yield what + ", ".join(beside)


def bars(values: Sequence[float], rows: int) -> list[str]:
    """A bar for each value, from 0 up to the largest, in so many rows from the top; the least that shows is shown."""
    most = max(values)
    steps = [max(round(value / most * rows * 8), 1) if most > 0 else 1 for value in values]
    return ["".join(BLOCKS[max(0, min(step - 8 * below, 8))] for step in steps) for below in range(rows - 1, -1, -1)]


def _median(values: Sequence[float]) -> float:  # the module `statistics` would bring decimal and fractions along
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _day(run: PastRun) -> str:
    return local_time(run.at)[:10]


def _minute(run: PastRun) -> str:
    return local_time(run.at)[11:16]
