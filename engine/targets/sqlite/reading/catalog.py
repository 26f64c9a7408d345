"""What a SQLite database says of itself: the queries, and their rows as values.

A database can have a table or a view with the name of a table-valued function, and SQLite would take that. So each of
these is looked for in `temp`, where nothing is that we have not made, and each table in `main`. `table_list` is not
used at all: it compiles every view of the database, and a dozen views that stand on each other take it a minute.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import fields
from functools import cache
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.steps import Facts
from engine.targets.sqlite.connection.names import literal

SUMMARY: Final = (
    "PRAGMA main.page_count",
    "PRAGMA main.page_size",
    "PRAGMA main.freelist_count",
    "PRAGMA main.journal_mode",
    "PRAGMA main.auto_vacuum",
    r"SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\'",
    "SELECT count(*) FROM main.sqlite_schema WHERE type = 'index'",
)
"""Each gives a number, or a word. As one statement they would take twice as long."""

# A virtual table has no root page. Shadow tables are ordinary ones. Of a table without rowid SQLite tells its key as if
# that were an index with the name of the table; to find out that there is none takes SQLite a look at many names.
_HAS_NO_ROWID: Final = "(t.sql LIKE '%without%' AND EXISTS (SELECT 1 FROM temp.pragma_index_info(t.name, 'main')))"
TABLES: Final = rf"""
SELECT t.name, {_HAS_NO_ROWID},
    (SELECT count(*) FROM temp.pragma_table_xinfo(t.name, 'main'))
FROM main.sqlite_schema AS t
WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY t.rowid
"""

INDEXES: Final = """
SELECT i.name, i.tbl_name, i.sql IS NULL, coalesce(l."unique", 0), coalesce(l.partial, 0),
    (SELECT count(*) FROM temp.pragma_index_xinfo(i.name, 'main'))
FROM main.sqlite_schema AS i LEFT JOIN temp.pragma_index_list(i.tbl_name, 'main') AS l ON l.name = i.name
WHERE i.type = 'index' ORDER BY i.rowid
"""

# A WITHOUT ROWID table is an index itself, with a name that is in no schema entry.
KEYS_WITHOUT_ROWID: Final = f"""
SELECT t.name, i.name FROM main.sqlite_schema AS t, temp.pragma_index_list(t.name, 'main') AS i
WHERE t.type = 'table' AND t.rootpage > 0 AND i.origin = 'pk' AND {_HAS_NO_ROWID}
"""

ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
"""The names of a rowid; a column that has one of them hides it."""

# A schema that was written by hand may have a table of that name and other columns.
HAS_STATISTICS: Final = """
SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 AND name = 'sqlite_stat1'
    AND (SELECT count(*) FROM temp.pragma_table_info('sqlite_stat1', 'main') WHERE name IN ('tbl', 'idx', 'stat')) = 3
"""
STATISTICS: Final = "SELECT tbl, idx, stat FROM main.sqlite_stat1"

# The tables that ANALYZE empties.
STATISTICS_TABLES: Final = """
SELECT name FROM main.sqlite_schema
WHERE type = 'table' AND rootpage > 0 AND name IN ('sqlite_stat1', 'sqlite_stat3', 'sqlite_stat4')
"""

BTREES: Final = "SELECT count(*) FROM main.sqlite_schema WHERE rootpage > 0"

# VACUUM would silently drop these: of objects with pages of their own it copies only those whose SQL starts with CRE.
LOST_BY_VACUUM: Final = "SELECT name FROM main.sqlite_schema WHERE rootpage > 0 AND sql NOT GLOB 'CRE*'"

# Before schema format 4 (2006; the default until 2012) an index ignored DESC. VACUUM makes it again in another order,
# and then copies the rows of its table one by one, with new rowids.
MAY_HAVE_IGNORED_DESC: Final = """
SELECT tbl_name, name, sql FROM main.sqlite_schema AS s
WHERE type IN ('table', 'index') AND rootpage > 0 AND sql IS NOT NULL
    AND tbl_name IN (
        SELECT tbl_name FROM main.sqlite_schema
        WHERE type IN ('table', 'index') AND lower(sql) GLOB '*[^a-z0-9_]desc[^a-z0-9_]*')
    AND NOT EXISTS (
        SELECT 1 FROM temp.pragma_index_list(tbl_name, 'main') AS i, temp.pragma_index_xinfo(i.name, 'main') AS c
        WHERE c."desc")
