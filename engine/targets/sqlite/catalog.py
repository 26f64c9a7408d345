"""What a SQLite database says of itself: the queries, and their rows as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SUMMARY: Final = r"""
SELECT (SELECT page_count FROM pragma_page_count),
       (SELECT page_size FROM pragma_page_size),
       (SELECT freelist_count FROM pragma_freelist_count),
       (SELECT journal_mode FROM pragma_journal_mode),
       (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'),
       (SELECT count(*) FROM sqlite_schema WHERE type = 'index')
"""

# A virtual table has no root page. Shadow tables are ordinary ones.
TABLES: Final = r"""
SELECT t.name, (SELECT count(*) FROM sqlite_schema AS i WHERE i.type = 'index' AND i.tbl_name = t.name)
FROM sqlite_schema AS t
WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.rowid
"""

INDEXES: Final = "SELECT name, tbl_name, sql IS NULL FROM sqlite_schema WHERE type = 'index' ORDER BY rowid"

HAS_STATISTICS: Final = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sqlite_stat1'"

STATISTICS: Final = "SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl"

# VACUUM would silently drop these: it copies only what starts with CRE.
LOST_BY_VACUUM: Final = "SELECT name FROM sqlite_schema WHERE sql IS NOT NULL AND sql NOT GLOB 'CRE*'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The whole database in a few numbers. Sizes are bytes on disk."""

    size: int
    wal_size: int
    pages: int
    page_size: int
    free_pages: int
    journal_mode: str
    tables: int
    indexes: int

    @property
    def is_wal(self) -> bool:
        return self.journal_mode == "wal"


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` is what the statistics say, None where there are none."""

    name: str
    indexes: int
    rows: int | None


@dataclass(frozen=True, slots=True)
class Index:
    """`automatic`: SQLite made it for a PRIMARY KEY or UNIQUE constraint."""

    name: str
    table: str
    automatic: bool
