"""Where the most space can be won, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.advice import DeadSpace
from tui.presentation.text import plain, size


def dead_space_rows(found: Sequence[DeadSpace]) -> list[str]:
    """A row for each table or index; none for a single one, which the reason names. Harmless to a terminal."""
    if len(found) < 2:
        return []
    wasted, whole = ([size(one.wasted) for one in found], [size(one.size) for one in found])
    widths = [max(map(len, column)) for column in (wasted, whole)]
    return [
        f"{much:>{widths[0]}} of {of_all:>{widths[1]}}  {plain(one.name)}"
        for much, of_all, one in zip(wasted, whole, found, strict=True)
    ]
