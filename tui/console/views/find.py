"""Search in the lines of a page: pure functions."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tui.console.views.line import Line, Role, Span


class Match(NamedTuple):
    """A match: number of the line, first character, and the one after the last."""

    line: int
    start: int
    end: int


def matches(lines: Sequence[Line], text: str) -> list[Match]:
    """All matches, ignoring case; none for an empty text."""
    if not text:
        return []
    pattern = re.compile(re.escape(text), re.IGNORECASE)
    return [
        Match(number, *found.span()) for number, shown in enumerate(lines) for found in pattern.finditer(shown.text)
    ]


def of_line(found: Sequence[Match], number: int) -> Sequence[Match]:
    """The matches in one line."""
    return found[bisect_left(found, Match(number, 0, 0)) : bisect_left(found, Match(number + 1, 0, 0))]


def first_from(found: Sequence[Match], number: int) -> int:
    """The first match in this line or below, else the first of all."""
    at = bisect_left(found, Match(number, 0, 0))
    return at if at < len(found) else 0


def cut(spans: Sequence[Span], found: Sequence[Match]) -> Iterator[tuple[str, Role, Match | None]]:
    """The spans of a line, cut at the ends of matches; each piece with its match."""
    begins = 0
    for text, role in spans:
        ends = begins + len(text)
        at = begins
        for match in found:
            if match.start < ends and match.end > at:
                start, end = max(match.start, at), min(match.end, ends)
                if start > at:
                    yield text[at - begins : start - begins], role, None
                yield text[start - begins : end - begins], role, match
                at = end
        if at < ends:
            yield text[at - begins :], role, None
        begins = ends


def format_found(found: int, at: int, text: str) -> str:
    """`3 of 17  orders`; `at`: the current match, from 0."""
    return f"{at + 1:,} of {found:,}  {text}" if found else f"not found: {text}"
