"""The picture of a job, coloured."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from engine import JobId, ParentJob
from tui.console.views.line import Line, Role, Span
from tui.presentation.job_picture import job_picture
from tui.presentation.picture_rows import PictureRow
from tui.presentation.timeline import Mark

STEPS_LEAST: Final = 3
STEPS_MOST: Final = 16
LINES_BESIDE: Final = 8
"""Lines of the page beside the bars of children and steps: head, axes, counts, legend, and the first of the text."""
_ROLES: Final = {
    Mark.NOTHING: Role.TEXT,
    Mark.QUEUED: Role.DIM,
    Mark.WAITED: Role.WARNING,
    Mark.REPEATED: Role.CANCELLED,
}


def picture_lines(parent: ParentJob, now: int, width: int, height: int, selected: int | None) -> list[Line]:
    """The picture; the line of a child has its id as key. `height`: lines in view."""
    steps = min(max(height - LINES_BESIDE - len(parent.children), STEPS_LEAST), STEPS_MOST)
    rows = job_picture(parent, now, width, selected=selected, steps_most=steps)
    return [row_line(row, JobId(parent.id, row.child) if row.child else None) for row in rows]


def row_line(row: PictureRow, key: Hashable = None) -> Line:
    return Line(tuple(_spans(row)), key)


def _spans(row: PictureRow) -> Iterator[Span]:
    of_row = Role(row.status.value) if row.status else Role.DIM
    glyph = len(row.label) - len(row.label.lstrip()) + 1
    yield row.label[:glyph], of_row
    yield row.label[glyph:], Role.TEXT if row.status else Role.DIM
    for mark, count in row.runs:
        yield mark.value * count, _ROLES.get(mark, of_row)
    yield row.text, Role.DIM
    yield row.took, Role.TEXT
    yield row.note, Role.DIM
