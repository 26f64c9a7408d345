"""Looks for rows that a table has lost, before VACUUM or REINDEX would remove their last trace.

An index holds as many entries as its table has rows, and nothing that is in no row. Each page belongs to a table or an
index, is free, or is SQLite's own. Otherwise the table may have lost rows: their values are still in
the index, or they are in the pages that belong to nothing.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from engine.targets.sqlite.connection.errors import is_damage, is_missing_code
from engine.targets.sqlite.connection.names import literal, quote
from engine.targets.sqlite.connection.statement import explain
from engine.targets.sqlite.planning.steps import REBUILDING, SqliteStep
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.catalog import ROWID_NAMES, has_dbstat
from engine.targets.sqlite.reading.virtual import PIECE

LAST_TRACE: Final = "the table may have lost rows or values, and this is their last trace"
_SAVE: Final = "Restore a backup, or save the rows with sqlite3 and its .recover; --force goes on without them"
_REBUILD: Final = "Rebuild it with the reindex operation, then check the database"
COUNTING: Final = "counting rows and index entries"
_COLUMNS: Final = "SELECT cid, name FROM temp.pragma_index_xinfo({0}, 'main') ORDER BY seqno"
_COLUMNS_OF_TABLE: Final = "SELECT name, hidden FROM temp.pragma_table_xinfo({0}, 'main')"
_ROWID: Final = -1
_EXPRESSION: Final = -2
_VIRTUAL: Final = 2
_LOCK_BYTE: Final = 0x40000000
_RESERVED: Final = 20
"""Where a file says how many bytes of each page SQLite does not use."""


class LostRowsError(sqlite3.DatabaseError):
    """A table may have lost rows, whose last trace the step would remove."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"

    def __init__(self, text: str, index: str = "") -> None:
        """`index`: the index that alone is damaged, and can be rebuilt; "" where rows may be lost."""
        super().__init__(text)
        self.index = index
        self.hint = _REBUILD if index else _SAVE


@dataclass(frozen=True, slots=True)
class Comparison:
    """What an index holds beside what its table does. As text: a sentence for users."""

    index: str
    table: str
    rows: int
    """Of the table; of a partial index, those that belong into it."""
    entries: int | None
    """None for an index that cannot be read to its end."""
    of_no_row: int = 0
    """How many entries hold values that are not in the row that they name."""

    def __str__(self) -> str:
        if self.entries is None:
            return f"index {self.index} of {self.table} cannot be read to its end, for {self.rows:,} rows"
        text = f"index {self.index} of {self.table} has {self.entries:,} entries for {self.rows:,} rows"
        return f"{text}, and {self.of_no_row:,} of them match no row" if self.of_no_row else text

    @property
    def differs(self) -> bool:
        return self.rows != self.entries or self.is_surplus

    @property
    def is_surplus(self) -> bool:
        return self.of_no_row > 0 or (self.entries or 0) > self.rows


def require_no_lost_rows(connection: sqlite3.Connection, step: SqliteStep, file: int | None) -> None:
    """Raise LostRowsError where the step, REINDEX or VACUUM, would remove the last trace of lost rows.

    REINDEX may rebuild an index that has fewer entries, or cannot be read to its end. VACUUM would copy it.

    Args:
        file: the descriptor of the database; None if unknown.
    """
    rebuilt = {*(step.commands or (step.command,))} if step.method in REBUILDING else None

    def is_wanted(index: str) -> bool:
        return rebuilt is None or not rebuilt.isdisjoint({f"REINDEX main.{quote(index)}", "REINDEX"})

    # Where code of the application is missing, or the name is no UTF-8, SQLite itself says so.
    compared = comparisons(connection, is_wanted, values=step.compares_values)
    differing = [one for one in compared if isinstance(one, Comparison) and one.differs]
    for comparison in differing:
        if comparison.is_surplus:
            raise LostRowsError(f"{comparison}; {LAST_TRACE}")
    if rebuilt is not None:
        return
    if has_dbstat() and (pages := unaccounted_pages(connection, file)):
        raise LostRowsError(pages)
    for comparison in differing:
        raise LostRowsError(str(comparison), comparison.index)


