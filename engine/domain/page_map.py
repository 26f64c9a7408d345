"""What the pages of a database file hold: values."""

from __future__ import annotations

from typing import Final

from engine.domain.frozen import frozen

FREE: Final = -1
LONG_VALUES: Final = -2
"""Pages with the rest of values that are longer than a page, and the few that SQLite keeps for itself."""
UNSEEN: Final = -3
"""There was no time to find out."""


@frozen(kw_only=True)
class MappedObject:
    """A table or an index."""

    name: str
    is_index: bool
    pages: int
    """Those known to be its own, without those of long values."""
    jumps: int
    """How many of its leaf pages do not follow the one with the rows or entries before them."""


@frozen(kw_only=True)
class ReadingTimes:
    """How long it took to read as many pages of an object in two orders, on average."""

    name: str
    pages: int
    by_key: float
    """Seconds, in the order of its rows or entries,"""
    by_place: float
    """and of other ones, in the order of the file."""


@frozen(kw_only=True)
class PageMap:
    """The pages of a file at evenly spread places, from its start to its end."""

    pages: int
    page_size: int
    free_pages: int
    owners: tuple[int, ...]
    """For each place the number of an object, FREE, LONG_VALUES or UNSEEN."""
    fills: tuple[float | None, ...]
    """For each place how full the page is; None for a page without rows or entries."""
    objects: tuple[MappedObject, ...]
    reading: ReadingTimes | None
    """Of the one with the most jumps; None where all are too small to tell."""
