"""Where the most space can be won, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from engine.domain.advice import DeadSpace
from tui.presentation.text import plain, shortened_inside, size


def dead_space_rows(found: Sequence[DeadSpace], width: int | None = None) -> list[str]:
    """A row for each table or index; none for a single one, which the reason names. Harmless to a terminal.

    `width`: where they are too wide for it, the sizes of the objects are left out and long names shortened.
    """
    if len(found) < 2:
        return []
    wasted, whole = ([size(one.wasted) for one in found], [size(one.size) for one in found])
    widths = [max(map(len, column)) for column in (wasted, whole)]
    names = [plain(one.name) for one in found]
    room = None if width is None else width - sum(widths) - len(" of " + "  ")
    if room is None or all(len(name) <= room for name in names):
        return [
            f"{much:>{widths[0]}} of {of_all:>{widths[1]}}  {name}"
            for much, of_all, name in zip(wasted, whole, names, strict=True)
        ]
    room += widths[1] + len(" of ")
    return [f"{much:>{widths[0]}}  {shortened_inside(name, room)}" for much, name in zip(wasted, names, strict=True)]
