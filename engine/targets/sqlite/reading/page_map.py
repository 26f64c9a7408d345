"""What the pages of a database file hold, without reading most of them: the pages that lead to others name them.

`page_fill.py` says how pages are read, and which are not seen.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.median import median
from engine.domain.page_map import FREE, LONG_VALUES, UNSEEN, MappedObject, PageMap, ReadingTimes
from engine.targets.sqlite.reading.page_fill import (
    DAMAGED,
    LEAF_HEADER,
    FilePages,
    free_pages,
    leaf_cells,
    pages_of,
)

PLACES: Final = 4_096
"""At which the file is looked at: some for each character of a large window."""
LONGEST: Final = 2.0
"""Seconds each for finding out what owns the pages, how full they are, and how long reading takes."""
_LEADING: Final = (0x02, 0x05)
_LEADING_HEADER: Final = 12
_DEEPEST: Final = 20
_STRETCH: Final = 100
"""Pages that are read in one order;"""
_FEWEST: Final = 3
_MOST: Final = 15
"""and so many times in each."""


@frozen
class Root:
    """A table or an index, and its first page."""

    name: str
    page: int
    is_index: bool


def map_of(descriptor: int, roots: Sequence[Root]) -> PageMap | None:
    """Of the database that is open as `descriptor`; None where its pages cannot be read."""
    give_up = time.monotonic() + LONGEST
    try:
        file = pages_of(descriptor)
        free = None if file is None else free_pages(file, give_up)
    except DAMAGED:
        return None
    if file is None or free is None or not file.number:
        return None
    count = min(PLACES, file.number)
    places = [1 + int((place + 0.5) * file.number / count) for place in range(count)]
    wanted, owners = frozenset(places), dict[int, int]()
    objects: list[MappedObject] = []
    scattered: tuple[int, str, list[int]] = 0, "", []
    is_whole, seen = True, bytearray(file.number + 1)
    for number, root in enumerate(roots):
        leaves, leading, is_known = _pages_below(file, root.page, seen, give_up)
        is_whole = is_whole and is_known
        owners.update(dict.fromkeys(wanted.intersection(leaves), number))
        owners.update(dict.fromkeys(wanted.intersection(leading), number))
        jumps = sum(after != before + 1 for before, after in pairwise(leaves))
        pages = len(leaves) + len(leading)
        objects.append(MappedObject(name=root.name, is_index=root.is_index, pages=pages, jumps=jumps))
        if jumps > scattered[0]:
            scattered = jumps, root.name, leaves
    others = LONG_VALUES if is_whole else UNSEEN
    fills = _fills(file, [place if place in owners else None for place in places])
    unseen = frozenset(places[len(fills) :])
    return PageMap(
        pages=file.number,
        page_size=file.size,
        free_pages=sum(free),
        owners=tuple(FREE if free[page] else UNSEEN if page in unseen else owners.get(page, others) for page in places),
        fills=(*fills, *(None for _ in unseen)),
        objects=tuple(objects),
        reading=_reading_times(file, *scattered[1:]),
    )


def _pages_below(file: FilePages, root: int, seen: bytearray, give_up: float) -> tuple[list[int], list[int], bool]:
    """The leaf pages of a table or index, in the order of its rows, the pages that lead to them, and whether those are
    all. No leaf page is read: all are equally far from the first page. `seen`: pages that were led to already, as only
    in a damaged file one is led to again."""
    level, leading = [root], list[int]()
    for _ in range(_DEEPEST):
        if not level or not _leads(file, level[0]):
            return level, leading, True
        leading += level
        following: list[int] = []
        for page in level:
            if time.monotonic() > give_up:
                return [], leading, False
            for child in _children(file, page):
                if not seen[child]:
                    seen[child] = 1
                    following.append(child)
        level = following
    return [], leading, False


def _leads(file: FilePages, page: int) -> bool:
    try:
        return file.read(page)[100 if page == 1 else 0] in _LEADING
    except DAMAGED:
        return False


def _children(file: FilePages, number: int) -> list[int]:
    """The pages that a page leads to; none if it is damaged."""
    start = 100 if number == 1 else 0
    try:
        page = file.read(number)
        if page[start] not in _LEADING:
            return []
        cells, last = struct.unpack_from(">H", page, start + 3)[0], struct.unpack_from(">I", page, start + 8)[0]
        at = struct.unpack_from(f">{cells}H", page, start + _LEADING_HEADER)
        children = [int.from_bytes(page[cell : cell + 4], "big") for cell in at]
    except DAMAGED:
        return []
    return [child for child in (*children, last) if 0 < child <= file.number]


def _fills(file: FilePages, pages: Sequence[int | None]) -> list[float | None]:
    """How full the first of these pages are, as many as there is time for; None for a page that holds no rows."""
    give_up, fills = time.monotonic() + LONGEST, list[float | None]()
    for page in pages:
        if time.monotonic() > give_up:
            break
        fills.append(None if page is None else _fill(file, page))
    return fills


def _fill(file: FilePages, number: int) -> float | None:
    try:
        cells = leaf_cells(file.read(number), file.usable)
    except DAMAGED:
        return None
    return None if cells is None else sum(cells) / (file.usable - LEAF_HEADER)


def _reading_times(file: FilePages, name: str, leaves: Sequence[int]) -> ReadingTimes | None:
    """Of short stretches in turn, each read once. Their medians count, as others use the machine, too."""
    stretches = [leaves[begin : begin + _STRETCH] for begin in range(0, len(leaves) - _STRETCH + 1, _STRETCH)]
    if len(stretches) < 2 * _FEWEST:
        return None
    first = max(len(stretches) // 2 - _MOST, 0)
    stretches = stretches[first : first + 2 * _MOST]
    by_key, by_place = list[float](), list[float]()
    give_up = time.monotonic() + LONGEST
    for one, other in zip(stretches[::2], stretches[1::2], strict=False):
        by_key.append(_seconds(file, one))
        by_place.append(_seconds(file, sorted(other)))
        if time.monotonic() > give_up:
            break
    if len(by_key) < _FEWEST:
        return None
    return ReadingTimes(name=name, pages=_STRETCH, by_key=median(by_key), by_place=median(by_place))


def _seconds(file: FilePages, pages: Sequence[int]) -> float:
    begin = time.perf_counter()
    for page in pages:
        file.read(page)
    return time.perf_counter() - begin
