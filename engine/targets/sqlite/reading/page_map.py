"""What the pages of a database file hold, without reading most of them: the pages that lead to others name them.

`page_fill.py` says how pages are read. A page may change meanwhile.
"""

from __future__ import annotations

import sqlite3
import struct
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.page_map import FREE, LONG_VALUES, UNSEEN, MappedObject, NotMapped, PageMap
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.log_frames import frames_of
from engine.targets.sqlite.reading.page_fill import (
    DAMAGED,
    LEAF_HEADER,
    FilePages,
    free_pages,
    pages_of,
    unused_bytes,
)

PLACES: Final = 4_096
"""At which the file is looked at: some for each character of a large window."""
LONGEST: Final = 2.0
"""Seconds each for finding out what owns the pages, and how full they are."""
_LEADING: Final = (0x02, 0x05)
_LEADING_HEADER: Final = 12
_DEEPEST: Final = 20


@frozen
class Root:
    """A table or an index, and its first page."""

    name: str
    page: int
    is_index: bool


def roots_of(db: sqlite3.Connection) -> list[Root]:
    """All tables and indexes. Raises sqlite3.Error."""
    rows = db.execute(catalog.ROOTS).fetchall()
    return [Root(name, page, is_index=bool(index)) for name, page, index in rows]


def map_of(
    descriptor: int,
    roots: Sequence[Root],
    *,
    log: int | None = None,
    most_places: int | None = None,
    in_all: float | None = None,
) -> PageMap | NotMapped:
    """The map of the database that is open as `descriptor`. Pages for which there is no time are unseen.

    `log`: the descriptor of its write-ahead log. `in_all`: seconds for everything, instead of LONGEST for each part.
    """
    most_places = PLACES if most_places is None else most_places
    give_up = time.monotonic() + (LONGEST if in_all is None else in_all)
    file = opened_pages(descriptor, log, give_up)
    free = None if file is None else _free_pages(file, give_up)
    if file is None or free is None or not file.number:
        return NotMapped.SLOW if time.monotonic() > give_up else NotMapped.UNREADABLE
    count = min(most_places, file.number)
    places = [1 + int((place + 0.5) * file.number / count) for place in range(count)]
    wanted, owners, out_of_order = frozenset(places), dict[int, int](), set[int]()
    objects: list[MappedObject] = []
    is_whole, seen = True, bytearray(file.number + 1)
    for number, root in enumerate(roots):
        leaves, leading, is_known = pages_below(file, root.page, seen, give_up)
        is_whole = is_whole and is_known
        owners.update(dict.fromkeys(wanted.intersection(leaves), number))
        owners.update(dict.fromkeys(wanted.intersection(leading), number))
        jumped = pages_out_of_order(leaves)
        out_of_order.update(wanted.intersection(jumped))
        pages = len(leaves) + len(leading)
        objects.append(MappedObject(name=root.name, is_index=root.is_index, pages=pages, jumps=len(jumped)))
    others = LONG_VALUES if is_whole else UNSEEN
    give_up = time.monotonic() + LONGEST if in_all is None else give_up
    fills = _fills(file, [place if place in owners else None for place in places], give_up)
    unseen = frozenset(places[len(fills) :])
    return PageMap(
        pages=file.number,
        page_size=file.size,
        free_pages=sum(free),
        owners=tuple(FREE if free[page] else UNSEEN if page in unseen else owners.get(page, others) for page in places),
        fills=(*fills, *(None for _ in unseen)),
        in_order=tuple(page not in out_of_order for page in places),
        objects=tuple(objects),
    )


def pages_out_of_order(leaves: Sequence[int]) -> list[int]:
    """The leaf pages that do not follow the one with the rows or entries before theirs."""
    return [after for before, after in pairwise(leaves) if after != before + 1]


def opened_pages(descriptor: int, log: int | None, give_up: float) -> FilePages | None:
    """The pages of an open file; None if it is no database, or there is no time."""
    try:
        frames = None if log is None else frames_of(log, give_up)
        return None if log is not None and frames is None else pages_of(descriptor, frames)
    except DAMAGED:
        return None


def _free_pages(file: FilePages, give_up: float) -> bytearray | None:
    try:
        return free_pages(file, give_up)
    except DAMAGED:
        return None


def pages_below(file: FilePages, root: int, seen: bytearray, give_up: float) -> tuple[list[int], list[int], bool]:
    """The leaf pages of a table or index, in the order of its rows, the pages that lead to them, and whether those are
    all. No leaf page is read: all are equally far from the first page. `seen`: pages that were led to already, as only
    in a damaged file one is led to again."""
    level, leading = [root], list[int]()
    for _ in range(_DEEPEST):
        if time.monotonic() > give_up:  # of very many tables, too, none is read any more
            break
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


def _fills(file: FilePages, pages: Sequence[int | None], give_up: float) -> list[float | None]:
    """How full the first of these pages are, as many as there is time for; None for a page that holds no rows."""
    fills = list[float | None]()
    for page in pages:
        if time.monotonic() > give_up:
            break
        fills.append(None if page is None else _fill(file, page))
    return fills


def _fill(file: FilePages, number: int) -> float | None:
    try:
        unused = unused_bytes(file.read(number), file.usable)
    except DAMAGED:
        return None
    return None if unused is None else 1 - unused / (file.usable - LEAF_HEADER)
