"""How full the pages of a database file are, by a sample of them: quick at any size, and without dbstat.

Pages are read through a descriptor that SQLite itself opened (see `system/page_cache.py`). A sample
does not see pages that only the write-ahead log holds, and a page may change during the read: so this is an estimate.
"""

from __future__ import annotations

import os
import random
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from math import ceil
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.sqlite.reading.log_frames import LogFrames
from engine.targets.sqlite.system.page_cache import descriptors

SAMPLED: Final = 2_000
"""Pages of a sample: enough to know the share of unused bytes within a point, however large the file is."""
FEWER: Final = 1_000
"""The fewest pages of a sample, which are enough for a small file: its VACUUM is soon over."""
SHARE: Final = 50
"""One page in so many is sampled."""
_USUAL: Final = 4096
"""Bytes of a page; of larger ones fewer are sampled, because each holds more rows."""
FEWEST: Final = 250
"""Pages of a sample, however large they are."""
LONGEST: Final = 0.2
"""Seconds, for a file that is not in memory."""
_LEAST: Final = 100
"""Pages: fewer say too little."""
_KEYED_LEAF: Final = 0x0A
_LEAVES: Final = (0x0D, _KEYED_LEAF)
_INTERIOR: Final = (0x05, 0x02)
_FEW: Final = 8
"""Rows on a page: of so large ones it matters which come after each other."""
_STRETCHES: Final = 12
_STRETCH: Final = 64
_HEADER: Final = struct.Struct(">BHHHB")  # type, first free block, cells, where they begin, bytes of tiny gaps
LEAF_HEADER: Final = _HEADER.size
DAMAGED: Final = (OSError, IndexError, struct.error)
"""What reading a file raises that is damaged, or becomes shorter."""
_FILE_HEADER: Final = 100
_SMALLEST: Final = 512
_ALIKE: Final = 1.25
_LARGE: Final = 0.9  # of the cells: among those before the largest tenth
_CHANCE: Final = random.Random()  # noqa: S311 - no secret


@frozen
class FilePages:
    """The pages of a database file that is open."""

    descriptor: int
    size: int
    """Bytes of a page."""
    usable: int
    """Bytes of a page that SQLite uses."""
    number: int
    first_free: int
    """The page that begins the list of free pages; 0 without any."""
    has_pointer_maps: bool = False
    """Whether auto_vacuum is on."""
    log: LogFrames | None = None
    """The pages that only the write-ahead log holds; None: these are left out."""

    def read(self, page: int) -> bytes:
        logged = None if self.log is None else self.log.read(page, self.size)
        return os.pread(self.descriptor, self.size, (page - 1) * self.size) if logged is None else logged


@frozen
class PageFill:
    """What a sample says of the pages that are not free."""

    packed: float
    """The share of them that remains when VACUUM has packed them."""
    unused: float
    """The share of their bytes that is unused."""
    cells: float
    """Rows and entries of indexes on a page, on average."""
    keyed: float
    """The share of them that holds entries of indexes, or rows without rowid."""
    values: float
    """The share of them that holds only parts of long values."""


def fill_of(path: str) -> PageFill | None:
    """How full the pages of the database at `path` are; see `sampled_fill`.

    Call it in the thread of a connection to the database, which so stays open.
    """
    opened = descriptors(path)
    return sampled_fill(opened[0]) if opened else None


def sampled_fill(descriptor: int, chance: random.Random = _CHANCE) -> PageFill | None:
    """How full the pages of the database open as `descriptor` are; None if it is small or damaged, or time is short."""
    give_up = time.monotonic() + LONGEST
    try:
        file = pages_of(descriptor)
        free = None if file is None else free_pages(file, give_up)
        if file is None or free is None:
            return None
        return _fill(_sample(file, free, give_up, chance), _stretches(file, free, give_up, chance), file.usable)
    except DAMAGED:
        return None


def pages_of(descriptor: int, log: LogFrames | None = None) -> FilePages | None:
    """The pages of a file; None if it holds no database. Raises as in DAMAGED."""
    logged = None if log is None else log.read(1, _FILE_HEADER)
    header = os.pread(descriptor, _FILE_HEADER, 0) if logged is None else logged
    page_size = int.from_bytes(header[16:18], "big")
    page_size = 65_536 if page_size == 1 else page_size
    if page_size < _SMALLEST:
        return None
    # A damaged file may claim any number.
    pages, most = int.from_bytes(header[28:32], "big"), os.fstat(descriptor).st_size // page_size
    if log is not None and log.number:
        pages, most = log.number, most + len(log.places)
    pages = min(pages, most)
    return FilePages(
        descriptor=descriptor,
        size=page_size,
        usable=page_size - header[20],
        number=pages,
        first_free=int.from_bytes(header[32:36], "big"),
        has_pointer_maps=any(header[52:56]),
        log=log,
    )


def free_pages(file: FilePages, give_up: float) -> bytearray | None:
    """By the number of a page whether it is free: SQLite lists them in a chain of pages. None if there is no time.

    Raises as in DAMAGED.
    """
    free = bytearray(file.number + 1)
    trunk = file.first_free
    while trunk:
        if free[trunk] or time.monotonic() > give_up:
            return None
        page = file.read(trunk)
        following, number = struct.unpack_from(">II", page)
        free[trunk] = 1
        for leaf in struct.unpack_from(f">{number}I", page, 8):
            free[leaf] = 1
        trunk = following
    return free


