"""How much of a table or of a B-tree is dead space, estimated from statistics: pure functions.

The B-tree one knows deduplication (PostgreSQL 13 and later), without which an index with many equal keys looks far
smaller than it could ever be.
"""

from __future__ import annotations

import math
from typing import Final

from engine.targets.postgres.reading.condition import TableShape, TreeShape

PAGE: Final = 8192
_PAGE_HEADER: Final = 24
_TREE_SPECIAL: Final = 16
_ITEM_POINTER: Final = 4
_POSTING_TIDS: Final = 216
"""Row pointers in one posting list, of 6 bytes each."""


def table_share(table: TableShape) -> float:
    """The share of the table, from 0 to 1, that a rewrite would give back."""
    header = 23 + (table.columns + 7) // 8 * table.has_nulls
    row = _aligned(header) + _aligned(table.width) + _ITEM_POINTER
    rows_on_a_page = max(math.floor((PAGE - _PAGE_HEADER) * table.fill_factor / row), 1)
    return _share(math.ceil(table.rows / rows_on_a_page), table.pages)


def tree_share(tree: TreeShape) -> float | None:
    """The share of the index that a rebuild would give back; None where its columns have no statistics.

    Of a partial index at most so much: whether its rows have NULLs is not known.
    """
    if not tree.is_known:
        return None
    null_share = 0.0 if tree.is_partial else tree.null_share
    item = _aligned(8 + 8 * tree.has_nulls + tree.width) + _ITEM_POINTER
    rows = max(tree.rows * (1 - null_share), 1.0)
    distinct = min(max(tree.distinct, 1.0), rows)
    if tree.deduplicates and rows / distinct > 1.6:
        needed = math.ceil(rows / distinct / _POSTING_TIDS) * distinct * item + rows * 6
    else:
        needed = rows * item
    needed += tree.rows * null_share * (6.1 if tree.deduplicates else item)
    pages = 1 + math.ceil(1.005 * needed / ((PAGE - _PAGE_HEADER - _TREE_SPECIAL) * tree.fill_factor))
    return _share(pages, tree.pages)


def _aligned(width: float) -> int:
    return 8 * math.ceil(width / 8)


def _share(needed: int, pages: int) -> float:
    return max(1 - needed / pages, 0.0) if pages else 0.0
