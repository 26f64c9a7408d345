"""How much of a table or of an index is dead space: pure functions.

From the statistics of the server alone, and more exactly from what rows take on some of its pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engine.targets.postgres.advising.page_contents import GinEntries, Rows, aligned, equal_keys
from engine.targets.postgres.reading.pages import ITEM_POINTER, PAGE, PAGE_HEADER
from engine.targets.postgres.reading.shapes import HashShape, IndexShape, TableShape, ToastShape, TreeShape

_SPECIAL: Final = 16
_ROOM: Final = PAGE - PAGE_HEADER - _SPECIAL
"""Bytes of items on a page of an index."""
_NULL: Final = 16
"""Bytes of an item without a key."""
_EQUAL: Final = 1.6
"""From so many rows of each key on it is counted once."""
_INNER_FILL: Final = 0.7
FULL_CHUNK: Final = 2036
"""Bytes of a full item of a TOAST table: four fit into a page."""
_LEAST_CHUNK: Final = 64


def table_share(table: TableShape) -> float:
    """The share of the table, from 0 to 1, that a rewrite would give back."""
    header = 23 + (table.columns + 7) // 8 * any(table.null_shares)
    data = values_bytes(table.widths, table.alignments, table.null_shares)
    row = aligned(header) + data + ITEM_POINTER
    rows_on_a_page = max(math.floor((PAGE - PAGE_HEADER) * table.fill_factor / row), 1)
    return _share(math.ceil(table.rows / rows_on_a_page), table.pages)


def values_bytes(widths: Sequence[float], alignments: Sequence[int], null_shares: Sequence[float]) -> float:
    """Bytes of the values of a row on average, with the padding before those that begin at a multiple of bytes, and
    after the last.

    Values of variable length count as if all had their average.
    """
    total = 0.0
    place: int | None = 0
    """How far the row has come, modulo 8; None: that differs from row to row, and is a multiple of `grain`."""
    grain = 8
    for width, align, null_share in zip([*widths, 0.0], [*alignments, 8], [*null_shares, 0.0], strict=True):
        if null_share == 1:
            continue
        padding = max(align - grain, 0) / 2 if place is None else -place % align
        total += (1 - null_share) * (padding + width)
        before = min(grain, align) if null_share else max(grain, align)
        if null_share or (place is None and align < 8):
            place, grain = None, min(before, _grain(round(width)))
        else:
            place = ((0 if place is None else place + round(padding)) + round(width)) % 8
            grain = _grain(place)
    return total


def _grain(bytes_: int) -> int:
    """The greatest of 1, 2, 4 and 8 that it is a multiple of."""
    return min(bytes_ & -bytes_, 8) or 8


def toast_share(toast: ToastShape, chunk: float = FULL_CHUNK) -> float:
    """The share of a TOAST table that a rewrite gives back. `chunk`: bytes of a row."""
    return _share(math.ceil(toast.chunks * chunk / (PAGE - PAGE_HEADER)), toast.pages)


def toast_share_at_most(toast: ToastShape) -> float:
    return _share(math.ceil(toast.chunks * _LEAST_CHUNK / (PAGE - PAGE_HEADER)), toast.pages)


def tree_share(tree: TreeShape) -> float | None:
    """The share of the index that a rebuild would give back; None where its columns have no statistics.

    Of a partial index at most so much: whether its rows have NULLs is not known.
    """
    if not tree.is_known:
        return None
    null_shares = [0.0 for _ in tree.null_shares] if tree.is_partial else tree.null_shares
    all_null = math.prod(null_shares)
    rows, nulls = max(tree.rows * (1 - all_null), 1.0), tree.rows * all_null
    others = [(share - all_null) / (1 - all_null) if all_null < 1 else 0.0 for share in null_shares]
    header = 8 + 8 * (1 - math.prod(1 - share for share in others))  # with a NULL among its values
    size = header + values_bytes(tree.widths, tree.alignments, others)
    distinct = min(max(tree.distinct, 1.0), rows)
    if tree.deduplicates and rows / distinct > _EQUAL:
        items, taken = (distinct * number for number in equal_keys(rows / distinct, size))
    else:
        items, taken = rows, rows * (size + ITEM_POINTER)
    of_null, each = equal_keys(nulls, _NULL) if tree.deduplicates else (nulls, nulls * (_NULL + ITEM_POINTER))
    if nulls:
        items, taken = items + of_null, taken + each
    return _share(_tree_pages(taken, taken / items, size + ITEM_POINTER, tree.fill_factor), tree.pages)


def tree_share_at_most(tree: TreeShape) -> float:
    """What its keys cannot make worse: each row takes its pointer at least."""
    return _share(math.ceil(tree.rows * (6 if tree.deduplicates else 20) / (_ROOM * tree.fill_factor)), tree.pages)


def tree_share_if_correlated(tree: TreeShape) -> float | None:
    """Like `tree_share`, if the column with most values decides the others: statistics do not say whether it does."""
    return tree_share(replace(tree, distinct=min(tree.distinct, tree.distinct_at_least)))


def sampled_tree_share(tree: TreeShape, rows: Rows) -> float:
    taken = tree.rows * rows.row_bytes
    return _share(_tree_pages(taken, rows.item_bytes, rows.key_bytes, tree.fill_factor), tree.pages)


def _tree_pages(taken: float, item: float, key: float, fill_factor: float) -> int:
    """Pages of a rebuilt B-tree. The item that brings a page to its fill factor goes to the next page."""
    on_a_page = max(math.ceil((_ROOM - PAGE * (1 - fill_factor)) / item) - 1, 1)
    leaves = math.ceil(taken / item / on_a_page)
    return 1 + leaves + _inner_pages(leaves, key)


def _inner_pages(leaves: int, item: float) -> int:
    return math.ceil(leaves / max(_ROOM * _INNER_FILL / item - 1, 1)) if leaves > 1 else 0


# How full a rebuild makes the leaves, by operator class: with a function to sort by, and without.
_GIST_FILL: Final = {"range_ops": (0.85, 0.45), "point_ops": (0.67, 0.67), "tsvector_ops": (0.84, 0.84)}
_GIST_FILL_OTHERWISE: Final = (0.99, 0.63)
_GIST_PACKED: Final = 0.9


def gist_share(index: IndexShape, rows: Rows) -> float:
    """How full a rebuild makes it depends on the kind of its keys, and for others than these is a guess."""
    sorted_fill, fill = _GIST_FILL.get(index.operators, _GIST_FILL_OTHERWISE)
    if index.is_sorted:
        fill = _GIST_PACKED if index.is_packed else sorted_fill
    leaves = math.ceil(index.rows * rows.row_bytes / (_ROOM * fill))
    return _share(leaves + _inner_pages(leaves, rows.item_bytes), index.pages)


# How full a rebuild of SP-GiST makes the pages, inner ones included, by operator class: as measured of many.
_SPGIST_FILL: Final = {"kd_point_ops": 0.69, "text_ops": 0.82, "inet_ops": 0.7}
_SPGIST_FILL_OTHERWISE: Final = 0.77


def spgist_share(index: IndexShape, rows: Rows) -> float:
    fill = _SPGIST_FILL.get(index.operators, _SPGIST_FILL_OTHERWISE)
    return _share(math.ceil(1 + index.rows * rows.row_bytes / (_ROOM * fill)), index.pages)


_INLINE: Final = 2700
"""Bytes of row pointers beside their key; more are on pages of their own."""
_GIN_ROOM: Final = PAGE - PAGE_HEADER - 8


_POINTER: Final = 1.5
"""Bytes of a row pointer beside others of its key."""


def gin_share(index: IndexShape, found: GinEntries, sampled: int) -> float:
    """`found`: on so many pages. Keys come in order, so that a rebuild leaves their pages half full, and those of large
    items a bit fuller.
    """
    whole = (index.pages - 1) / sampled
    items, taken, trees, data = (whole * number for number in (found.items, found.bytes, found.trees, found.data_bytes))
    if (left := index.share_left) < 1 and items > trees:  # a key goes with the last of its rows
        rows = whole * found.inline_rows
        kept = 1 - (1 - left) ** (rows / (items - trees))
        taken = max(taken - _POINTER * rows * max(1 - left / kept, 0), 0.0) * kept
        items, data = trees + (items - trees) * kept, data * left
    list_bytes = data / trees if trees else 0.0
    data_pages = 0.0
    if list_bytes < _INLINE:
        taken += data
    else:
        in_pages = list_bytes / _GIN_ROOM
        data_pages = trees * (1 if in_pages <= 1 else in_pages / 0.97 + 1.5)
    item = taken / items if items else 0.0
    leaves = taken / (_GIN_ROOM * (0.5 + 0.14 * item**2 / (item**2 + 120**2)))  # as measured of many
    return _share(math.ceil(1 + data_pages + leaves + leaves * 2 * item / _GIN_ROOM), index.pages)


_HASH_ITEM: Final = 20
_HASH_PAGE_ITEMS: Final = _ROOM // _HASH_ITEM
_ONE_PHASE: Final = 512
"""Up to so many buckets their number is doubled at once, above in four parts."""


def hash_share(index: HashShape) -> float:
    rows, in_bucket = max(index.rows, 1.0), max(PAGE * index.fill_factor // _HASH_ITEM, 10)
    least = max(math.ceil(rows / in_bucket), 2)
    doubled = 2 ** math.ceil(math.log2(least))
    part = doubled if doubled <= _ONE_PHASE else doubled // 8
    buckets = math.ceil(least / part) * part
    keys = min(max(index.distinct, 1.0), rows)
    if keys < buckets:
        overflow = keys * max(math.ceil(rows / keys / _HASH_PAGE_ITEMS) - 1, 0)
    else:  # those that are not split yet have twice the rows of others
        unsplit = doubled - buckets
        overflow = unsplit * _overflow(2 * rows / doubled, rows / keys)
        overflow += (buckets - unsplit) * _overflow(rows / doubled, rows / keys)
    return _share(math.ceil(2 + buckets + overflow), index.pages)


def _overflow(rows: float, at_once: float) -> float:
    """Pages that a bucket needs beside its first. `rows`: its rows on average; `at_once`: rows with the same key."""
    spread = math.sqrt(2 * rows * at_once)
    more = math.ceil((rows + 2 * spread) / _HASH_PAGE_ITEMS)
    return sum(math.erfc((page * _HASH_PAGE_ITEMS - rows) / spread) / 2 for page in range(1, more + 1))


def _share(needed: int, pages: int) -> float:
    return max(1 - needed / pages, 0.0) if pages else 0.0