def _sample(file: FilePages, free: bytearray, give_up: float, chance: random.Random) -> Iterator[bytes]:
    """Pages that are in use, evenly spread; all in random order, so that the first ones are a sample, too."""
    number = min(max(file.number // SHARE, FEWER), SAMPLED)
    number = min(max(round(number * min(_USUAL / file.size, 1)), FEWEST), file.number - 1)
    places = [2 + int((place + chance.random()) * (file.number - 1) / number) for place in range(number)]
    chance.shuffle(places)
    for place in places:
        if time.monotonic() > give_up:
            return
        if not free[place]:
            yield file.read(place)


def _stretches(file: FilePages, free: bytearray, give_up: float, chance: random.Random) -> Iterator[bytes]:
    """Pages that are in use, many in a row: as tables grow, the next rows are mostly on the next page."""
    for _ in range(_STRETCHES):
        first = chance.randint(1, max(file.number - _STRETCH, 1))
        for page in range(first, min(first + _STRETCH, file.number + 1)):
            if time.monotonic() > give_up:
                return
            if not free[page]:
                yield file.read(page)


def _fill(sample: Iterator[bytes], stretches: Iterator[bytes], usable: int) -> PageFill | None:
    """`stretches` is used only where rows are large."""
    pages = interior = leaves = keyed = with_few = unused = number = 0
    packed, room = 0.0, usable - LEAF_HEADER
    for page in sample:
        pages += 1
        cells = leaf_cells(page, usable)
        if cells is None:
            interior += page[0] in _INTERIOR
            continue
        leaves += 1
        keyed += page[0] == _KEYED_LEAF
        unused += room - sum(cells)
        number += len(cells)
        if len(cells) > _FEW:
            packed += len(cells) / _on_a_page(room, cells)
        else:
            with_few += bool(cells)
    if pages < _LEAST:
        return None
    if with_few:
        packed += with_few * _large_packed(stretches, usable)
    others = pages - leaves - interior  # of long values, which are full but for the last of each
    left = packed + others + interior * (packed / leaves if leaves else 1.0)
    return PageFill(
        packed=left / pages,
        unused=unused / pages / usable,
        cells=number / pages,
        keyed=keyed / pages,
        values=others / pages,
    )


def leaf_cells(page: bytes, usable: int) -> Sequence[int] | None:
    """The bytes that each row or entry of a leaf page takes, with its place in the list; None for any other page.

    Raises as in DAMAGED.
    """
    kind, block, cells, begin, _ = _HEADER.unpack_from(page)
    if kind not in _LEAVES or not _HEADER.size + 2 * cells <= (begin or 65_536) <= usable:
        return None
    starts = struct.unpack_from(f">{cells}H", page, _HEADER.size)
    blocks = []
    while block:
        blocks.append(block)
        (following,) = struct.unpack_from(">H", page, block)
        if following and following <= block:
            return None
        block = following
    ends = sorted([*starts, *blocks, usable])
    after = dict(pairwise([*ends, usable]))
    lengths = [after[start] - start + 2 for start in starts]
    return lengths if sum(lengths) <= usable - LEAF_HEADER else None


def unused_bytes(page: bytes, usable: int, start: int) -> int | None:
    """The bytes of a leaf page that no row or entry takes; None for any other page. `start`: of its header.

    Raises as in DAMAGED.
    """
    kind, block, cells, begin, tiny_gaps = _HEADER.unpack_from(page, start)
    if kind not in _LEAVES:
        return None
    unused = (begin or 65_536) - start - LEAF_HEADER - 2 * cells + tiny_gaps
    while block:
        following, length = struct.unpack_from(">HH", page, block)
        unused += length
        if following and following <= block:
            return None
        block = following
    return unused if 0 <= unused <= usable - start - LEAF_HEADER else None


def _on_a_page(room: int, cells: Sequence[int]) -> float:
    """How many cells fill a page: of one size as many as fit, of mixed sizes half a one less, on average."""
    average = sum(cells) / len(cells)
    large = sorted(cells)[ceil(_LARGE * len(cells)) - 1]
    return max(1.0, float(int(room / average)) if large <= _ALIKE * average else room / average - 0.5)


def _large_packed(stretches: Iterator[bytes], usable: int) -> float:
    """The share of pages with large rows that remains when they are packed. A row that is on the next page because it
    did not fit stays there."""
    found = (leaf_cells(page, usable) for page in stretches if 0 < _HEADER.unpack_from(page)[2] <= _FEW)
    large = [cells for cells in found if cells]
    return _filled(chain.from_iterable(large), usable - LEAF_HEADER) / len(large) if large else 1.0


def _filled(cells: Iterable[int], room: int) -> float:
    """How many pages cells fill, one after the other: of large ones, far more than their bytes say."""
    pages, left = 0, 0
    for cell in cells:
        if cell > left:
            pages, left = pages + 1, room
        left -= cell
    return pages - left / room
