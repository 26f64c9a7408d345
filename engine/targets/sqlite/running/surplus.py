"""Compares a table with its index: it shows whether REINDEX would lose anything.

An index holds no more entries than its table has rows, and nothing that is in no row. If it does, the table may have
lost rows or values: then REINDEX would remove the last trace of them.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.targets.sqlite.connection.errors import is_damage, is_missing_code
from engine.targets.sqlite.connection.names import literal, quote
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.catalog import ROWID_NAMES
from engine.targets.sqlite.reading.virtual import PIECE

LAST_TRACE: Final = "the table may have lost rows or values, and REINDEX would remove the last trace of them"
_COLUMNS: Final = "SELECT cid, name FROM temp.pragma_index_xinfo({0}, 'main') ORDER BY seqno"
_COLUMNS_OF_TABLE: Final = "SELECT name, hidden FROM temp.pragma_table_xinfo({0}, 'main')"
_ROWID: Final = -1
_EXPRESSION: Final = -2
_VIRTUAL: Final = 2
_MOST_ARGUMENTS: Final = 100


class LostRowsError(sqlite3.DatabaseError):
    """An index has entries that no row of its table has."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    sqlite_errorname = "SQLITE_CORRUPT"


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
    def is_surplus(self) -> bool:
        return self.of_no_row > 0 or (self.entries or 0) > self.rows


def require_no_surplus(connection: sqlite3.Connection, commands: Collection[str], *, values: bool) -> None:
    """Raise LostRowsError for an index that the commands rebuild, if it has entries without a row.

    An index that cannot be read to its end is rebuilt from its table. `values`: see `comparisons`.
    """

    def is_rebuilt(index: str) -> bool:
        return not {f"REINDEX main.{quote(index)}", "REINDEX"}.isdisjoint(commands)

    for comparison in comparisons(connection, is_rebuilt, values=values):
        # Where code of the application is missing, or the name is no UTF-8, REINDEX itself says so.
        if isinstance(comparison, Comparison) and comparison.is_surplus:
            raise LostRowsError(f"{comparison}; {LAST_TRACE}")


def comparisons(
    connection: sqlite3.Connection, is_wanted: Callable[[str], bool], *, values: bool
) -> list[Comparison | sqlite3.OperationalError]:
    """One for each index whose name is wanted and is UTF-8; the error where code is missing that comparing needs.

    In the thread of the connection, in a read transaction of its own. The rollback makes SQLite forget how it read
    damaged pages: else REINDEX would rebuild nothing. Raises sqlite3.Error where a table cannot be read.

    Args:
        values: whether the values are compared, too: REINDEX then takes two to four times as long.
    """
    connection.execute("BEGIN")
    try:
        return list(_comparisons(connection, is_wanted, values=values))
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
                ((rows_of[counting],),) = connection.execute(counting).fetchall()
            entries = _entries(connection, name, table, where)
            of_no_row = _of_no_row(connection, name, table, where) if values and entries else 0
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            if is_missing_code(error):  # else the name is no UTF-8
                yield error
        else:
            yield Comparison(name, table, rows_of[counting], entries, of_no_row)


class _Sum:
    """An aggregate that is the same for the same rows in any order."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, *values: object) -> None:
        self._sum += hash(values)

    def finalize(self) -> int:
        return self._sum & sys.maxsize


def _entries(connection: sqlite3.Connection, index: str, table: str, where: str) -> int | None:
    # With count(*) SQLite would choose which index it counts.
    counting = f"SELECT coalesce(sum(1), 0) FROM main.{quote(table)} INDEXED BY {quote(index)} {where}"
    return _unless_damaged(connection, counting)


def _of_no_row(connection: sqlite3.Connection, index: str, table: str, where: str) -> int:
    """How many entries hold values that are not in the row that they name; 0 where that cannot be told.

    First by sums, which take less time, and no room.
    """
    columns = connection.execute(_COLUMNS.format(literal(index))).fetchall()
    of_table = connection.execute(_COLUMNS_OF_TABLE.format(literal(table))).fetchall()
    if not (held := _columns_held(columns, of_table)):
        return 0
    of_index = f"FROM main.{quote(table)} INDEXED BY {quote(index)} {where}"
    of_rows = f"FROM main.{quote(table)} NOT INDEXED {where}"
    if isinstance(connection, sqlite3.Connection):  # the bundled library runs in another process
        connection.create_aggregate("dbtend_sum", -1, _Sum)
        # As bytes: a text may be no UTF-8, and -1 and -2 have the same hash. Of a REAL, digits would be lost.
        bytes_of = [f"iif(typeof({name}) = 'real', {name}, CAST({name} AS BLOB))" for name in held[:_MOST_ARGUMENTS]]
        summing = f"SELECT dbtend_sum({', '.join(bytes_of)})"
        if len({_unless_damaged(connection, f"{summing} {side}") for side in (of_index, of_rows)}) == 1:
            return 0
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
