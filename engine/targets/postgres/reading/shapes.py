"""Sizes, rows and widths of tables and indexes by the catalog and its statistics: inputs of estimates of dead space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from engine.domain.frozen import frozen


@frozen
class TableShape:
    """Inputs of the estimate of a table's dead space."""

    oid: int
    pages: int
    rows: float
    columns: int
    fill_factor: float
    widths: Sequence[float]
    """Bytes of each column that has statistics, on average, in the order of the row."""
    alignments: Sequence[int]
    """The multiples of bytes at which these columns begin: 1, 2, 4 or 8."""
    null_shares: Sequence[float]
    """The share of NULLs in each of these columns."""


@frozen
class TreeShape:
    """Inputs of the estimate of a B-tree's dead space."""

    oid: int
    pages: int
    rows: float
    widths: Sequence[float]
    """Of each column, as those of a table."""
    alignments: Sequence[int]
    null_shares: Sequence[float]
    distinct: float
    fill_factor: float
    deduplicates: bool
    is_known: bool
    """Whether every column has statistics."""
    is_partial: bool = False
    """Whether it holds only some rows of its table; the statistics are of all rows."""
    rows_left: float | None = None
    """The rows after the next VACUUM, where much has changed since the last one; None where not."""
    pages_now: int | None = None
    distinct_at_least: float = 0.0
    """The distinct values of the column with most of them: if the others depend on it, there are no more keys."""

    @property
    def is_expected(self) -> bool:
        """Whether this is what the next VACUUM is expected to leave."""
        return self.rows == self.rows_left

    @property
    def after_vacuum(self) -> TreeShape:
        """What the catalog will say of it then."""
        rows = self.rows if self.rows_left is None else self.rows_left
        return replace(self, rows=rows, pages=self.pages if self.pages_now is None else self.pages_now)


@frozen
class ToastShape:
    """Inputs of the estimate of a TOAST table's dead space, and of its index."""

    table: int
    """The oid of the table that it belongs to."""
    oid: int
    pages: int
    chunks: float
    index: int
    index_pages: int
    index_rows: float

    @property
    def tree(self) -> TreeShape:
        """Its index: a key is the number of a value and of a chunk."""
        rows = self.index_rows
        return TreeShape(self.index, self.index_pages, rows, [4, 4], [4, 4], [0, 0], rows, 0.9, False, True)


@frozen
class IndexShape:
    """Inputs of the estimate of the dead space of a GIN, GiST or SP-GiST index."""

    oid: int
    method: str
    operators: str
    """The operator class of its first key."""
    is_sorted: bool
    """Whether its operator classes can sort, so that GiST packs what it builds."""
    pages: int
    rows: float
    is_packed: bool = False
    """Whether GiST, where it sorts, fills each page: before PostgreSQL 15."""
    is_unlogged: bool = False
    share_left: float = 1.0
    """The share of the rows that the next VACUUM leaves, where much has changed since the last one."""


@frozen
class HashShape:
    """Inputs of the estimate of a hash index's dead space."""

    oid: int
    pages: int
    rows: float
    distinct: float
    fill_factor: float


LEAST_PAGES: Final = 128
"""Smaller tables and indexes (1 MB) are not estimated."""
