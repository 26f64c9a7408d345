"""Finding out the condition of a database: what is cheap to know at once, what is dear within a budget."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from engine.targets.sqlite.advising.condition import Condition, Leaves, Statistics
from engine.targets.sqlite.advising.thresholds import ROWS_THAT_MATTER
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_interrupt
from engine.targets.sqlite.connection.names import folded, quote
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.full_text import fts5_segments
from engine.targets.sqlite.reading.readahead import Readahead
from engine.targets.sqlite.reading.shape import few_rows, read_tables, set_after
from engine.targets.sqlite.system.files import changed_at, file_size, log_changed_at

if TYPE_CHECKING:
    import aiosqlite

    from engine.targets.sqlite.advising.kept_measurements import KeptMeasurements
    from engine.targets.sqlite.reading.catalog import Table

Read = Callable[[str], Awaitable[list[Any]]]

LEAVES: Final = """
SELECT count(*), sum(ncell), sum(unused), max(mx_payload) FROM temp.dbstat('main') WHERE pagetype = 'leaf' GROUP BY name
"""
BYTES_A_SECOND: Final = 8_000_000_000
"""No machine looks into the pages of a database faster than that: where the budget is shorter, nobody begins."""


async def survey(
    connection: aiosqlite.Connection,
    path: str,
    *,
    budget: float | None,
    lock_timeout: float,
    waiting: statement.Waiting | None = None,
    tables: Sequence[Table] | None = None,
    kept: KeptMeasurements | None = None,
) -> Condition:
    """The condition of the database at `path`.

    Args:
        budget: seconds for what is dear to get: counting rows, and looking into pages; None for all it takes.
        lock_timeout: seconds to wait for a lock, where one is in the way,
        waiting: and what is called each time;
        tables: those of the database, where they were read already;
        kept: what an earlier look found out, since which nobody has written: that is not looked for again.

    Raises sqlite3.Error where not even the cheap facts can be had.
    """

    async def read(sql: str) -> list[Any]:
        return await statement.read(connection, sql, lock_timeout, waiting=waiting)

    ((pages, page_size, free_pages, journal_mode, auto_vacuum, *_),) = await read(catalog.SUMMARY)
    tables = await read_tables(read) if tables is None else tables
    segments = await fts5_segments(read, await read(catalog.VIRTUAL_TABLES))
    statistics: list[Statistics]
    leaves: tuple[Leaves, ...] | None
    if kept is not None:
        statistics, leaves, unseen = kept.statistics_of(tables), None, ""
    else:
        known, has_dbstat = await _known_indexes(read), bool(await read(catalog.HAS_DBSTAT))
        dear = QueryBudget(connection, budget)
        async with _read_ahead(dear, path, pages * page_size):
            statistics = await _statistics(dear, connection, tables, known)
            leaves, unseen = (
                await _leaves(dear, pages * page_size, lock_timeout) if has_dbstat else (None, "this SQLite cannot")
            )
    wal_size, of_file, *changed = await asyncio.to_thread(
        lambda: (file_size(path + "-wal"), file_size(path), changed_at(path), log_changed_at(path))
    )
    return Condition(
        pages=pages,
        page_size=page_size,
        free_pages=free_pages,
        gives_pages_back=auto_vacuum == catalog.INCREMENTAL,
        is_wal=journal_mode == "wal",
        wal_size=wal_size,
        file_size=of_file,
        changed_at=changed[0],
        log_changed_at=changed[1],
        leaves=leaves,
        unseen=unseen,
        packing=None if kept is None else kept.packing,
        statistics=tuple(statistics),
        indexes=frozenset(index.name for table in tables for index in table.indexes),
        segments={name: known.number for name, known in segments.items() if known is not None},
    )


class QueryBudget:
    """Queries that may take long, until their time is over: half of it is for rows, all of it for pages."""

    def __init__(self, connection: aiosqlite.Connection, budget: float | None) -> None:
        self._connection = connection
        self.budget = budget
        self._clock = asyncio.get_running_loop().time
        self._begin = self._clock()

    def left(self, share: float = 1.0) -> float | None:
        """Seconds; None for ever."""
        return None if self.budget is None else self._begin + share * self.budget - self._clock()

    def is_enough_for(self, size: int) -> bool:
        """Whether so many bytes of pages can be looked into in time, for all that is known."""
        left = self.left()
        return left is None or size <= left * BYTES_A_SECOND

    async def rows(self, sql: str, share: float = 1.0) -> list[Any] | None:
        """None where the time is over before. Raises sqlite3.Error."""
        left = self.left(share)
        if left is not None and left <= 0:
            return None
        with set_after(left) as out_of_time:
            try:
                return await statement.fetch_all(self._connection, sql, out_of_time)
            except sqlite3.OperationalError as error:
                if is_interrupt(error):
                    return None
                raise


async def _statistics(
    dear: QueryBudget, connection: aiosqlite.Connection, tables: Sequence[Table], known: set[tuple[str, str]]
) -> list[Statistics]:
    """None of a table whose statistics do not matter."""
    tables = [table for table in tables if table.indexes or table.known_rows is not None]
    with set_after(dear.left(0.5)) as no_time:
        few = await few_rows(connection, tables, ROWS_THAT_MATTER, no_time)
    found = [await _statistics_of(dear, table, rows, known) for table, rows in zip(tables, few, strict=True)]
    return [statistics for statistics in found if statistics is not None]


async def _statistics_of(
    dear: QueryBudget, table: Table, few: int | None, known: set[tuple[str, str]]
) -> Statistics | None:
    """`few`: its rows, up to those that matter, where they could be counted in time. None of a table that cannot be
    read: a check tells why."""
    if few is not None and few < ROWS_THAT_MATTER:
        return Statistics(table=table.name, known_rows=table.known_rows, rows=None if table.known_rows is None else few)
    unknown = tuple(
        index.name
        for index in table.indexes
        # Where a partial index is empty, ANALYZE may write nothing of it.
        if (folded(table.name), folded(index.name)) not in known
        and not (index.partial and table.known_rows is not None)
    )
    name, unseen = f"main.{quote(table.name)}", False
    try:
        if unknown and few is None:
            some = await dear.rows(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {ROWS_THAT_MATTER})", 0.5)
            unseen = some is None
            if some is None or some[0][0] < ROWS_THAT_MATTER:
                unknown = ()
        counted = None if table.known_rows is None else await dear.rows(f"SELECT count(*) FROM {name}", 0.5)
    except sqlite3.Error:
        return None
    rows = None if counted is None else int(counted[0][0])
    unseen = unseen or (table.known_rows is not None and rows is None)
    return Statistics(table=table.name, known_rows=table.known_rows, rows=rows, missing=unknown, unseen=unseen)


async def _known_indexes(read: Read) -> set[tuple[str, str]]:
    if not await read(catalog.HAS_STATISTICS):
        return set()
    rows = await read(catalog.STATISTICS)
    return {(folded(str(table)), folded(str(index))) for table, index, _ in rows if index is not None}


async def _leaves(dear: QueryBudget, size: int, lock_timeout: float) -> tuple[tuple[Leaves, ...] | None, str]:
    """The leaf pages of everything, or why nobody looked. `size`: that of the database; where it is 0 others may be
    about to write the file anew."""
    if not size:
        return (), ""
    if not dear.is_enough_for(size):
        return None, "that takes too long"
    try:
        rows = await dear.rows(LEAVES)
    except sqlite3.Error as error:
        return None, explain(error, lock_timeout)
    if rows is None:
        return None, f"not done within {dear.budget:g} s"
    return tuple(
        Leaves(pages=pages, cells=cells, unused=unused, largest=largest) for pages, cells, unused, largest in rows
    ), ""


@contextlib.asynccontextmanager
async def _read_ahead(dear: QueryBudget, path: str, size: int) -> AsyncIterator[None]:
    """Let the file be read in order meanwhile, where it is not in memory yet: pages here and there take far longer.

    It is never mapped: somebody who writes another file over it would end this process.
    """
    ahead = Readahead(path)
    try:
        if dear.is_enough_for(size):
            await ahead.begin()
        yield
    finally:
        await ahead.end()
