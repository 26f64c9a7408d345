"""What a rebuild of a table gives back, from its pages and from sampled rows: pure functions.

DATA_FREE of InnoDB counts extents without any page, and knows nothing of pages that are half empty; that of Aria is 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.samples import ARIA_PAGE, PAGE, Sample
from engine.targets.mysql.reading.tables import Index, Part, Table

_PAGE_OVERHEAD: Final = 128
_KEPT_FREE: Final = PAGE // 16
"""Bytes that stay free on each page of a clustered index that is built in order."""
_HEADER: Final = 5
_DIRECTORY: Final = 0.4
"""Bytes of a record in the directory of its page."""
_HIDDEN: Final = 13
"""Transaction id and roll pointer of a row."""
_ROW_ID: Final = 6
"""Instead of a primary key."""
_EXTENT: Final = 64
"""Pages. An index has half of one more than it needs, on average."""
_SPARE: Final = 1.1
"""Rebuilt pages and extents are not quite full."""
_ARIA_ROW: Final = 12
"""Bytes of a row beside its values, with its entry in the directory of the page."""
_SHORTEST_ARIA_ROW: Final = 39
_ARIA_PAGE_OVERHEAD: Final = 16
_ARIA_FULL: Final = ((0.9, 0.1), (0.6, 0.4), (0.3, 0.7))
"""How full a page may be, at most, to be given a row that takes such a share of a page."""
_KEPT_AHEAD: Final = {Flavor.MARIADB: 1024**2, Flavor.MYSQL: 6 * 1024**2}
"""Bytes without a page that a file has after a rebuild."""


def gain(part: Part, table: Table, samples: Sequence[Sample], flavor: Flavor) -> int:
    """Bytes that a rebuild of a table or partition of InnoDB, or in pages of Aria, gives back."""
    if table.is_in_aria_pages:
        return max(part.data_bytes - round(_SPARE * _aria_bytes(part.rows, samples)), 0)
    pages = round(_SPARE * rebuilt_bytes(part, table, samples))
    if part.disk_bytes is None or flavor is Flavor.MARIADB:  # which keeps nothing of free pages
        return max(part.allocated_bytes - pages - _KEPT_AHEAD[flavor], 0)
    share = 1 - (pages + _KEPT_AHEAD[flavor]) / (part.file_bytes or 1)
    return max(round(part.disk_bytes * share), 0)


def _aria_bytes(rows: int, samples: Sequence[Sample]) -> int:
    """The size of the data of a table of Aria after a rebuild.

    Aria adds a row to a page of which it knows only that it is at least so empty as the row needs.
    """
    row = max(sum(one.inline for one in samples) + _ARIA_ROW, _SHORTEST_ARIA_ROW)
    usable = ARIA_PAGE - _ARIA_PAGE_OVERHEAD
    full = next((full for full, room in _ARIA_FULL if row <= room * usable), 0.0)
    on_a_page = max(min(math.floor(full * usable / row) + 1, math.floor(usable / row)), 1)
    return (math.ceil(rows / on_a_page) + math.ceil(rows * sum(one.pages for one in samples))) * ARIA_PAGE


def rebuilt_bytes(part: Part, table: Table, samples: Sequence[Sample]) -> int:
    """The size of the pages of a table or partition after a rebuild."""
    by_name = {sample.column.name: sample for sample in samples}
    stored = [sample for sample in samples if sample.column.is_stored]
    key = [name for name in table.primary_key if name in by_name]
    row = _HIDDEN + (0 if key else _ROW_ID) + _entry(stored, table.row_format)
    pages = _pages(part.rows, row, PAGE - _KEPT_FREE) + math.ceil(part.rows * sum(one.pages for one in stored))
    for index in table.indexes:
        if index.is_tree and not index.is_primary:
            pages += _pages(part.rows, _index_entry(index, key, by_name, table.row_format), PAGE)
    return pages * PAGE


def _index_entry(index: Index, key: Sequence[str], samples: Mapping[str, Sample], row_format: str) -> float:
    own = [name for name, _ in index.columns]
    whole = [samples[name] for name in [*own, *(name for name in key if name not in own)] if name in samples]
    cut = sum(max(samples[name].inline - prefix, 0) for name, prefix in index.columns if prefix and name in samples)
    return _entry(whole, row_format) - cut + (0 if key else _ROW_ID)


def _entry(samples: Sequence[Sample], row_format: str) -> float:
    values = sum(one.inline for one in samples)
    if row_format == "Redundant":
        return values + _HEADER + 1 + len(samples) * (2 if values > 127 else 1)
    nulls = (sum(one.column.is_nullable for one in samples) + 7) // 8
    lengths = sum(2 if one.inline > 127 else 1 for one in samples if one.column.fixed_width is None)
    return values + _HEADER + nulls + lengths


def _pages(rows: int, entry: float, usable: int) -> int:
    on_a_page = max(math.floor((usable - _PAGE_OVERHEAD) / (entry + _DIRECTORY)), 2)
    leaves = math.ceil(rows / on_a_page)
    return leaves + 1 + leaves // 200 + (_EXTENT // 2 if leaves > _EXTENT else 0)
