"""What the pages of a database file hold: values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from typing import Final

from engine.domain.damage import Damage
from engine.domain.frozen import frozen

FREE: Final = -1
LONG_VALUES: Final = -2
"""Pages with the rest of values that are longer than a page."""
UNSEEN: Final = -3
"""There was no time to find out, or a damaged page should lead there."""
INTERNAL: Final = -4
"""Pages that SQLite keeps for itself: pointer maps of a file with auto_vacuum, and the page whose bytes it locks."""
DAMAGED: Final = -5
"""A page of a table or an index whose header is impossible, or one that the last check names."""


@frozen(kw_only=True)
class MappedObject:
    """A table or an index."""

    name: str
    is_index: bool
    pages: int
    """Pages known to be its own, without those of long values."""
    jumps: int
    """How many of its leaf pages do not follow the one with the rows or entries before them."""
    stands_for: int = 1
    """How many tables or indexes it is: a map that is kept counts small ones together, without a name."""


@frozen(kw_only=True)
class PageMap:
    """The pages of a file at evenly spread places, from its start to its end."""

    pages: int
    page_size: int
    free_pages: int
    owners: tuple[int, ...]
    """For each place the number of an object, or one of the constants above."""
    fills: tuple[float | None, ...]
    """For each place how full the page is; None for a page without rows or entries."""
    in_order: tuple[bool, ...]
    """For each place whether the page follows the one with the rows or entries before its own."""
    objects: tuple[MappedObject, ...]
    named_by_check: tuple[int, ...] = ()
    """The numbers of the pages that the last check names as damaged."""
    known_damage: tuple[Damage, ...] = ()
    """The damage on record, which the pages need not show."""

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.pages * self.page_size


def with_named(found: PageMap, pages: Iterable[int]) -> PageMap:
    """The map with the pages that the last check names, each at its place."""
    named = tuple(page for page in pages if 0 < page <= found.pages)
    places = {place_of(found, page) for page in named}
    return replace(
        found,
        owners=tuple(DAMAGED if place in places else owner for place, owner in enumerate(found.owners)),
        fills=tuple(None if place in places else fill for place, fill in enumerate(found.fills)),
        named_by_check=named,
    )


def place_of(found: PageMap, page: int) -> int:
    """The place of the pages among which a page is."""
    return (page - 1) * len(found.owners) // found.pages


class NotMapped(StrEnum):
    """Why there is no map."""

    SLOW = "slow"
    """It would take too long."""
    UNREADABLE = "unreadable"
    """It is locked or damaged, or the system does not let its pages be read one by one."""


@frozen(kw_only=True)
class Reading:
    """Pages of a table or an index that were read one by one."""

    pages: int
    seconds: float
    from_disk: int | None
    """Bytes that the disk delivered for it; None if unknown. The others were in memory."""


@frozen(kw_only=True)
class ReadTimes:
    """How long it took to read pages of a table or an index in two orders."""

    name: str
    page_size: int
    in_key_order: Reading
    """In the order of its rows or entries."""
    in_file_order: Reading
    """Others of its pages, in the order of the file."""
