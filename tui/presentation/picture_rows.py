"""The rows of a picture of bars over time: names, bars, durations and notes in columns. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from engine import Status
from engine.domain.frozen import frozen
from tui.presentation.text import cells, padded
from tui.presentation.timeline import Axis, Interval, Runs, axis_labels, bar, plain_bar

LABEL_MOST: Final = 40
"""Cells of a name, at most; in a narrow picture a third of it."""
NOTES_FROM: Final = 100
"""The width from which an effect or error stands beside a bar."""


@frozen
class PictureRow:
    """A row of the picture: all its columns, or a text instead of the bar."""

    label: str
    runs: Runs = ()
    text: str = ""
    took: str = ""
    note: str = ""
    status: Status | None = None
    """The status of the bar: it decides the colour."""
    child: int | None = None
    """The ordinal of the child whose bar it is."""

    @property
    def plain(self) -> str:
        """The row without colours."""
        return f"{self.label}{plain_bar(self.runs) or self.text}{self.took}{self.note}".rstrip()


@frozen
class Draft:
    """A row before the widths of the columns are known."""

    label: str
    axis: Axis
    intervals: tuple[Interval, ...] = ()
    text: str | None = ""
    """Stands in the place of a bar; None: the labels of the axis."""
    took: str = ""
    note: Callable[[int], str] = lambda width: ""
    """The effect, error or progress in so many cells: beside the bar, or in its place if there is none."""
    status: Status | None = None
    child: int | None = None
    scale: Callable[[Axis, int], str] = axis_labels
    """Writes the labels of the axis."""


def laid_out(drafts: Sequence[Draft], width: int) -> list[PictureRow]:
    longest = max((cells(draft.label) for draft in drafts), default=0)
    label = min(longest, LABEL_MOST, width // 3) + 1
    took = max((cells(draft.took) for draft in drafts), default=0) + 1
    note = _note_width(drafts, width // 3) if width >= NOTES_FROM else 0
    room = max(width - label - took - note, 0)

    def row(draft: Draft) -> PictureRow:
        runs = bar(draft.intervals, draft.axis, room) if draft.intervals else ()
        beside = draft.note(note - 2) if note and (runs or draft.text) else ""
        text = draft.scale(draft.axis, room) if draft.text is None else draft.text
        text = text or ("" if beside else draft.note(room))
        return PictureRow(
            padded(draft.label, label - 1) + " ",
            runs,
            "" if runs else padded(text, room),
            draft.took.rjust(took),
            padded(f"  {' '.join(beside.split())}", note),
            draft.status,
            draft.child,
        )

    return [row(draft) for draft in drafts]


def _note_width(drafts: Sequence[Draft], most: int) -> int:
    """The width of the column of notes: that of the longest one, `most` at most."""
    notes = (draft.note(most - 2) for draft in drafts if draft.intervals or draft.text)
    return min(max((cells(" ".join(note.split())) + 2 for note in notes if note), default=0), most)