def unaccounted_pages(connection: sqlite3.Connection, file: int | None) -> str:
    """Whether pages belong to nothing, as text; "" if each one is in use or free, or if that is unknown. With dbstat.

    In the thread of the connection. `file`: see `require_no_lost_rows`. Raises sqlite3.Error.
    """
    with _reading(connection):
        ((pages, page_size, auto_vacuum, free, used),) = connection.execute(query("page_counts")).fetchall()
    if auto_vacuum and file is None:
        return ""
    reserved = int.from_bytes(os.pread(file, 1, _RESERVED)) if file is not None else 0
    maps = len(range(2, pages + 1, (page_size - reserved) // 5 + 1)) if auto_vacuum else 0
    known = used + free + maps + (pages > _LOCK_BYTE // page_size)
    if known < pages:
        lost = f"{pages - known:,} of {pages:,} pages"
        return f"no table, index or list of free pages has {lost}, which may hold lost rows"
    return "" if known == pages else f"tables, indexes and free pages make up {known:,} pages, the file has {pages:,}"


def unchecked_pages(connection: sqlite3.Connection, check: str, file: int | None) -> str:
    """As `unaccounted_pages`, where the check of the whole file leaves that out; else "".

    SQLite 3.46 does where a view or a virtual table is the first in its list, which has no root page.
    """
    with closing(explain(connection, check)) as program:
        roots = next((str(row[5]) for row in program if row[1] == "IntegrityCk"), "")
    return unaccounted_pages(connection, file) if roots.startswith("[0") and has_dbstat() else ""


def comparisons(
    connection: sqlite3.Connection, is_wanted: Callable[[str], bool], *, values: bool
) -> list[Comparison | sqlite3.OperationalError]:
    """One for each index whose name is wanted and is UTF-8; the error where code is missing that comparing needs.

    In the thread of the connection. Raises LostRowsError where a table cannot be read.

    Args:
        values: whether values are compared where the numbers are equal, too: that takes longer than REINDEX itself.
    """
    with _reading(connection):
        return list(_comparisons(connection, is_wanted, values=values))


@contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[None]:
    """Statements inside read the same state. The rollback makes SQLite forget how it read damaged pages: else REINDEX
    would rebuild nothing."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _comparisons(
    connection: sqlite3.Connection, is_wanted: Callable[[str], bool], *, values: bool
) -> Iterator[Comparison | sqlite3.OperationalError]:
    rows_of = dict[str, int]()
    for name, table, sql in connection.execute(query("indexes_with_sql")).fetchall():
        if not is_wanted(name):
            continue
        where = _predicate_of(sql or "")
        counting = f"SELECT count(*) FROM main.{quote(table)} NOT INDEXED {where}"
        try:
            if counting not in rows_of:  # a table with several indexes is counted once
                rows = _unless_damaged(connection, counting)
                if rows is None:
                    raise LostRowsError(f"table {table} cannot be read to its end")
                rows_of[counting] = rows
            entries = _entries(connection, name, table, where)
            differs = values or entries != rows_of[counting]
            of_no_row = _of_no_row(connection, name, table, where) if differs and entries else 0
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            if is_missing_code(error):  # else the name is no UTF-8
                yield error
        else:
            yield Comparison(name, table, rows_of[counting], entries, of_no_row)


def _entries(connection: sqlite3.Connection, index: str, table: str, where: str) -> int | None:
    # With count(*) SQLite would choose which index it counts.
    counting = f"SELECT coalesce(sum(1), 0) FROM main.{quote(table)} INDEXED BY {quote(index)} {where}"
    return _unless_damaged(connection, counting)


def _of_no_row(connection: sqlite3.Connection, index: str, table: str, where: str) -> int:
    """How many entries hold values that are not in the row that they name; 0 if unknown."""
    columns = connection.execute(_COLUMNS.format(literal(index))).fetchall()
    of_table = connection.execute(_COLUMNS_OF_TABLE.format(literal(table))).fetchall()
    if not (held := _columns_held(columns, of_table)):
        return 0
    of_index = f"FROM main.{quote(table)} INDEXED BY {quote(index)} {where}"
    of_rows = f"FROM main.{quote(table)} NOT INDEXED {where}"
    exactly = ", ".join(f"{name} COLLATE BINARY" for name in held)  # a collation may take different values for the same
    missing = f"SELECT count(*) FROM (SELECT {exactly} {of_index} EXCEPT SELECT {exactly} {of_rows})"
    return _unless_damaged(connection, missing) or 0


def _columns_held(columns: Sequence[Any], of_table: Sequence[Any]) -> tuple[str, ...]:
    """The columns of an index, as SQL; () if one of them is computed. From rows of _COLUMNS and _COLUMNS_OF_TABLE."""
    kinds = {str(column).lower(): hidden for column, hidden in of_table}
    rowid = next((name for name in ROWID_NAMES if name not in kinds), "")
    is_computed = any(number == _EXPRESSION or kinds.get(str(name).lower()) == _VIRTUAL for number, name in columns)
    if is_computed or not rowid:
        return ()
    return tuple(rowid if number == _ROWID else quote(column) for number, column in columns)


def _unless_damaged(connection: sqlite3.Connection, counting: str) -> int | None:
    try:
        ((number,),) = connection.execute(counting).fetchall()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return None
    return int(number)


def _predicate_of(sql: str) -> str:
    """The WHERE of a partial index, by what SQLite reads of its definition; "" where it has none."""
    depth, start = 0, None
    for piece in re.compile(PIECE, re.DOTALL).finditer(sql := sql.partition("\0")[0]):
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        if piece[0] == ")" and not depth and start is None:
            start = piece.end()
        if piece[0] == ";":
            sql = sql[: piece.start()]
            break
    return "" if start is None else sql[start:].strip()
