"""What the pages of a database file hold, without reading most of them: the pages that lead to others name them.

`page_fill.py` says how pages are read. Pages may change while they are read.
"""

from __future__ import annotations

import random
import sqlite3
import struct
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.page_map import DAMAGED, FREE, INTERNAL, LONG_VALUES, UNSEEN, MappedObject, NotMapped, PageMap
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.log_frames import frames_of
from engine.targets.sqlite.reading.page_fill import DAMAGED as ERRORS_OF_DAMAGE
from engine.targets.sqlite.reading.page_fill import (
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
_LEAVES: Final = (0x0A, 0x0D)
_LOOKED_AT: Final = 3
"""Pages of a level that say what it is, as one may be damaged."""
_LOCK_BYTE: Final = 0x40000000
_LEADING_HEADER: Final = 12
_CHILD: Final = struct.Struct(">I").unpack_from
_DEEPEST: Final = 20
_LEAF, _LEADS = 1, 2
"""What a page is; a free page is as a leaf of another table, and 0 is a page of a long value, or unknown."""
_TABLE_LEAF: Final = 0x0D
_INDEX_LEAF: Final = 0x0A
_LEAF_HEADER: Final = 8
_WHOLE_NUMBERS: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of a column, by its type in a record."""
_ORDERED: Final = 16
"""Leaves of an index, and entries of each, whose order is looked at."""
_ENTRIES: Final = 9
_NEAR: Final = 4
"""How far the row of the next entry is at most, if the entries are in the order of their rows: some are deleted."""
_SAMPLED: Final = 20
"""Gaps between leaf pages of a table that are looked at."""
_SAMPLED_OF_A_LEVEL: Final = 64


@frozen
class Root:
    """A table or an index, and its first page."""

    name: str
    page: int
    is_index: bool


def roots_of(db: sqlite3.Connection) -> list[Root]:
    """All tables and indexes. Raises sqlite3.Error."""
    return _roots(db, query("roots"))


def copied_roots(db: sqlite3.Connection) -> list[Root]:
    """The same in the order in which VACUUM copies them. Raises sqlite3.Error."""
    return _roots(db, query("roots_as_copied"))


def _roots(db: sqlite3.Connection, sql: str) -> list[Root]:
    rows = db.execute(sql).fetchall()
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
    free = None if file is None else free_pages_of(file, give_up)
    if file is None or free is None or not file.number:
        return NotMapped.SLOW if time.monotonic() > give_up else NotMapped.UNREADABLE
    count = min(most_places, file.number)
    places = [1 + int((place + 0.5) * file.number / count) for place in range(count)]
    wanted, owners, out_of_order = frozenset(places), dict[int, int](), set[int]()
    leaves, damaged = set[int](), set[int]()
    objects: list[MappedObject] = []
    trees = Trees(file, free)
    found = [trees.below(root.page, give_up) for root in roots]
    for number, (root, tree) in enumerate(zip(roots, found, strict=True)):
        of_tree = wanted.intersection(tree.leaves)
        leaves.update(of_tree)
        owners.update(dict.fromkeys(of_tree.union(wanted.intersection(tree.leading)), number))
        damaged.update(tree.damaged)
        jumped = trees.out_of_order(tree, give_up)
        out_of_order.update(wanted.intersection(jumped))
        pages = len(tree.leaves) + len(tree.leading)
        objects.append(MappedObject(name=root.name, is_index=root.is_index, pages=pages, jumps=len(jumped)))
    others = LONG_VALUES if all(tree.is_whole for tree in found) else UNSEEN
    give_up = time.monotonic() + LONGEST if in_all is None else give_up
    fills = _fills(file, [place if place in owners else None for place in places], give_up)
    unseen = frozenset(places[len(fills) :])
    damaged.update(place for place, fill in zip(places, fills, strict=False) if fill is None and place in leaves)
    owners.update(dict.fromkeys(wanted.intersection(_internal_pages(file)), INTERNAL))
    owners.update(dict.fromkeys(damaged, DAMAGED))
    return PageMap(
        pages=file.number,
        page_size=file.size,
        free_pages=sum(free),
        owners=tuple(FREE if free[page] else UNSEEN if page in unseen else owners.get(page, others) for page in places),
        fills=(*fills, *(None for _ in unseen)),
        in_order=tuple(page not in out_of_order for page in places),
        objects=tuple(objects),
    )


@frozen
class TreeSize:
    """How large a table or an index is, without the pages of long values."""

    pages: int
    cells: int
    """Rows or entries, about."""
    is_keyed: bool
    """Whether it is an index, or a table without rowid."""
    in_order: float = 0.0
    """The share of the entries of an index that follow each other as their rows do."""


def sizes_of(
    descriptor: int, roots: Sequence[Root], *, log: int | None = None, in_all: float, sampled: int = _SAMPLED_OF_A_LEVEL
) -> dict[str, TreeSize]:
    """About the sizes of tables and indexes by their names, as far as there are `in_all` seconds for that.

    `sampled`: pages of a level that are looked at.
    """
    give_up = time.monotonic() + in_all
    file = opened_pages(descriptor, log, give_up)
    if file is None:
        return {}
    found = ((root.name, _size_of(file, root.page, sampled, give_up)) for root in roots)
    return {name: size for name, size in found if size is not None}


def _size_of(file: FilePages, root: int, sampled: int, give_up: float) -> TreeSize | None:
    """From level to level by a sample: large rows in a table without rowid make very many pages that lead to others."""
    chance = random.Random(root)  # noqa: S311 - no secret: the same sample each time
    pages, level, sample = 0.0, 1.0, [root]
    for _ in range(_DEEPEST):
        if time.monotonic() > give_up or not sample:
            return None
        if not _leads(file, sample[0]):
            break
        children = [child for page in sample for child in _children(file, page)]
        pages, level = pages + level, level * len(children) / len(sample)
        sample = chance.sample(children, min(len(children), sampled))
    found, order = [_kind_and_cells(file, leaf) for leaf in sample], [_order(file, leaf) for leaf in sample[:_ORDERED]]
    known = [one for one in found if one is not None]
    if not known:
        return None
    cells = level * sum(cells for _, cells in known) / len(known)
    # Of an index, also those between its leaves are entries.
    is_keyed = known[0][0] != _TABLE_LEAF
    between = level - 1 if is_keyed else 0
    follows = [gap for gaps in order for gap in gaps]
    return TreeSize(
        pages=round(pages + level),
        cells=round(cells + between),
        is_keyed=is_keyed,
        in_order=sum(0 < gap <= _NEAR for gap in follows) / len(follows) if follows else 0.0,
    )


def _kind_and_cells(file: FilePages, number: int) -> tuple[int, int] | None:
    start = 100 if number == 1 else 0
    try:
        page = file.read(number)
        return page[start], struct.unpack_from(">H", page, start + 3)[0]
    except ERRORS_OF_DAMAGE:
        return None


def _order(file: FilePages, number: int) -> list[int]:
    """How far the rows of the first entries of a leaf of an index are from each other; none of another page."""
    try:
        page = file.read(number)
        if page[0] != _INDEX_LEAF:
            return []
        entries = min(struct.unpack_from(">H", page, 3)[0], _ENTRIES)
        rows = [_rowid(page, at) for at in struct.unpack_from(f">{entries}H", page, _LEAF_HEADER)]
    except ERRORS_OF_DAMAGE:
        return []
    return [after - before for before, after in pairwise(rows) if before is not None and after is not None]


def _rowid(page: bytes, at: int) -> int | None:
    """That of an entry of an index, its last column; None for any other column, and if it is not on this page."""
    length, record = _varint(page, at)
    header, at = _varint(page, record)
    kind = 0
    while at < record + header:
        kind, at = _varint(page, at)
    size, end = _WHOLE_NUMBERS.get(kind), record + length
    return None if size is None or end > len(page) else int.from_bytes(page[end - size : end], "big", signed=True)


def opened_pages(descriptor: int, log: int | None, give_up: float) -> FilePages | None:
    """The pages of an open file; None if it is no database, or there is no time."""
    try:
        frames = None if log is None else frames_of(log, give_up)
        return None if log is not None and frames is None else pages_of(descriptor, frames)
    except ERRORS_OF_DAMAGE:
        return None


def free_pages_of(file: FilePages, give_up: float) -> bytearray | None:
    """By the number of a page whether it is free; None if the file is damaged, or there is no time."""
    try:
        return free_pages(file, give_up)
    except ERRORS_OF_DAMAGE:
        return None


def _internal_pages(file: FilePages) -> Iterator[int]:
    """The pages that SQLite keeps for itself."""
    lock_page = _LOCK_BYTE // file.size + 1
    if file.has_pointer_maps:
        for page in range(2, file.number + 1, file.usable // 5 + 1):
            yield page + (page == lock_page)
    yield lock_page


@frozen
class Tree:
    """The pages of a table or an index, without those of long values."""

    leaves: Sequence[int]
    """In the order of its rows."""
    leading: Sequence[int]
    """Those that lead to others."""
    damaged: Sequence[int]
    """Those that should lead to others, and do not."""
    is_whole: bool
    """Whether these are all."""


class Trees:
    """Finds the pages of tables and indexes, and which of them are out of order. No leaf page is read, but for a sample
    beside long values."""

    def __init__(self, file: FilePages, free: bytearray) -> None:
        """`free`: by the number of a page whether it is free."""
        self._file = file
        self._kinds = bytearray(free)

    def below(self, root: int, give_up: float) -> Tree:
        """The tree of a table or index; all its leaves are equally far from its first page."""
        level, leading, damaged = [root] if 0 < root <= self._file.number else [], list[int](), list[int]()
        seen = self._kinds
        for page in level:
            seen[page] = _LEAF
        for _ in range(_DEEPEST):
            if time.monotonic() > give_up:  # of very many tables, too, none is read any more
                break
            kinds = {_kind(self._file, page) for page in level[:_LOOKED_AT]}
            if kinds.isdisjoint(_LEADING):
                is_known = not level or not kinds.isdisjoint(_LEAVES)
                return self._tree(level, leading, damaged, is_whole=is_known and not damaged)
            leading += level
            following: list[int] = []
            for page in level:
                if time.monotonic() > give_up:
                    return self._tree([], leading, damaged, is_whole=False)
                children = _children(self._file, page)
                if not children:
                    damaged.append(page)
                for child in children:
                    if not seen[child]:  # only in a damaged file a page is led to again
                        seen[child] = _LEAF
                        following.append(child)
            level = following
        return self._tree([], leading, damaged, is_whole=False)

    def _tree(self, leaves: Sequence[int], leading: Sequence[int], damaged: Sequence[int], *, is_whole: bool) -> Tree:
        for page in leading:
            self._kinds[page] = _LEADS
        return Tree(array("I", leaves), array("I", leading), damaged, is_whole)

    def out_of_order(self, tree: Tree, give_up: float) -> Sequence[int]:
        """The leaf pages that do not follow the one with the rows or entries before theirs: call it when all trees are
        known. Pages that lead to leaves, and the long values of its own rows, may lie between."""
        jumps, beside_others = list[int](), list[tuple[int, int]]()
        find = self._kinds.find
        for before, after in pairwise(tree.leaves):
            if after == before + 1:
                continue
            if after < before or find(_LEAF, before + 1, after) >= 0:
                jumps.append(after)
            elif self._kinds.count(_LEADS, before + 1, after) < after - before - 1:
                beside_others.append((before, after))
        sample = beside_others[:: len(beside_others) // _SAMPLED + 1]
        own = sum(time.monotonic() < give_up and self._are_its_own(*pair) for pair in sample)
        return jumps if 2 * own >= len(sample) else jumps + [after for _, after in beside_others]

    def _are_its_own(self, before: int, after: int) -> bool:
        """Whether long values between two leaf pages belong to their rows."""
        return any(before < page < after for leaf in (before, after) for page in _long_values(self._file, leaf))


def _long_values(file: FilePages, number: int) -> Iterator[int]:
    """The first page of each long value in the rows or entries of a leaf page, as far as it is not damaged."""
    start = 100 if number == 1 else 0
    with suppress(*ERRORS_OF_DAMAGE):
        page = file.read(number)
        is_table = page[start] == _TABLE_LEAF
        most = file.usable - 35 if is_table else (file.usable - 12) * 64 // 255 - 23
        least = (file.usable - 12) * 32 // 255 - 23
        (cells,) = struct.unpack_from(">H", page, start + 3)
        for cell in struct.unpack_from(f">{cells}H", page, start + LEAF_HEADER):
            length, at = _varint(page, cell)
            if length > most:
                _, at = _varint(page, at) if is_table else (0, at)
                kept = least + (length - least) % (file.usable - 4)
                yield struct.unpack_from(">I", page, at + (kept if kept <= most else least))[0]


def _varint(page: bytes, at: int) -> tuple[int, int]:
    """A number of SQLite's variable length, and where it ends."""
    number = 0
    for end in range(at, at + 8):
        number = number << 7 | page[end] & 0x7F
        if page[end] < 0x80:
            return number, end + 1
    return number << 8 | page[at + 8], at + 9


def _kind(file: FilePages, page: int) -> int | None:
    """The first byte of the header of a page."""
    try:
        return file.read(page)[100 if page == 1 else 0]
    except ERRORS_OF_DAMAGE:
        return None


def _leads(file: FilePages, page: int) -> bool:
    return _kind(file, page) in _LEADING


def _children(file: FilePages, number: int) -> list[int]:
    """The pages that a page leads to; none if it is damaged."""
    start = 100 if number == 1 else 0
    try:
        page = file.read(number)
        if page[start] not in _LEADING:
            return []
        cells, last = struct.unpack_from(">H", page, start + 3)[0], struct.unpack_from(">I", page, start + 8)[0]
        at = struct.unpack_from(f">{cells}H", page, start + _LEADING_HEADER)
        children = [_CHILD(page, cell)[0] for cell in at]
        children.append(last)
    except ERRORS_OF_DAMAGE:
        return []
    is_sound = min(children) > 0 and max(children) <= file.number
    return children if is_sound else [child for child in children if 0 < child <= file.number]


def _fills(file: FilePages, pages: Sequence[int | None], give_up: float) -> list[float | None]:
    """How full the first of these pages are, as many as there is time for; None for a page that holds no rows."""
    fills = list[float | None]()
    for page in pages:
        if time.monotonic() > give_up:
            break
        fills.append(None if page is None else _fill(file, page))
    return fills


def _fill(file: FilePages, number: int) -> float | None:
    start = 100 if number == 1 else 0
    try:
        unused = unused_bytes(file.read(number), file.usable, start)
    except ERRORS_OF_DAMAGE:
        return None
    return None if unused is None else 1 - unused / (file.usable - start - LEAF_HEADER)
