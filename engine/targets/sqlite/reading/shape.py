"""The tables and indexes of a database, with how many rows they have, as far as that can be had quickly."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import aiosqlite

from engine.domain.errors import UsageError
from engine.domain.humanize import listed
from engine.targets.sqlite.connection.names import folded, literal, quote
from engine.targets.sqlite.connection.statement import fetch_all
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.catalog import ROWID_NAMES, Index, Table

Read = Callable[[str], list[Any]]
_ROWS: Final = re.compile(r"([0-9]{1,18})(?![0-9])")
_FEW: Final = 1000
"""Rows that are counted rather than told from samples, which would read as many."""
COUNTING: Final = 0.1
"""Seconds for counting the tables whose size samples do not show."""
SAMPLING: Final = 0.25
"""Seconds for all samples: they only serve weights and estimates."""
SAMPLING_EACH: Final = 30e-6
"""Seconds more for each table, to separate those with few rows from the others."""
_TABLES_A_QUERY: Final = 250
"""SQLite takes no more than 500."""


def read_tables(read: Read) -> list[Table]:
    """All tables that have pages of their own, in the order of their creation, without counting rows."""
    indexes: dict[str, list[Index]] = {}
    for name, table, automatic, unique, partial, columns in read(query("indexes")):
        index = Index(
            name=name,
            table=table,
            automatic=bool(automatic),
            unique=bool(unique),
            partial=bool(partial),
            columns=columns,
        )
        indexes.setdefault(folded(table), []).append(index)
    known = known_rows(read)
    return [
        Table(
            name=name,
            columns=columns,
            without_rowid=bool(without_rowid),
            known_rows=known.get(folded(name)),
            indexes=tuple(indexes.get(folded(name), ())),
        )
        for name, without_rowid, columns in read(query("tables"))
    ]


def known_rows(read: Read) -> dict[str, int]:
    """What the statistics say, by the folded name of the table."""
    if not read(query("has_statistics")):
        return {}
    known: dict[str, int] = {}
    for table, _, stat in read(query("statistics")):
        if table is not None and (rows := _ROWS.match(str(stat))):
            known[folded(str(table))] = max(known.get(folded(str(table)), 0), int(rows[1]))
    return known


async def with_rows(
    connection: aiosqlite.Connection, tables: Sequence[Table], *, counting: float, sampling: float = SAMPLING
) -> list[Table]:
    """The tables with their approximate numbers of rows, from a few samples.

    Tables without rowid are counted while there is time, then the statistics are used. A table that cannot be read, or
    not in time, has no number.

    Args:
        counting: the seconds in which tables are counted.
        sampling: the seconds in which samples are taken, from the same moment on.
    """
    sampling += len(tables) * SAMPLING_EACH if sampling else 0
    with set_after(counting) as no_counting, set_after(sampling) as no_sampling:
        few = await few_rows(connection, tables, _FEW, no_sampling)
        return [
            having(table, await _rows(connection, table, rows, no_counting, no_sampling))
            for table, rows in zip(tables, few, strict=True)
        ]


async def few_rows(
    connection: aiosqlite.Connection, tables: Sequence[Table], most: int, no_time: asyncio.Event
) -> list[int | None]:
    """The number of rows of each table, up to `most`; None if unknown, or not found in time."""
    few: list[int | None] = []
    for begin in range(0, len(tables), _TABLES_A_QUERY):
        part = tables[begin : begin + _TABLES_A_QUERY]
        few += await _few_rows_of(connection, part, most, no_time)
    return few


async def _few_rows_of(
    connection: aiosqlite.Connection, tables: Sequence[Table], most: int, no_time: asyncio.Event
) -> list[int | None]:
    if no_time.is_set():
        return [None] * len(tables)
    counts = (f"SELECT count(*) FROM (SELECT 1 FROM main.{quote(table.name)} LIMIT {most})" for table in tables)
    try:
        return [rows for (rows,) in await fetch_all(connection, " UNION ALL ".join(counts), no_time)]
    except sqlite3.Error:
        if len(tables) == 1:
            return [None]
    return [rows for table in tables for rows in await _few_rows_of(connection, [table], most, no_time)]


@contextmanager
def set_after(seconds: float | None) -> Iterator[asyncio.Event]:
    """An event that is set when so many seconds have gone by, while inside; None: never."""
    event = asyncio.Event()
    if seconds is None:
        yield event
        return
    if seconds <= 0:
        event.set()
    timer = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        yield event
    finally:
        timer.cancel()


def having(table: Table, rows: int | None) -> Table:
    """The table and its indexes with this number of rows."""
    # Made by name, which takes half the time of `replace`: there may be tens of thousands.
    indexes = tuple(
        Index(
            name=index.name,
            table=index.table,
            automatic=index.automatic,
            unique=index.unique,
            partial=index.partial,
            columns=index.columns,
            rows=rows,
        )
        for index in table.indexes
    )
    return Table(
        name=table.name,
        columns=table.columns,
        without_rowid=table.without_rowid,
        rows=rows,
        known_rows=table.known_rows,
        indexes=indexes,
    )


async def _rows(
    connection: aiosqlite.Connection,
    table: Table,
    few: int | None,
    no_counting: asyncio.Event,
    no_sampling: asyncio.Event,
) -> int | None:
    """`few`: those up to `_FEW`, where they are known."""
    name = f"main.{quote(table.name)}"

    async def number(sql: str, no_time: asyncio.Event) -> int | None:
        if no_time.is_set():
            return None
        ((value,),) = await fetch_all(connection, sql, no_time)
        return int(value) if isinstance(value, int | float) and value >= 0 else None

    rows = few
    try:
        if rows == _FEW:
            rowid = await _rowid_of(connection, table, no_sampling)
            rows = (
                await number(f"SELECT count(*) FROM {name}", no_counting)
                if rowid is None
                else await number(query("rows_by_samples", table=name, rowid=rowid), no_sampling)
            )
    except sqlite3.Error:
        rows = None
    return table.known_rows if rows is None else rows


async def _rowid_of(connection: aiosqlite.Connection, table: Table, no_time: asyncio.Event) -> str | None:
    """The name that looks up samples quickly; None if there is none."""
    if table.without_rowid:
        return None
    columns = await fetch_all(
        connection, f"SELECT name FROM temp.pragma_table_xinfo({literal(table.name)}, 'main')", no_time
    )
    # A column may have one of these names; then that means the column, which no order makes quick to look up.
    taken = {folded(column) for (column,) in columns}
    return next((name for name in ROWID_NAMES if name not in taken), None)


def named_tables(tables: Sequence[Table], objects: Sequence[str]) -> list[Table]:
    """The tables that were asked for by their own name, or by that of an index; all where none was named.

    Raises UsageError for a name that is neither.
    """
    if not objects:
        return list(tables)
    names = {table.name: {folded(table.name), *(folded(i.name) for i in table.indexes)} for table in tables}
    if unknown := [name for name in objects if not any(folded(name) in known for known in names.values())]:
        raise UsageError(listed(unknown), "is no table or index of the database", "check the name")
    wanted: dict[str, str] = {}
    for name in objects:
        if (before := wanted.setdefault(folded(name), name)) is not name:
            raise UsageError(f"object {name}", f"is named twice, also as {before}", "name it once")
    return [table for table in tables if wanted.keys() & names[table.name]]


def named_indexes(tables: Sequence[Table], objects: Sequence[str]) -> list[Index]:
    """The indexes that were asked for, by their own name or by that of their table; all where none was named.

    Raises UsageError for a name that is neither.
    """
    wanted = {folded(name) for name in objects}
    return [
        index
        for table in named_tables(tables, objects)
        for index in table.indexes
        if not wanted or wanted & {folded(index.name), folded(table.name)}
    ]
