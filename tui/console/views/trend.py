"""The trend of each operation of a job, as lines of its page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

from rich.cells import cell_len

from engine import Trend
from tui.console.views.line import Line, Role, Span, line, wrapped
from tui.presentation.trend_plot import Plot, headline, in_two, plots, too_few

BESIDE: Final = 74
"""Cells that a plot needs to have another one beside it."""
INDENT: Final = 4


def trend_lines(trends: Sequence[Trend], width: int) -> list[Line]:
    """A heading, and for each operation what it took and how large the database was; nothing without operations."""
    lines = [line(("Trend on this database up to this job", Role.HEADING))] if trends else []
    enough, others = in_two(trends)
    for trend in enough:
        lines += wrapped(headline(trend), width, indent=2)
        room = width - INDENT
        beside = room >= 2 * BESIDE
        shown = [_plot_lines(plot) for plot in plots(trend, room // 2 if beside else room)]
        lines += _beside(shown, room // 2) if beside else [_indented(spans) for plot in shown for spans in plot]
    return lines + (wrapped(too_few(others), width, Role.DIM, indent=2) if others else [])


def _plot_lines(plot: Plot) -> list[tuple[Span, ...]]:
    text_rows: list[tuple[Span, ...]] = [((text, Role.DIM),) for text in plot.lines]
    return [*text_rows, *[((label, Role.DIM), (bars, Role.BAR)) for label, bars in plot.rows]]


def _indented(spans: Sequence[Span]) -> Line:
    return Line(((" " * INDENT, Role.TEXT), *spans))


def _beside(columns: Sequence[list[tuple[Span, ...]]], width: int) -> list[Line]:
    lines = []
    for row in zip_longest(*columns, fillvalue=()):
        spans: list[Span] = []
        for at, piece in enumerate(row):
            used = sum(cell_len(text) for text, _ in piece)
            spans += [*piece, (" " * max(width - used, 0) if at + 1 < len(row) else "", Role.TEXT)]
        lines.append(_indented(spans))
    return lines
