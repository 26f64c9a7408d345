"""The page map of a SQLite file, coloured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from engine import ChildJob
from engine.domain.kept_page_map import kept_maps, why_not_mapped
from engine.domain.page_map import PageMap
from tui.console.views.line import Line, Role, line, span_cells, wrapped
from tui.presentation.page_map import NOT_MAPPED_WORDS, Row, Tone, before_and_after, page_map_rows

_ROLES: Final = {
    Tone.TEXT: Role.TEXT,
    Tone.DIM: Role.DIM,
    Tone.HEADING: Role.HEADING,
    Tone.TABLE: Role.TEXT,
    Tone.INDEX: Role.BAR,
    Tone.DAMAGED: Role.FAILED,
}
_INDENT: Final = 4


def page_map_document(found: PageMap, width: int, height: int, measured: Sequence[str] = ()) -> list[Line]:
    """The map in so many rows, if they are enough for all of it. `measured`: stands in place of its last sentence, so
    that the map keeps its place."""
    if width <= 0:  # before the first layout
        return []
    rows = page_map_rows(found, width, height)
    return _lines([*rows[:-1], *(((text, Tone.TEXT),) for text in measured)] if measured else rows, width)


def maps_of_job(child: ChildJob, width: int) -> list[Line]:
    """The maps before and after the operation, or why there are none; nothing for one that moves no pages."""
    if (maps := kept_maps(child.after)) is not None:
        shown = _lines(before_and_after(maps, max(width - _INDENT, 1)), width - _INDENT)
        return [Line(((" " * _INDENT, Role.TEXT), *one.spans)) for one in shown]
    reason = why_not_mapped(child.after)
    return [] if reason is None else wrapped(NOT_MAPPED_WORDS[reason], width, Role.DIM, indent=_INDENT)


def _lines(rows: Iterable[Row], width: int) -> list[Line]:
    lines: list[Line] = []
    for row in rows:
        spans = [(text, _ROLES[tone]) for text, tone in row]
        is_long_text = len(spans) == 1 and span_cells(spans) > width
        lines += wrapped(spans[0][0], width, spans[0][1]) if is_long_text else [line(*spans)]
    return lines
