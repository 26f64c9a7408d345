"""Lines of text with roles instead of colours: the output of every view."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Hashable, Iterable, Sequence
from enum import StrEnum
from functools import lru_cache

from rich.cells import cell_len, set_cell_size

from engine.domain.frozen import frozen
from tui.presentation.target_names import TargetName
from tui.presentation.text import plain


class Role(StrEnum):
    """The meaning of a piece of text; the theme decides its style. Statuses have the names of `Status`."""

    TEXT = "text"
    DIM = "dim"
    STRONG = "strong"
    HEADING = "heading"
    SQL = "sql"
    KEY = "key"
    BAR = "bar"
    WARNING = "warning"
    LABEL = "label"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


Span = tuple[str, Role]


@frozen
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


def shortened_name(name: str, width: int) -> str:
    """A name in at most `width` cells, with an ellipsis inside: the end of a name tells it from others."""
    if width < 2 or cell_len(name) <= width:
        return fit(name, min(width, cell_len(name)))
    end = (width - 1) * 2 // 3
    starts = range(len(name) - end, len(name))
    kept = next((name[at:] for at in starts if cell_len(name[at]) and cell_len(name[at:]) <= end), "")
    return f"{set_cell_size(name, width - 1 - end)}…{kept}"


MARK = "●"


def marked(row: Line, at: int) -> Line:
    """The row with a mark in place of the character at `at` of its first piece."""
    (text, role), *rest = row.spans
    return Line(((text[:at], role), (MARK, Role.WARNING), (text[at + 1 :], role), *rest), row.key)


def right(text: str, width: int) -> str:
    """`text` at the right end of `width` cells."""
    return " " * (width - cell_len(text)) + text if cell_len(text) < width else fit(text, width)


def wrapped(text: str, width: int, role: Role = Role.TEXT, *, indent: int = 0, key: Hashable = None) -> list[Line]:
    """Wraps untrusted text into indented lines; its line breaks are kept. `width`: 0 before the first layout."""
    pieces = _pieces(text, max(width - indent, 8) if width else len(text) + 1)
    return [Line(((" " * indent, Role.TEXT), (piece, role)), key) for piece in pieces]


@lru_cache(maxsize=512)  # most sentences of a screen are the same at each layout
def _pieces(text: str, width: int) -> tuple[str, ...]:
    if 0 < len(text) <= width and text.isprintable() and text == text.strip():
        return (text,)  # the usual case, fast: a page may have thousands
    return tuple(
        piece
        for paragraph in text.splitlines() or [""]
        for piece in textwrap.wrap(plain(paragraph.expandtabs(4)), width, break_on_hyphens=False) or [""]
    )


def filled(parts: Iterable[str], width: int, role: Role = Role.TEXT) -> list[Line]:
    """Untrusted texts beside each other, as many as fit into each line; only one that is longer is wrapped."""
    rows: list[str] = []
    for part in filter(None, parts):
        longer = f"{rows[-1]}  {part}" if rows else part
        if rows and (not width or cell_len(longer) <= width):
            rows[-1] = longer
        else:
            rows.append(part)
    return [one for row in rows for one in wrapped(row, width, role)]


def hanging(head: Sequence[Span], text: str, width: int) -> list[Line]:
    """Untrusted text beside a head; its further lines stand below its beginning."""
    indent = span_cells(head)
    first, *more = wrapped(text, width - indent)
    return [line(*head, *first.spans), *(line(" " * indent, *one.spans) for one in more)]


def span_cells(spans: Iterable[Span]) -> int:
    return sum(cell_len(text) for text, _ in spans)


def both_ends(left: tuple[Span, ...], right_end: tuple[Span, ...], width: int) -> Line:
    """Spans at both ends of a line; the left end is cut."""
    room = width - span_cells(right_end)
    spans: list[Span] = []
    for text, role in left:
        taken = min(cell_len(text), room)
        if taken > 0:
            spans.append((fit(text, taken), role))
            room -= taken
    return Line((*spans, (" " * max(room, 0), Role.TEXT), *right_end))


def named(name: str, most: int | None = None, role: Role = Role.STRONG) -> tuple[Span, ...]:
    """The name and label of a target, in at most `most` cells; the name is cut first."""
    bare, tag = (name.name, f" {name.tag}") if isinstance(name, TargetName) and name.tag else (name, "")
    bare = plain(bare)
    if most is not None and most - cell_len(tag) < 2:
        tag = ""
    if most is not None:
        bare = shortened_name(bare, most - cell_len(tag))
    return ((bare, role), (tag, Role.LABEL)) if tag else ((bare, role),)


def named_column(name: str, width: int) -> tuple[Span, ...]:
    """`named`, in exactly `width` cells."""
    spans = named(name, width)
    text, role = spans[-1]
    room = width - span_cells(spans[:-1])
    return (*spans[:-1], (fit(text, room), role))


def with_labels(lines: Iterable[Line], tags: Collection[str]) -> list[Line]:
    if not tags:
        return list(lines)
    any_tag = re.compile("|".join(map(re.escape, sorted(tags, key=len, reverse=True))).join("()"))

    def parts(span: Span) -> list[Span]:
        return [(part, Role.LABEL if part in tags else span[1]) for part in any_tag.split(span[0]) if part]

    return [Line(tuple(part for span in one.spans for part in parts(span)), one.key) for one in lines]
