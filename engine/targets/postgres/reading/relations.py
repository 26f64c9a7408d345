"""Tables and indexes as the catalog has them, without a lock on any of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import Named, shown
from engine.targets.postgres.queries import query

LEFTOVER: Final = r"_cc(new|old)[0-9]*$"
"""The suffix of an index that a failed REINDEX CONCURRENTLY leaves behind."""
OLD: Final = r"_ccold[0-9]*$"
"""The suffix of the old index, where a failed REINDEX CONCURRENTLY leaves that behind."""


@frozen
class Table(Named):
    """A table, a materialized view, or a partitioned table, which has no rows of its own."""

    oid: int
    schema: str
    name: str
    kind: str
    """`r`, `m` or `p`; `f` where a foreign table was named."""
    pages: int
    """Pages of table and TOAST table, by the last VACUUM or ANALYZE; measured if there was none."""
    rows: float
    index_pages: int
    indexes: int
    in_catalog: bool
    has_children: bool
    may_be_maintained: bool
    clustered_by: str | None
    dead_rows: int = 0
    """Dead rows, as far as the server has counted them."""
    visible_share: float = 0.0
    """The share of all-visible pages, by the last VACUUM or ANALYZE."""
    is_counted: bool = True
    """Whether the server knows its number of dead rows: not after a crash or a reset of counters."""
    toast_pages: int | None = None
    """None where it has no TOAST table."""

    @property
    def dead_share(self) -> float:
        return self.dead_rows / (self.rows + self.dead_rows) if self.dead_rows else 0.0

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @property
    def is_foreign(self) -> bool:
        return self.kind == "f"


@frozen
class Index(Named):
    """An index of a table or of its TOAST table."""

    oid: int
    schema: str
    name: str
    table_oid: int
    table_schema: str
    table: str
    """The owning table of a TOAST index."""
    pages: int
    table_pages: int
    method: str
    is_valid: bool
    is_exclusion: bool
    of_toast: bool
    is_leftover: bool
    in_catalog: bool
    may_be_maintained: bool
    sorts_text: bool = False
    """Whether its first key is compared by the rules of a language."""
    goes_with_its_table: bool = False
    """Whether this is a TOAST index that the role may rebuild only together with its table, as it may not name it."""
    is_unique: bool = False
    is_ready: bool = True
    """Whether writes maintain it."""
    rows: float = 0.0
    """The rows in it, by the catalog: for GIN, which counts words after a rebuild, those of its table. 0 or less where
    they are not known yet, as of an index as old as its table before VACUUM or ANALYZE."""

    @property
    def is_counted(self) -> bool:
        """Whether the catalog knows of rows in it."""
        return self.rows > 0

    @property
    def is_estimated(self) -> bool:
        """Whether statistics tell how large it should be."""
        return self.method in {"btree", "hash"}

    @property
    def could_not_be_built(self) -> bool:
        """Whether a rebuild would fail again because of duplicates."""
        return self.is_unique and not (self.is_valid or self.is_leftover or self.of_toast)

    @property
    def table_shown(self) -> str:
        return shown(self.table_schema, self.table)


@frozen
class PartitionedIndex(Named):
    """An index of a partitioned table: a name for those of its partitions."""

    oid: int
    schema: str
    name: str
    table_schema: str
    table: str
    leaves: Sequence[int]
    """Oids of the indexes that have entries."""

    @property
    def table_shown(self) -> str:
        return shown(self.table_schema, self.table)


def tables_query(version: int, *, some: bool = False, measured: bool = False, foreign: bool = False) -> str:
    """`some`: only the oids in the parameter `oids`. `measured`: read real sizes where the
    catalog has none and no lock prevents it; slow for thousands of tables. `foreign`: those of other servers."""
    kinds = "'f'" if foreign else "'r', 'm', 'p'"
    before_14, before_17 = version < 140_000, version < 170_000
    return query("tables", kinds=kinds, some=some, measured=measured, before_14=before_14, before_17=before_17)


def indexes_query(version: int, *, some: bool = False, measured: bool = False) -> str:
    """The query for indexes. `some`: only those with oids in the parameter `oids`, and all that are invalid."""
    return query("indexes", leftover=LEFTOVER, some=some, measured=measured, before_17=version < 170_000)
