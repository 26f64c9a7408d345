"""Counts the rows of a table and the entries of its index before REINDEX, which would remove those of lost rows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from typing import Final

from engine.targets.sqlite.connection.errors import is_damage
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.reading.virtual import PIECE

LAST_TRACE: Final = "the table may have lost rows or values, and REINDEX would remove the last trace of them"
_INDEXES: Final = "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'index' AND typeof(name) = 'text'"


class LostRowsError(sqlite3.DatabaseError):
    """An index has more entries than its table has rows."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


def require_no_surplus(connection: sqlite3.Connection, commands: Collection[str]) -> None:
    """Raise LostRowsError for an index that the commands rebuild, if it has entries without a row.

    In the thread of the connection, in a read transaction of its own. An index that cannot be read to its end is
    rebuilt from its table. The rollback makes SQLite forget how it read damaged pages: else it rebuilds nothing.
    """
    connection.execute("BEGIN")
    try:
        _count(connection, commands)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _count(connection: sqlite3.Connection, commands: Collection[str]) -> None:
    rebuilt, rows_of = frozenset(commands), dict[str, int]()
    for name, table, sql in connection.execute(_INDEXES).fetchall():
        if rebuilt.isdisjoint({f"REINDEX main.{quote(name)}", "REINDEX"}):
            continue
        where = predicate_of(sql or "")
        counting = rows_in(table, where)
        try:
            if counting not in rows_of:  # a table with several indexes is counted once
                ((rows_of[counting],),) = connection.execute(counting).fetchall()
            entries = _entries(connection, entries_in(name, table, where))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            continue  # code of the application is missing, or the name is no UTF-8: REINDEX itself says so
        if entries > (rows := rows_of[counting]):
            what = f"{rows:,} rows of {table} belong into its index {name}, which has {entries:,} entries"
            raise LostRowsError(f"{what}; {LAST_TRACE}")


def rows_in(table: str, where: str = "") -> str:
    """The query that counts the rows of a table without its indexes. `where`: see `predicate_of`."""
    return f"SELECT count(*) FROM main.{quote(table)} NOT INDEXED {where}"


def entries_in(index: str, table: str, where: str = "") -> str:
    """The query that counts the entries of an index; it gives NULL for none. With count(*) SQLite would choose which
    index it counts."""
    return f"SELECT sum(1) FROM main.{quote(table)} INDEXED BY {quote(index)} {where}"


def _entries(connection: sqlite3.Connection, counting: str) -> int:
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
