"""A line of text with roles instead of colours: what every view is made of."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum

from rich.cells import cell_len, set_cell_size

from tui.text import plain


class Role(StrEnum):
    """What a piece of text is; the style sheet says how that looks. Statuses are named as `Status` is."""

    TEXT = "text"
    DIM = "dim"
    STRONG = "strong"
    HEADING = "heading"
    SQL = "sql"
    KEY = "key"
    BAR = "bar"
    WARNING = "warning"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


Span = tuple[str, Role]


@dataclass(frozen=True, slots=True)
class Line:
    """One line on the screen. Lines with the same key belong to one item, which the cursor moves over."""

    spans: tuple[Span, ...] = ()
    key: Hashable = None

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)


def line(*spans: Span | str, key: Hashable = None) -> Line:
    """A line of spans; a bare string is ordinary text."""
    return Line(tuple((s, Role.TEXT) if isinstance(s, str) else s for s in spans), key)


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells: filled with blanks, or its end replaced by an ellipsis."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


MARK = "●"


def marked(row: Line, at: int) -> Line:
    """The row with a mark in place of the character at `at` of its first piece."""
    (text, role), *rest = row.spans
    return Line(((text[:at], role), (MARK, Role.WARNING), (text[at + 1 :], role), *rest), row.key)


def right(text: str, width: int) -> str:
    """`text` at the right end of `width` cells."""
    return " " * (width - cell_len(text)) + text if cell_len(text) < width else fit(text, width)


def wrapped(text: str, width: int, role: Role = Role.TEXT, *, indent: int = 0, key: Hashable = None) -> list[Line]:
    """Untrusted text over as many lines as it needs, each indented; its own line breaks are kept."""
    lines = []
    for paragraph in text.splitlines() or [""]:
        pieces = textwrap.wrap(plain(paragraph.expandtabs(4)), max(width - indent, 8)) or [""]
        lines += [Line(((" " * indent, Role.TEXT), (piece, role)), key) for piece in pieces]
    return lines


def both_ends(left: tuple[Span, ...], right_end: tuple[Span, ...], width: int) -> Line:
    """Spans at the left and at the right end of a line; the left gives way."""
    room = width - sum(cell_len(text) for text, _ in right_end)
    spans: list[Span] = []
    for text, role in left:
        taken = min(cell_len(text), room)
        if taken > 0:
            spans.append((fit(text, taken), role))
            room -= taken
    return Line((*spans, (" " * max(room, 0), Role.TEXT), *right_end))