ORDER BY type = 'index'
"""
"""The SQL of tables and then of their indexes, if it has the word `desc` and no index of the table descends."""
_RENUMBERED: Final = r"""
SELECT t.name, x.name FROM main.sqlite_schema AS t, temp.pragma_table_xinfo(t.name, 'main') AS x
WHERE t.type = 'table' AND t.rootpage > 0 AND t.name NOT LIKE 'sqlite\_%' ESCAPE '\'
    AND ({condition})
    AND (EXISTS (SELECT 1 FROM temp.pragma_index_list(t.name, 'main') AS i WHERE i.origin = 'pk') OR NOT EXISTS (
        SELECT 1 FROM temp.pragma_table_info(t.name, 'main') AS c WHERE c.pk > 0
        GROUP BY NULL HAVING count(*) = 1 AND upper(max(c.type)) = 'INTEGER'))
    AND NOT EXISTS (
        SELECT 1 FROM temp.pragma_index_list(t.name, 'main') AS i
        WHERE i.origin = 'pk' AND i.name NOT IN (SELECT name FROM main.sqlite_schema WHERE type = 'index'))
ORDER BY t.rowid
"""
# Another table with an index keeps its numbers today, which SQLite does not promise.
_HAS_NO_INDEX: Final = "NOT EXISTS (SELECT 1 FROM temp.pragma_index_list(t.name, 'main'))"


def renumbered_by_vacuum(disordered: Iterable[str], *, into: bool) -> str:
    """The query for the tables that VACUUM renumbers, unless their rowids are 1, 2, 3, ...: each with its columns.

    `disordered`: the tables with an index that ignored its DESC. `into`: it writes another file.
    """
    is_disordered = f"t.name IN ({', '.join(map(literal, disordered))})"
    return _RENUMBERED.format(condition=is_disordered if into else f"{_HAS_NO_INDEX} OR {is_disordered}")


TABLE_NAMES: Final = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0"


def stored_table(name: str) -> str:
    """A row if it is a table that the file itself holds: a view may never come to an end."""
    where = f"type = 'table' AND rootpage > 0 AND name = {literal(name)} COLLATE NOCASE"
    return f"SELECT 1 FROM main.sqlite_schema WHERE {where}"


_OF_FULL_TEXT: Final = ("data", "idx", "content", "docsize", "config", "segments", "segdir", "stat")
"""What follows the name of a full-text index in those of the tables that hold it."""


def unsafe_table(full_text: str) -> str:
    """The first table of a full-text index that has a trigger, or is a view or a virtual table: a write to it would run
    what the file holds, and a trigger can change any table. No row if there is none."""
    names = ", ".join(literal(f"{full_text}_{suffix}") for suffix in _OF_FULL_TEXT)
    return (
        "SELECT CAST(tbl_name AS TEXT) FROM main.sqlite_schema"
        f" WHERE tbl_name COLLATE NOCASE IN ({names})"
        " AND (type IN ('trigger', 'view') OR type = 'table' AND NOT rootpage) LIMIT 1"
    )


VIEWS: Final = "SELECT CAST(name AS TEXT), CAST(sql AS TEXT) FROM main.sqlite_schema WHERE type = 'view'"

VIEWS_AND_TRIGGERS: Final = """
SELECT name, type, sql FROM main.sqlite_schema WHERE type IN ('view', 'trigger') AND sql IS NOT NULL
"""

VIRTUAL_TABLES: Final = "SELECT name, sql FROM main.sqlite_schema WHERE type = 'table' AND rootpage = 0"

# Text stored as UTF-16 is always valid once SQLite has converted it to UTF-8.
ROOTS: Final = """
SELECT name, rootpage, type = 'index' FROM main.sqlite_schema WHERE rootpage > 0
UNION ALL SELECT 'sqlite_schema', 1, 0
"""
"""Every table and index, and where it begins."""
COPIED: Final = """
SELECT own.name, own.rootpage, own.type = 'index' FROM main.sqlite_schema AS own
LEFT JOIN main.sqlite_schema AS whose ON whose.type = 'table' AND whose.name = own.tbl_name
WHERE own.rootpage > 0 ORDER BY whose.rowid, own.type = 'index', own.rowid
"""
"""The same in the order in which VACUUM copies them: each table, and then its indexes."""
NAMES: Final = """
SELECT CAST(name AS BLOB) FROM main.sqlite_schema
WHERE type IN ('table', 'index') AND (SELECT encoding FROM temp.pragma_encoding) = 'UTF-8'
"""


def columns_of(table: str) -> str:
    """The columns of a table, without those that are hidden."""
    return f"SELECT name FROM temp.pragma_table_xinfo({literal(table)}, 'main') WHERE hidden = 0"


def key_of(index: str) -> str:
    """The columns of an index in its order, each with its collation; None for an expression."""
    return f"SELECT name, coll FROM temp.pragma_index_xinfo({literal(index)}, 'main') WHERE key ORDER BY seqno"


FOREIGN_KEYS: Final = """
SELECT t.name, count(DISTINCT k.id) FROM main.sqlite_schema AS t, temp.pragma_foreign_key_list(t.name, 'main') AS k
WHERE t.type = 'table' AND t.rootpage > 0 GROUP BY t.name
"""

# SQLite does not say which of them exist: its list also has those that it only read about in the schema.
COPIED_SCHEMA: Final = """
SELECT tbl_name, name, sql FROM main.sqlite_schema WHERE type IN ('table', 'index') AND rootpage > 0 AND sql IS NOT NULL
ORDER BY type = 'index'
"""

INDEX_COLLATIONS: Final = """
SELECT DISTINCT i.name, x.coll FROM main.sqlite_schema AS i, temp.pragma_index_xinfo(i.name, 'main') AS x
WHERE i.type = 'index' AND x.coll IS NOT NULL
    AND upper(x.coll) NOT IN ('BINARY', 'NOCASE', 'RTRIM')
