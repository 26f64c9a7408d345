"""Compares a table with its index before REINDEX, which would remove what only the index holds of lost rows."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Collection, Sequence
from typing import Any, Final

from engine.targets.sqlite.connection.errors import is_damage
from engine.targets.sqlite.connection.names import literal, quote
from engine.targets.sqlite.reading.catalog import ROWID_NAMES
from engine.targets.sqlite.reading.virtual import PIECE

LAST_TRACE: Final = "the table may have lost rows or values, and REINDEX would remove the last trace of them"
_INDEXES: Final = "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'index' AND typeof(name) = 'text'"
COLUMNS: Final = "SELECT cid, name FROM temp.pragma_index_xinfo({0}, 'main') ORDER BY seqno"
COLUMNS_OF_TABLE: Final = "SELECT name, hidden FROM temp.pragma_table_xinfo({0}, 'main')"
_ROWID: Final = -1
_EXPRESSION: Final = -2
_VIRTUAL: Final = 2
_MOST_ARGUMENTS: Final = 100


class LostRowsError(sqlite3.DatabaseError):
    """An index has entries that no row of its table has."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


def require_no_surplus(connection: sqlite3.Connection, commands: Collection[str], *, compares: bool) -> None:
    """Raise LostRowsError for an index that the commands rebuild, if it has entries without a row.

    In the thread of the connection, in a read transaction of its own. An index that cannot be read to its end is
    rebuilt from its table. The rollback makes SQLite forget how it read damaged pages: else it rebuilds nothing.

    Args:
        compares: whether the values are compared, too: REINDEX then takes two to four times as long.
    """
    connection.execute("BEGIN")
    try:
        _require(connection, commands, compares=compares)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _require(connection: sqlite3.Connection, commands: Collection[str], *, compares: bool) -> None:
    rebuilt, rows_of = frozenset(commands), dict[str, int]()
    for name, table, sql in connection.execute(_INDEXES).fetchall():
        if rebuilt.isdisjoint({f"REINDEX main.{quote(name)}", "REINDEX"}):
            continue
        where = predicate_of(sql or "")
        counting = rows_in(table, where)
        try:
            if counting not in rows_of:  # a table with several indexes is counted once
                ((rows_of[counting],),) = connection.execute(counting).fetchall()
            entries = _of_index(connection, entries_in(name, table, where))
            of_no_row = _of_no_row(connection, name, table, where) if compares and entries else 0
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            continue  # code of the application is missing, or the name is no UTF-8: REINDEX itself says so
        what = f"{rows_of[counting]:,} rows of {table} belong into its index {name}, which has {entries:,} entries"
        if entries > rows_of[counting]:
            raise LostRowsError(f"{what}; {LAST_TRACE}")
        if of_no_row:
            raise LostRowsError(f"{what}, {of_no_row:,} of which hold what no row has; {LAST_TRACE}")


class _Sum:
    """An aggregate that is the same for the same rows in any order."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, *values: object) -> None:
        self._sum += hash(values)

    def finalize(self) -> int:
        return self._sum & sys.maxsize


def _of_no_row(connection: sqlite3.Connection, name: str, table: str, where: str) -> int:
    """See `entries_of_no_row`: where sums differ, which take less time, and no room."""
    columns = connection.execute(COLUMNS.format(literal(name))).fetchall()
    of_table = connection.execute(COLUMNS_OF_TABLE.format(literal(table))).fetchall()
    if not (held := columns_held(columns, of_table)):
        return 0
    if isinstance(connection, sqlite3.Connection):  # the bundled library runs in another process
        connection.create_aggregate("dbtend_sum", -1, _Sum)
        # As bytes: a text may be no UTF-8, and -1 and -2 have the same hash. Of a REAL, digits would be lost.
        values = ", ".join(f"iif(typeof({one}) = 'real', {one}, CAST({one} AS BLOB))" for one in held[:_MOST_ARGUMENTS])
        sums = [_of_index(connection, f"SELECT dbtend_sum({values}) {rows}") for rows in sides(name, table, where)]
        if sums[0] == sums[1]:
            return 0
    return _of_index(connection, entries_of_no_row(held, name, table, where))


def columns_held(columns: Sequence[Any], of_table: Sequence[Any]) -> tuple[str, ...]:
    """The columns of an index, as SQL; () if one of them is computed. From rows of COLUMNS and COLUMNS_OF_TABLE."""
    kinds = {str(column).lower(): hidden for column, hidden in of_table}
    rowid = next((name for name in ROWID_NAMES if name not in kinds), "")
    is_computed = any(number == _EXPRESSION or kinds.get(str(name).lower()) == _VIRTUAL for number, name in columns)
    if is_computed or not rowid:
        return ()
    return tuple(rowid if number == _ROWID else quote(column) for number, column in columns)


def sides(index: str, table: str, where: str = "") -> tuple[str, str]:
    """The entries of an index, and the rows that belong into it, as the end of a query."""
    quoted = f"FROM main.{quote(table)}"
    return f"{quoted} INDEXED BY {quote(index)} {where}", f"{quoted} NOT INDEXED {where}"


def entries_of_no_row(held: Sequence[str], index: str, table: str, where: str = "") -> str:
    """The query that counts the entries of an index whose values are not in the row that they name."""
    values = ", ".join(f"{one} COLLATE BINARY" for one in held)  # a collation would take different values for the same
    of_index, of_rows = sides(index, table, where)
    return f"SELECT count(*) FROM (SELECT {values} {of_index} EXCEPT SELECT {values} {of_rows})"


def rows_in(table: str, where: str = "") -> str:
    """The query that counts the rows of a table without its indexes. `where`: see `predicate_of`."""
    return f"SELECT count(*) FROM main.{quote(table)} NOT INDEXED {where}"


def entries_in(index: str, table: str, where: str = "") -> str:
    """The query that counts the entries of an index; it gives NULL for none. With count(*) SQLite would choose which
    index it counts."""
    return f"SELECT sum(1) FROM main.{quote(table)} INDEXED BY {quote(index)} {where}"


def _of_index(connection: sqlite3.Connection, counting: str) -> int:
    """0 for an index that is damaged."""
    try:
        ((entries,),) = connection.execute(counting).fetchall()
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return 0
    return entries or 0


def predicate_of(sql: str) -> str:
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
