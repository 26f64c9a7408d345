"""Bytes that rows take after a rewrite, computed from some pages of an index or of a TOAST table. Pure."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.reading.pages import ITEM_POINTER, PAGE, PAGE_HEADER, Page

_TUPLE_HEADER: Final = 8
_ROW_POINTER: Final = 6
_MOST_OF_POSTING: Final = 812
"""Bytes of one item with the pointers of many rows, as CREATE INDEX makes it."""


@frozen
class Rows:
    """The rows on some pages."""

    number: int
    bytes: float
    """Bytes that the rows take with their item pointers after a rewrite."""
    items: float
    """How many items hold the rows after a rewrite."""
    key_bytes: float
    """Bytes of an item with one row, on average."""

    @property
    def row_bytes(self) -> float:
        return self.bytes / self.number

    @property
    def item_bytes(self) -> float:
        return self.bytes / self.items


def chunk_bytes(pages: Sequence[Page]) -> float | None:
    """What a row of a TOAST table takes, with what stays free as none fits into it; None where there is none."""
    sizes = _sizes(pages)
    if not sizes:
        return None
    room = PAGE - PAGE_HEADER
    filled, left = 0, 0
    for size in sizes:
        if left < size:  # as a rewrite fills them: it never goes back to an earlier page
            filled, left = filled + 1, room
        left -= size
    return (filled * room - left) / len(sizes)


def gist_rows(pages: Sequence[Page]) -> Rows | None:
    sizes = _sizes([page for page in pages if page.number("H", page.special + 12) & 0b11 == 1])
    return Rows(len(sizes), sum(sizes), len(sizes), sum(sizes) / len(sizes)) if sizes else None


def spgist_rows(pages: Sequence[Page]) -> Rows | None:
    sizes = _sizes([page for page in pages if page.number("H", page.special) & 0b101 == 0b100], is_live=_is_live_leaf)
    return Rows(len(sizes), sum(sizes), len(sizes), sum(sizes) / len(sizes)) if sizes else None


def _is_live_leaf(item: bytes) -> bool:
    return item[0] & 0b11 == 0


def gist_rows_of(number: int, size: int) -> Rows | None:
    """Those of a whole index. `size`: their bytes, without item pointers."""
    total = size + number * ITEM_POINTER
    return Rows(number, total, number, total / number) if number else None


def _sizes(pages: Sequence[Page], is_live: Callable[[bytes], bool] = lambda _: True) -> list[int]:
    """Bytes of each item, with its pointer."""
    return [aligned(len(item)) + ITEM_POINTER for page in pages for item in page.items() if is_live(item)]


def tree_rows(pages: Sequence[Page], *, deduplicates: bool) -> Rows | None:
    """The rows on pages of a B-tree. `deduplicates`: equal keys are stored once."""
    number = keys = of_keys = 0
    total = items = 0.0
    for page in pages:
        following, flags = page.number("I", page.special + 4), page.number("H", page.special + 12)
        if flags & 0b11101 != 1:  # no leaf, or none that is in use
            continue
        entries = [_tree_entry(item) for item in page.items()][1 if following else 0 :]
        for (_, _, size), same in groupby(entries, key=lambda entry: entry[:3]):
            rows = sum(entry[3] for entry in same)
            in_items, taken = equal_keys(rows, size) if deduplicates else (rows, rows * (size + ITEM_POINTER))
            number, total, items = number + rows, total + taken, items + in_items
            keys, of_keys = keys + 1, of_keys + size + ITEM_POINTER
    return Rows(number, total, items, of_keys / keys) if number else None


def _tree_entry(item: bytes) -> tuple[bool, bytes, int, int]:
    """Whether it has NULLs, its key, the bytes of an item with that key and one row, and how many rows it has."""
    high, low, position, info = struct.unpack_from("<HHHH", item)
    is_posting = info & 0x2000 and position & 0x2000
    size = min(high << 16 | low if is_posting else info & 0x1FFF, len(item))
    return bool(info & 0x8000), item[_TUPLE_HEADER:size], size, position & 0x0FFF if is_posting else 1


def equal_keys(rows: float, size: float) -> tuple[float, float]:
    """How many items rows with one key make in a B-tree, and what they take. `size`: of an item with one row.

    Items are counted by their share, as a page may hold only a part of these rows.
    """
    if rows <= 1:
        return 1, size + ITEM_POINTER
    items = max(rows / max((_MOST_OF_POSTING - size) // _ROW_POINTER, 1), 1.0)
    return items, items * (size + ITEM_POINTER) + aligned(rows * _ROW_POINTER)


@frozen
class GinEntries:
    """The keys on some pages of a GIN index, and the row pointers that they refer to."""

    items: int
    """Keys that have rows."""
    bytes: int
    """What the keys take, with the row pointers that are stored beside them."""
    trees: int
    """Keys whose row pointers are on pages of their own."""
    data_bytes: int
    """What the row pointers on pages of their own take."""
    inline_rows: int = 0
    """Row pointers that are stored beside their keys."""


_GIN_TREE: Final = 0xFFFF


def gin_entries(pages: Sequence[Page]) -> GinEntries:
    items = total = trees = data = inline_rows = 0
    for page in pages:
        match page.number("H", page.special + 6) & 0b11111:
            case 0b00010:
                for item in page.items():
                    rows = int.from_bytes(item[4:6], "little")
                    if rows:
                        items, total = items + 1, total + aligned(len(item)) + ITEM_POINTER
                        trees += rows == _GIN_TREE
                        inline_rows += rows if rows != _GIN_TREE else 0
            case 0b00011:
                data += max(page.lower - 32, 0)
    return GinEntries(items, total, trees, data, inline_rows)


def aligned(size: float) -> int:
    return 8 * math.ceil(size / 8)