"""

_HAS_DBSTAT: Final = "SELECT 1 FROM temp.pragma_compile_options WHERE compile_options = 'ENABLE_DBSTAT_VTAB'"
# The plus keeps SQLite from looking each of the names up in a schema of its own.
INDEX_BYTES: Final = """
SELECT coalesce(sum(pgsize), 0) FROM temp.dbstat('main') WHERE aggregate = TRUE
    AND +name IN (SELECT name FROM main.sqlite_schema WHERE type = 'index')
"""

FEW_INDEXES: Final = 100
BYTES_OF_FEW_INDEXES: Final = """
SELECT coalesce(sum(pgsize), 0) FROM main.sqlite_schema AS i CROSS JOIN temp.dbstat('main') AS s ON s.name = i.name
WHERE i.type = 'index' AND s.aggregate = TRUE
"""
"""Reads only their own pages, but looks each name up."""

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
        """The summary as facts, for the store and for screens. The size is that of the file with its log written back:
        a new database may be in its log alone."""
        return {name: getattr(self, name) for name in _FACTS} | {"size": max(self.size, self.pages * self.page_size)}


_FACTS: Final = tuple(field.name for field in fields(Summary) if field.name != "auto_vacuum")


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
    """The rows of its table, if known."""
    is_table: bool = False
    """Whether it is the table itself, which has no rowid, and all of its columns."""


@frozen(kw_only=True)
class Segments:
    """The segments of a full-text index: how many there are, and the pages of all of them."""

    number: int
    pages: int


@frozen
class Texts:
    """What a full-text index covers: rows, and the words in all of them."""

    rows: int
    words: int


@frozen(kw_only=True)
class Table:
    """`rows` is an estimate, None where there is none; `known_rows` is what its statistics say."""

    name: str
    columns: int = 1
    without_rowid: bool = False
    rows: int | None = None
    known_rows: int | None = None
    indexes: tuple[Index, ...] = ()
    checked: int | None = None
    """Opcodes that a quick check executes for a row, if known."""
    compared: int | None = None
    """Opcodes that a full check executes for a row, if known."""


@cache
def has_dbstat() -> bool:
    """Whether this SQLite can describe single pages."""
    with closing(sqlite3.connect(":memory:")) as memory:
        return bool(memory.execute(_HAS_DBSTAT).fetchall())
