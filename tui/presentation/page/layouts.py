"""The pages of SQLite files before and after an operation, as SVG: which jobs have them, and the pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from engine import EngineName, Operation, ParentJob, Status
from engine.domain.frozen import frozen
from engine.domain.kept_page_map import KeptMaps, kept_maps
from engine.domain.page_map import PageMap
from engine.domain.steps import MOVES_PAGES, Micros
from tui.presentation.page.html import Html, element, joined, table
from tui.presentation.page.runs import Run
from tui.presentation.page_map import LEVELS, Cell, Kind, cells_of, in_short, orders

MOST: Final = 12
"""Files whose pages are shown."""
_LOOKED_AT: Final = 2 * MOST
"""Jobs that may have kept maps: small files have none."""
_COLUMNS: Final = 64
_ROWS: Final = 16
_SIDE: Final = 10
"""The side of a cell."""
_CLASSES: Final[Mapping[Kind, str]] = {
    Kind.TABLE: "table",
    Kind.INDEX: "index",
    Kind.LONG_VALUES: "long-values",
    Kind.FREE: "free",
    Kind.INTERNAL: "internal",
    Kind.DAMAGED: "damaged",
}
_LEGEND: Final = (
    (Cell(Kind.TABLE), "table; the lower the bar, the emptier its pages"),
    (Cell(Kind.INDEX), "index"),
    (Cell(Kind.TABLE, is_in_order=False), "out of order"),
    (Cell(Kind.LONG_VALUES), "long values"),
    (Cell(Kind.FREE), "free"),
    (Cell(Kind.INTERNAL), "pointer map"),
    (Cell(Kind.DAMAGED), "damaged"),
)


@frozen(kw_only=True)
class Layout:
    """The pages of a file before and after an operation."""

    target: str
    job: str
    operation: Operation
    at: Micros
    maps: KeptMaps


def may_have_maps(jobs: Sequence[Run]) -> list[int]:
    """The newest job of each SQLite file that moved its pages; first those that gave the most back."""
    newest: dict[str, Run] = {}
    for job in jobs:
        if job.engine == EngineName.SQLITE and any(
            operation.operation in MOVES_PAGES and operation.status is Status.COMPLETED for operation in job.operations
        ):
            newest.setdefault(job.target, job)
    return [job.id for job in sorted(newest.values(), key=lambda job: -job.back)[:_LOOKED_AT]]


def layouts_of(jobs: Sequence[ParentJob]) -> list[Layout]:
    """The first maps of each of these jobs."""
    found: list[Layout] = []
    for job in jobs:
        for child in job.children:
            maps = kept_maps(child.after)
            if maps is not None and child.finished_at is not None:
                found.append(
                    Layout(
                        target=job.target,
                        job=str(child.id),
                        operation=child.operation,
                        at=child.finished_at,
                        maps=maps,
                    )
                )
                break
    return found[:MOST]


def pictures(maps: KeptMaps) -> Html:
    """Both files at one scale, side by side; and how the order of the largest tables and indexes has changed."""
    both = (("before", maps.before), ("after", maps.after))
    rows = ((order.name, order.kind.name.lower(), order.before, order.after) for order in orders(maps))
    return joined((
        element("div", *(_figure(label, found, maps.largest) for label, found in both), class_="layouts"),
        table(("largest", "is", "out of order before", "after"), rows, numbers=(2, 3)),
    ))  # fmt: skip


def legend() -> Html:
    """What each form means."""
    parts = (element("span", _svg([cell], what, 1, 1, width=_SIDE, height=_SIDE), what) for cell, what in _LEGEND)
    return element("p", *parts, class_="legend soft layout-legend")


def _figure(label: str, found: PageMap, largest: int) -> Html:
    text = f"{label} {in_short(found)}"
    cells = cells_of(found, _COLUMNS * _ROWS * found.size // largest)
    return element("figure", element("figcaption", text), _svg(cells, text, _COLUMNS, _ROWS))


def _svg(cells: Sequence[Cell], title: str, columns: int, rows: int, **size: float) -> Html:
    """A path for all cells of a kind and order: tables are wide bars, indexes narrow ones, long values lines, free
    pages dots, pointer maps two lines, damaged pages crosses."""
    paths: dict[str, list[str]] = {}
    for row in range(0, len(cells), columns):
        at = 0
        for cell, run in groupby(cells[row : row + columns]):
            number = len(list(run))
            if cell.kind in _CLASSES:
                name = f"{_CLASSES[cell.kind]}{'' if cell.is_in_order else ' scattered'}"
                paths.setdefault(name, []).extend(_outlines(cell, at, row // columns, number))
            at += number
    return element(
        "svg",
        element("title", title),
        *(element("path", class_=name, d="".join(parts)) for name, parts in paths.items()),
        viewBox=f"0 0 {columns * _SIDE} {rows * _SIDE}",
        role="img",
        class_="layout",
        **size,
    )


def _outlines(cell: Cell, column: int, row: int, number: int) -> Iterator[str]:
    """The outlines of so many neighbours that are alike."""
    x, below, last = column * _SIDE, (row + 1) * _SIDE - 1, number * _SIDE - 1
    height = (cell.level + 1) * (_SIDE - 2) // LEVELS
    match cell.kind:
        case Kind.TABLE:
            yield f"M{x},{below}h{last}v-{height}h-{last}z"
        case Kind.LONG_VALUES:
            yield f"M{x},{below - 3}h{last}v-2h-{last}z"
        case Kind.INTERNAL:
            yield f"M{x},{below - 1}h{last}v-1h-{last}zM{x},{below - 5}h{last}v-1h-{last}z"
        case Kind.DAMAGED:
            yield from (
                f"M{x + n * _SIDE},{below}l8,-8h1l-8,8zM{x + n * _SIDE},{below - 8}l8,8h1l-8,-8z" for n in range(number)
            )
        case Kind.INDEX:
            yield from (f"M{x + n * _SIDE + 2},{below}h4v-{height}h-4z" for n in range(number))
        case _:
            yield from (f"M{x + n * _SIDE + 3},{below - 3}h2v-2h-2z" for n in range(number))
