"""Collects the condition of a database: cheap facts always, expensive ones within a budget of time."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import aiosqlite

from engine.system.wal_checkpoint import loses_commits
from engine.targets.database_files import file_size
from engine.targets.sqlite.advising.condition import Condition, Leaves, Packing, Statistics
from engine.targets.sqlite.advising.thresholds import ROWS_THAT_MATTER
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_interrupt
from engine.targets.sqlite.connection.names import folded, quote
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.catalog import Summary, Table
from engine.targets.sqlite.reading.full_text import fts5_segments
from engine.targets.sqlite.reading.page_fill import fill_of
from engine.targets.sqlite.reading.readahead import Readahead
from engine.targets.sqlite.reading.shape import few_rows, set_after
from engine.targets.sqlite.system.files import changed_at, log_changed_at
from engine.targets.sqlite.system.page_cache import WORTH_FROM

if TYPE_CHECKING:
    from engine.targets.sqlite.advising.kept_measurements import KeptMeasurements

NO_DBSTAT: Final = "this SQLite has no dbstat"

Read = Callable[[str], Awaitable[list[Any]]]

SMALL: Final = 16_000_000
"""Bytes of a database whose rows are counted in a moment."""
TABLES_AT_ONCE: Final = 250
"""Tables that one statement counts; SQLite takes no more than 500."""
BYTES_A_SECOND: Final = 8_000_000_000
"""The fastest rate of reading pages on any machine: a budget too short at this rate is not even tried."""


async def survey(
    connection: aiosqlite.Connection,
    path: str,
    *,
    budget: float | None,
    wait: statement.LockWait,
    summary: Summary,
    tables: Sequence[Table],
    kept: KeptMeasurements | None = None,
) -> Condition:
    """The condition of the database at `path`.

    Args:
        budget: seconds for expensive queries: counting rows, and reading all pages; None for no limit.
        summary: that of the database.
        tables: the tables of the database.
        kept: the measurements of an earlier full inspection, if nothing was written since.

    Raises sqlite3.Error where the cheap facts cannot be read.
    """

    async def read(sql: str) -> list[Any]:
        return await statement.read(connection, sql, wait)

    pages, page_size, free_pages = summary.pages, summary.page_size, summary.free_pages
    segments = await fts5_segments(read, await read(query("virtual_tables")))
    statistics: list[Statistics]
    leaves: tuple[Leaves, ...] | None
    if kept is not None:
        statistics, leaves, unseen = kept.statistics_of(tables), None, ""
    else:
        queries, known = QueryBudget(connection, budget), await _known_indexes(read)
        async with _read_ahead(queries, path, pages * page_size), _small_cache(read):
            at_once = TABLES_AT_ONCE if pages * page_size <= SMALL else 1
            statistics = await _statistics(queries, connection, tables, known, at_once)
            leaves, unseen = await _leaves(queries, pages * page_size, wait.timeout)
    packing = None if kept is None else kept.packing
    if kept is None and leaves is None and pages * page_size >= WORTH_FROM:
        packing = await _packing_of(connection, path, (pages - free_pages) * page_size, wait)
    wal_size, of_file, *changed = await asyncio.to_thread(
        lambda: (file_size(path + "-wal"), file_size(path), changed_at(path), log_changed_at(path))
    )
    return Condition(
        pages=pages,
        page_size=page_size,
        free_pages=free_pages,
        gives_pages_back=summary.auto_vacuum == catalog.INCREMENTAL,
        is_wal=summary.is_wal,
        library_loses_commits=sqlite3.sqlite_version if loses_commits(sqlite3.sqlite_version) else None,
        wal_size=wal_size,
        file_size=of_file,
        changed_at=changed[0],
        log_changed_at=changed[1],
        leaves=leaves,
        unseen=unseen,
        packing=packing,
        statistics=tuple(statistics),
        indexes=frozenset(index.name for table in tables for index in table.indexes),
        segments={name: known.number for name, known in segments.items() if known is not None},
    )


async def _packing_of(
    connection: aiosqlite.Connection, path: str, used: int, wait: statement.LockWait
) -> Packing | None:
    """What packing the pages would give, with `used` bytes in pages that are not free; None if that is unknown."""
    fill = await statement.read_by(connection, lambda _: fill_of(path), wait)
    if fill is None:
        return None
    used = max(used, 0)
    return Packing(packable=max(round(used * (1 - fill.packed)), 0), unused=round(used * fill.unused))


class QueryBudget:
    """Runs expensive queries until their time is up: half of it for counting rows, the rest for pages."""

    def __init__(self, connection: aiosqlite.Connection, budget: float | None) -> None:
        self._connection = connection
        self.budget = budget
        self._clock = asyncio.get_running_loop().time
        self._begin = self._clock()

    def remaining(self, share: float = 1.0) -> float | None:
        """The seconds left; None for no limit."""
        return None if self.budget is None else self._begin + share * self.budget - self._clock()

    def is_enough_for(self, size: int) -> bool:
        """Whether `size` bytes of pages can possibly be read in time."""
        remaining = self.remaining()
        return remaining is None or size <= remaining * BYTES_A_SECOND

    async def rows(self, sql: str, share: float = 1.0) -> list[Any] | None:
        """The rows; None where the time is up. Raises sqlite3.Error."""
        remaining = self.remaining(share)
        if remaining is not None and remaining <= 0:
            return None
        with set_after(remaining) as out_of_time:
            try:
                return await statement.fetch_all(self._connection, sql, out_of_time)
            except sqlite3.OperationalError as error:
                if is_interrupt(error):
                    return None
                raise


async def _statistics(
    queries: QueryBudget,
    connection: aiosqlite.Connection,
    tables: Sequence[Table],
    known: set[tuple[str, str]],
    at_once: int,
) -> list[Statistics]:
    """The statistics of each table where they matter. `at_once`: how many tables a statement counts."""
    tables = [table for table in tables if table.indexes or table.known_rows is not None]
    with set_after(queries.remaining(0.5)) as no_time:
        few = await few_rows(connection, tables, ROWS_THAT_MATTER, no_time)
    large = [
        table.name
        for table, rows in zip(tables, few, strict=True)
        if table.known_rows is not None and (rows is None or rows >= ROWS_THAT_MATTER)
    ]
    counted: dict[str, int] = {}
    for begin in range(0, len(large) if at_once > 1 else 0, at_once):
        counted |= await _counted(queries, large[begin : begin + at_once])
    found = [
        await _statistics_of(queries, table, rows, known, counted.get(table.name))
        for table, rows in zip(tables, few, strict=True)
    ]
    return [statistics for statistics in found if statistics is not None]


async def _counted(queries: QueryBudget, tables: Sequence[str]) -> dict[str, int]:
    """The rows of each table, by one statement; none if that fails or there is no time."""
    counts = (f"SELECT count(*) FROM main.{quote(name)}" for name in tables)
    try:
        rows = await queries.rows(" UNION ALL ".join(counts), 0.5)
    except sqlite3.Error:
        rows = None
    return {} if rows is None else {name: int(number) for name, (number,) in zip(tables, rows, strict=True)}


async def _statistics_of(
    queries: QueryBudget, table: Table, few: int | None, known: set[tuple[str, str]], counted: int | None
) -> Statistics | None:
    """`few`: its number of rows, counted up to ROWS_THAT_MATTER; None if not in time. `counted`: all of them, if they
    are counted already. Returns None for a table that cannot be read: a check says why."""
    if few is not None and few < ROWS_THAT_MATTER:
        return Statistics(table=table.name, known_rows=table.known_rows, rows=None if table.known_rows is None else few)
    unknown = tuple(
        index.name
        for index in table.indexes
        # ANALYZE may write nothing about an empty partial index.
        if (folded(table.name), folded(index.name)) not in known
        and not (index.partial and table.known_rows is not None)
    )
    name, unseen = f"main.{quote(table.name)}", False
    try:
        if unknown and few is None:
            some = await queries.rows(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {ROWS_THAT_MATTER})", 0.5)
            unseen = some is None
            if some is None or some[0][0] < ROWS_THAT_MATTER:
                unknown = ()
        if counted is None and table.known_rows is not None:
            found = await queries.rows(f"SELECT count(*) FROM {name}", 0.5)
            counted = None if found is None else int(found[0][0])
    except sqlite3.Error:
        return None
    rows = counted
    unseen = unseen or (table.known_rows is not None and rows is None)
    return Statistics(table=table.name, known_rows=table.known_rows, rows=rows, missing=unknown, unseen=unseen)


async def _known_indexes(read: Read) -> set[tuple[str, str]]:
    if not await read(query("has_statistics")):
        return set()
    rows = await read(query("statistics"))
    return {(folded(str(table)), folded(str(index))) for table, index, _ in rows if index is not None}


async def _leaves(queries: QueryBudget, size: int, lock_timeout: float) -> tuple[tuple[Leaves, ...] | None, str]:
    """The leaf pages of every table and index, or why they were not read. `size`: of the database; 0 while another
    process creates the file."""
    if not catalog.has_dbstat():
        return None, NO_DBSTAT
    if not size:
        return (), ""
    if not queries.is_enough_for(size):
        return None, "it would take too long"
    try:
        rows = await queries.rows(query("leaves"))
    except sqlite3.Error as error:
        return None, explain(error, lock_timeout)
    if rows is None:
        return None, f"over the {queries.budget:g} s budget"
    return tuple(
        Leaves(pages=pages, cells=cells, unused=unused, largest=largest) for pages, cells, unused, largest in rows
    ), ""


@contextlib.asynccontextmanager
async def _small_cache(read: Read) -> AsyncIterator[None]:
    """Inside, pages are read once each: to keep them would only take memory and time."""
    ((usual,),) = await read("PRAGMA main.cache_size")
    await read("PRAGMA main.cache_size = -256")
    try:
        yield
    finally:
        await read(f"PRAGMA main.cache_size = {usual}")


@contextlib.asynccontextmanager
async def _read_ahead(queries: QueryBudget, path: str, size: int) -> AsyncIterator[None]:
    """Read the file into the page cache in order while inside, if it is not there yet: random reads are far slower.

    Never map it: writing another file over it would kill this process.
    """
    ahead = Readahead(path)
    try:
        if size >= WORTH_FROM and queries.is_enough_for(size):
            await ahead.begin()
        yield
    finally:
        await ahead.end()
