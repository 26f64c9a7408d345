"""Counts the rows of a table and the entries of its index before REINDEX, which would remove those of lost rows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection
from typing import Final

from engine.targets.sqlite.connection.errors import is_damage
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.reading.virtual import PIECE

LAST_TRACE: Final = "the table may have lost rows, and REINDEX would remove the last trace of them"
_INDEXES: Final = "SELECT name, tbl_name, sql FROM main.sqlite_schema WHERE type = 'index' AND typeof(name) = 'text'"


class LostRowsError(sqlite3.DatabaseError):
    """An index has more entries than its table has rows."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


def require_no_surplus(connection: sqlite3.Connection, commands: Collection[str]) -> None:
    """Raise LostRowsError for an index that the commands rebuild, if it has entries without a row. In the thread of
    the connection, in a transaction. An index that cannot be read to its end is rebuilt from its table."""
    rebuilt = frozenset(commands)
    for name, table, sql in connection.execute(_INDEXES).fetchall():
        if rebuilt.isdisjoint({f"REINDEX main.{quote(name)}", "REINDEX"}):
            continue
        where = predicate_of(sql or "")
        of_table = f"main.{quote(table)}"
        try:
            ((rows,),) = connection.execute(f"SELECT count(*) FROM {of_table} NOT INDEXED {where}").fetchall()
            entries = _entries(connection, f"FROM {of_table} INDEXED BY {quote(name)} {where}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            continue  # code of the application is missing, or the name is no UTF-8: REINDEX itself says so
        if entries > rows:
            what = f"{rows:,} rows of {table} belong into its index {name}, which has {entries:,} entries"
            raise LostRowsError(f"{what}; {LAST_TRACE}")


def _entries(connection: sqlite3.Connection, of_index: str) -> int:
    """0 for an index that is damaged."""
    try:
        ((entries,),) = connection.execute(f"SELECT sum(1) {of_index}").fetchall()  # count(*) would choose the index
    except sqlite3.Error as error:
        if not is_damage(error):
            raise
        return 0
    return entries or 0


def predicate_of(sql: str) -> str:
    """The WHERE of a partial index, by its definition; "" where it has none."""
    depth = 0
    for piece in re.compile(PIECE, re.DOTALL).finditer(sql):
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        if piece[0] == ")" and not depth:
            return sql[piece.end() :].strip()
    return ""
