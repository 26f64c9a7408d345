"""What a SQLite database says of itself: the queries, and their rows as values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from engine.jobs import Facts
from engine.targets.sqlite.connection.names import literal
from engine.values import frozen

SUMMARY: Final = r"""
SELECT (SELECT page_count FROM pragma_page_count),
       (SELECT page_size FROM pragma_page_size),
       (SELECT freelist_count FROM pragma_freelist_count),
       (SELECT journal_mode FROM pragma_journal_mode),
       (SELECT auto_vacuum FROM pragma_auto_vacuum),
       (SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'),
       (SELECT count(*) FROM sqlite_schema WHERE type = 'index')
"""

# A virtual table has no root page. Shadow tables are ordinary ones.
TABLES: Final = r"""
SELECT t.name, coalesce(l.wr, 0), coalesce(l.ncol, 0)
FROM sqlite_schema AS t LEFT JOIN pragma_table_list(t.name) AS l ON l.schema = 'main'
WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.rowid
"""

INDEXES: Final = """
SELECT i.name, i.tbl_name, i.sql IS NULL, coalesce(l."unique", 0), coalesce(l.partial, 0),
    (SELECT count(*) FROM pragma_index_xinfo(i.name, 'main'))
FROM sqlite_schema AS i LEFT JOIN pragma_index_list(i.tbl_name, 'main') AS l ON l.name = i.name
WHERE i.type = 'index' ORDER BY i.rowid
"""

# A WITHOUT ROWID table is an index itself, with a name that is in no schema entry.
KEYS_WITHOUT_ROWID: Final = """
SELECT t.name, i.name FROM pragma_table_list AS t, pragma_index_list(t.name, 'main') AS i
WHERE t.schema = 'main' AND t.type = 'table' AND t.wr = 1 AND i.origin = 'pk'
"""

# A schema that was written by hand may have a table of that name and other columns.
HAS_STATISTICS: Final = """
SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'sqlite_stat1'
    AND (SELECT count(*) FROM pragma_table_info('sqlite_stat1', 'main') WHERE name IN ('tbl', 'idx', 'stat')) = 3
"""
STATISTICS: Final = "SELECT tbl, idx, stat FROM sqlite_stat1"

# VACUUM would silently drop these: of what has pages of its own it copies only what starts with CRE.
LOST_BY_VACUUM: Final = "SELECT name FROM sqlite_schema WHERE rootpage > 0 AND sql NOT GLOB 'CRE*'"

# VACUUM numbers the rows of these anew. One with an index keeps its numbers today, which SQLite does not promise.
RENUMBERED_BY_VACUUM: Final = r"""
SELECT l.name FROM pragma_table_list AS l
WHERE l.schema = 'main' AND l.type = 'table' AND l.wr = 0 AND l.name NOT LIKE 'sqlite\_%' ESCAPE '\'
    AND NOT EXISTS (SELECT 1 FROM sqlite_schema AS i WHERE i.type = 'index' AND i.tbl_name = l.name)
    AND NOT EXISTS (
        SELECT 1 FROM pragma_table_info(l.name) AS c WHERE c.pk = 1 AND upper(c.type) = 'INTEGER'
            AND (SELECT count(*) FROM pragma_table_info(l.name) AS k WHERE k.pk > 0) = 1)
"""

VIEWS_AND_TRIGGERS: Final = "SELECT name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger')"

VIRTUAL_TABLES: Final = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0"

# What is stored in UTF-16 is text in any case, once SQLite has turned it into UTF-8.
NAMES: Final = """
SELECT CAST(name AS BLOB) FROM sqlite_schema
WHERE type IN ('table', 'index') AND (SELECT encoding FROM pragma_encoding) = 'UTF-8'
"""


def columns_of(table: str) -> str:
    """The columns of a table, without those that are hidden."""
    return f"SELECT name FROM pragma_table_xinfo({literal(table)}, 'main') WHERE hidden = 0"


FOREIGN_KEYS: Final = """
SELECT t.name, count(DISTINCT k.id) FROM sqlite_schema AS t, pragma_foreign_key_list(t.name, 'main') AS k
WHERE t.type = 'table' AND t.rootpage > 0 GROUP BY t.name
"""

# Which of them are there SQLite does not say: its list also has those that it only read of in the schema.
COPIED_SCHEMA: Final = """
SELECT tbl_name, name, sql FROM sqlite_schema WHERE type IN ('table', 'index') AND rootpage > 0 AND sql IS NOT NULL
ORDER BY type = 'index'
"""

INDEX_COLLATIONS: Final = """
SELECT DISTINCT i.name, x.coll FROM sqlite_schema AS i, pragma_index_xinfo(i.name, 'main') AS x
WHERE i.type = 'index' AND x.coll IS NOT NULL
    AND upper(x.coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM')
"""

HAS_DBSTAT: Final = "SELECT 1 FROM pragma_compile_options WHERE compile_options = 'ENABLE_DBSTAT_VTAB'"
UNUSED_BYTES: Final = "SELECT coalesce(sum(unused), 0) FROM dbstat('main') WHERE aggregate = TRUE"
INDEX_BYTES: Final = """
SELECT coalesce(sum(pgsize), 0) FROM dbstat('main') WHERE aggregate = TRUE
    AND name IN (SELECT name FROM sqlite_schema WHERE type = 'index')
"""

INCREMENTAL: Final = 2
"""The value of `auto_vacuum` with which free pages can be given back by and by."""


@frozen(kw_only=True)
class Summary:
    """The whole database in a few numbers. Sizes are bytes on disk."""

    size: int
    wal_size: int
    pages: int
    page_size: int
    free_pages: int
    journal_mode: str
    auto_vacuum: int
    tables: int
    indexes: int

    @property
    def is_wal(self) -> bool:
        return self.journal_mode == "wal"

    @property
    def used(self) -> int:
        """Bytes in pages that are not free; a damaged header may count more free ones than there are pages."""
        return max(self.pages - self.free_pages, 0) * self.page_size

    @property
    def facts(self) -> Facts:
        """The same as it is told and stored."""
        return {name: value for name, value in asdict(self).items() if name != "auto_vacuum"}


@frozen(kw_only=True)
class Index:
    """`automatic`: SQLite made it for a PRIMARY KEY or UNIQUE constraint. `columns`: those of an entry, with the key
    of its row."""

    name: str
    table: str
    automatic: bool = False
    unique: bool = False
    partial: bool = False
    columns: int = 2
    rows: int | None = None
    """Those of its table, where they are known."""
    is_table: bool = False
    """Whether it is the table itself, which has no rowid, and all of its columns."""


@frozen(kw_only=True)
class Segments:
    """Of a full-text index: how many there are, and the pages of all of them."""

    number: int
    pages: int


@frozen(kw_only=True)
class Table:
    """`rows` is an estimate, None where there is none; `known_rows` is what its statistics say."""

    name: str
    columns: int = 1
    without_rowid: bool = False
    rows: int | None = None
    known_rows: int | None = None
    indexes: tuple[Index, ...] = ()
