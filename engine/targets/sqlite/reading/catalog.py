"""What a SQLite database says of itself, as values."""

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
from engine.targets.sqlite.queries import query

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
ROWID_NAMES: Final = ("rowid", "_rowid_", "oid")
"""The names of a rowid; a column that has one of them hides it."""


def renumbered_by_vacuum(disordered: Iterable[str], *, into: bool) -> str:
    """The query for the tables that VACUUM renumbers.

    `disordered`: the tables with an index that ignored its DESC. `into`: it writes another file.
    """
    return query("renumbered", into=into, disordered=", ".join(map(literal, disordered)))


def stored_table(name: str) -> str:
    """A row if it is a table that the file itself holds: a view may never come to an end."""
    where = f"type = 'table' AND rootpage > 0 AND name = {literal(name)} COLLATE NOCASE"
    return f"SELECT 1 FROM main.sqlite_schema WHERE {where}"


_OF_FULL_TEXT: Final = ("data", "idx", "content", "docsize", "config", "segments", "segdir", "stat")
"""What follows the name of a full-text index in those of the tables that hold it."""


def unsafe_table(full_text: str) -> str:
    """The first table of a full-text index to which a write is unsafe. No row if there is none."""
    names = (literal(f"{full_text}_{suffix}") for suffix in _OF_FULL_TEXT)
    return query("unsafe_table", names=", ".join(names))


def columns_of(table: str) -> str:
    """The columns of a table, without those that are hidden."""
    return f"SELECT name FROM temp.pragma_table_xinfo({literal(table)}, 'main') WHERE hidden = 0"


def key_of(index: str) -> str:
    """The columns of an index in its order, each with its collation; None for an expression."""
    return f"SELECT name, coll FROM temp.pragma_index_xinfo({literal(index)}, 'main') WHERE key ORDER BY seqno"


FEW_INDEXES: Final = 100

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
        return bool(memory.execute(query("has_dbstat")).fetchall())
