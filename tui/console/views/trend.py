"""The trend of each operation of a job, as lines of its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from engine import Trend
from tui.console.views.line import Line, Role, Span, line, wrapped
from tui.presentation.trend_plot import PlotCell, plots, side_by_side, too_few

INDENT: Final = 2


def trend_lines(trends: Sequence[Trend], job: int, width: int) -> list[Line]:
    """A heading, and plots of durations and of the size, side by side; nothing without operations.

    Args:
        job: the number of the job that the trends lead up to.
    """
    if not trends:
        return []
    lines = [line(("Trend on this database up to this job", Role.HEADING))]
    lines += [Line(tuple(_spans(cells))) for cells in side_by_side(plots(trends, job), width - INDENT)]
    others = too_few(trends)
    return lines + (wrapped(others, width, Role.DIM, indent=INDENT) if others else [])


def _spans(cells: Sequence[PlotCell]) -> Iterator[Span]:
    yield " " * INDENT, Role.TEXT
    for cell in cells:
        yield cell.text, Role.TEXT if cell.is_title else Role.DIM
        yield cell.bars, Role.BAR
