"""What a session reads of its database: values, with errors in plain words."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.domain.lazy_import import lazy
from engine.system.background import wait_uncancelled
from engine.targets.database_files import file_size
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import is_busy, is_missing_code, reading_error
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog, shape
from engine.targets.sqlite.reading.catalog import Summary
from engine.targets.sqlite.system.page_cache import WORTH_FROM, descriptors, is_cold

if TYPE_CHECKING:
    import aiosqlite

    from engine.domain import page_map as page_maps
    from engine.domain.page_map import NotMapped, PageMap, ReadTimes
    from engine.targets.sqlite.connection.metered import OpenDatabase
    from engine.targets.sqlite.reading import check_program, full_text, page_fill, page_map, read_times, renumbering
    from engine.targets.sqlite.reading.catalog import Segments, Table, Texts
    from engine.targets.sqlite.reading.page_fill import PageFill
    from engine.targets.sqlite.reading.page_map import TreeSize
    from engine.targets.sqlite.reading.renumbering import Renumbering
else:
    check_program = lazy("engine.targets.sqlite.reading.check_program", "only the plan of a check needs it")
    full_text = lazy("engine.targets.sqlite.reading.full_text", "only advice and plans need it")
    page_fill = lazy("engine.targets.sqlite.reading.page_fill", "only advice and plans need it")
    page_map = lazy("engine.targets.sqlite.reading.page_map", "only the map and plans need it")
    page_maps = lazy("engine.domain.page_map", "only the map needs it")
    read_times = lazy("engine.targets.sqlite.reading.read_times", "only map --measure needs it")
    renumbering = lazy("engine.targets.sqlite.reading.renumbering", "only VACUUM needs it")

T = TypeVar("T")
MOST_COMPILED: Final = 200
"""Tables whose check is compiled to see what it executes, which takes some 0.2 milliseconds for each."""
_MOST_TREES: Final = 64
"""Tables and indexes whose sizes are looked at one by one."""
_SAMPLED_OF_TREES: Final = 16
"""Pages of a level, where it matters only how they relate to each other."""


_Tables = tuple[int, "list[Table]"]


@frozen
class _ForPlan:
    """Read in one look when a plan began."""

    no_texts: frozenset[str]
    """Names that are no text."""
    tables: _Tables | None
    errors: Mapping[str, sqlite3.Error | None]
    """The error of each compiled command; None: it has none."""


@contextmanager
def _one_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Statements inside read the same state. To take the lock for each of them takes as long as most of them."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # some errors have rolled back already
            connection.execute("ROLLBACK")


def _no_texts(connection: sqlite3.Connection) -> frozenset[str]:
    names = [raw for (raw,) in connection.execute(query("names_as_bytes"))]
    return frozenset(shown for raw in names if (shown := raw.decode(errors="backslashreplace")).encode() != raw)


class Reader:
    """Reads an open database. Every method raises TargetError if a read fails."""

    def __init__(self, database: OpenDatabase) -> None:
        self._database = database
        self._metered = database.connection
        self.opened = database.file
        self.path = database.file.path
        self.blockers = database.blockers
        self.lock_timeout = database.lock_timeout
        """Seconds that each look waits for a lock,"""
        self.cancel = asyncio.Event()
        """unless this is set before."""
        self._tables: _Tables | None = None
        """The tables as last read, with the data_version of that moment."""

    @property
    def connection(self) -> aiosqlite.Connection:
        return self._metered.aio

    async def rows(self, sql: str) -> list[Any]:
        return await self.read(lambda connection: connection.execute(sql).fetchall())

    async def read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """What `look` returns, which runs short statements in the thread of the connection."""
        try:
            return await statement.read_by(self.connection, look, self._wait(self.cancel))
        except sqlite3.Error as error:
            raise await self.error(error) from error

    async def error(self, error: sqlite3.Error) -> TargetError:
        """The TargetError that explains an error of SQLite."""
        return reading_error(self.path, error, self.lock_timeout, await self.blockers.describe_last())

    async def for_plan(
        self,
        look: Callable[[sqlite3.Connection, Summary], T],
        *,
        commands: Sequence[str],
        with_tables: Callable[[Summary], bool],
    ) -> tuple[PlanReader, Summary, T]:
        """As `summary_and`, and what reads for a plan: it has read what most plans need, in the same look.

        `commands`: they are compiled. `with_tables`: whether the tables are read.
        """
        known = self._tables

        def look_at_all(connection: sqlite3.Connection) -> tuple[Summary, _ForPlan, T]:
            with _one_transaction(connection):
                summary = self._summary(connection)
                tables = self._read_tables(connection, known) if with_tables(summary) else None
                errors = {command: statement.error_of(connection, command) for command in commands}
                has_read = _ForPlan(_no_texts(connection), tables, errors)
            return summary, has_read, look(connection, summary)

        summary, has_read, result = await self.read(look_at_all)
        self._tables = has_read.tables or self._tables
        return PlanReader(self, self._database, has_read), summary, result

    async def problem_with(self, sql: str) -> str | None:
        """Why SQLite does not know how to run `sql`, which is not run; None where it does."""
        try:
            await self._compile(sql)
        except sqlite3.Error as error:
            if is_busy(error):
                raise await self.error(error) from error
            return str(error)
        return None

    async def missing_code(self, sql: str) -> str | None:
        """What only the application of the database has and `sql`, which is not run, needs; None for nothing."""
        try:
            await self._compile(sql)
        except sqlite3.Error as error:
            if is_missing_code(error):
                return str(error)
            if is_busy(error):
                raise await self.error(error) from error
        return None

    async def _compile(self, sql: str) -> None:
        wait = self._wait(asyncio.Event())
        await statement.retry_while_locked(lambda: statement.compiled(self.connection, sql), wait)

    def _wait(self, cancel: asyncio.Event) -> statement.LockWait:
        return statement.LockWait(self.lock_timeout, cancel, self.blockers.describe)

    async def summary(self) -> Summary:
        summary, _ = await self.summary_and(lambda connection, summary: None)
        return summary

    async def summary_and(self, look: Callable[[sqlite3.Connection, Summary], T]) -> tuple[Summary, T]:
        """Also what `look` returns, which is called as by `read`."""

        def both(connection: sqlite3.Connection) -> tuple[Summary, T]:
            with _one_transaction(connection):
                summary = self._summary(connection)
            return summary, look(connection, summary)

        return await self.read(both)

    def _summary(self, connection: sqlite3.Connection) -> Summary:
        pages, page_size, free_pages, journal_mode, auto_vacuum, tables, indexes = (
            value for command in catalog.SUMMARY for ((value,),) in [connection.execute(command).fetchall()]
        )
        size, wal_size = self._sizes()
        if not self._metered.takes_locks and self._is_wal_by_header():
            journal_mode = "wal"  # which SQLite does not say of a file that it takes for one that cannot change
        return Summary(
            size=size,
            wal_size=wal_size,
            pages=pages,
            page_size=page_size,
            free_pages=free_pages,
            journal_mode=journal_mode,
            auto_vacuum=auto_vacuum,
            tables=tables,
            indexes=indexes,
        )

    def _is_wal_by_header(self) -> bool:
        found = descriptors(self.path)
        return bool(found) and os.pread(found[0], 2, 18) == b"\2\2"

    def _sizes(self) -> tuple[int, int]:
        """The sizes of the opened files; None if another file is at the path by now."""
        sizes = file_size(self.path), file_size(self.path + "-wal")
        self.opened.require()
        return sizes

    async def page_fill(self, summary: Summary) -> PageFill | None:
        """How full its pages are; None if unknown, and for a small file."""
        if summary.size < WORTH_FROM:
            return None
        return await self.read(lambda _: page_fill.fill_of(self.path))

    async def page_map(self, most_places: int | None = None, in_all: float | None = None) -> PageMap | NotMapped:
        """What its pages hold, as `page_map.py` finds out."""

        def look(connection: sqlite3.Connection) -> PageMap | NotMapped:
            file, log = self._descriptors()
            if file is None:
                return page_maps.NotMapped.UNREADABLE
            roots = page_map.roots_of(connection)
            found = page_map.map_of(file, roots, log=log, most_places=most_places, in_all=in_all)
            if isinstance(found, page_maps.NotMapped) or page_maps.DAMAGED not in found.owners:
                return found
            connection.execute("BEGIN")  # a page that is written during the read looks damaged
            try:
                roots = page_map.roots_of(connection)
                return page_map.map_of(file, roots, log=log, most_places=most_places, in_all=in_all)
            finally:
                connection.execute("ROLLBACK")

        return await self.read(look)

    async def tree_sizes(self, names: Collection[str]) -> dict[str, TreeSize]:
        """How large these tables and indexes are, as far as that is found out quickly."""

        def look(connection: sqlite3.Connection) -> dict[str, TreeSize]:
            file, log = self._descriptors()
            roots = [root for root in page_map.roots_of(connection) if root.name in names]
            return {} if file is None else page_map.sizes_of(file, roots, log=log, in_all=shape.COUNTING)

        return await self.read(look)

    async def copied_trees(self, summary: Summary) -> list[TreeSize]:
        """The sizes of all tables and indexes in the order in which VACUUM copies them.

        Empty if that is not found out quickly, and where they are many, or the file is small: then it matters little.
        """
        if summary.size < WORTH_FROM or summary.tables + summary.indexes > _MOST_TREES:
            return []

        def look(connection: sqlite3.Connection) -> list[TreeSize]:
            file, log = self._descriptors()
            if file is None:
                return []
            roots, few = page_map.copied_roots(connection), _SAMPLED_OF_TREES
            sizes = page_map.sizes_of(file, roots, log=log, in_all=shape.COUNTING, sampled=few)
            return list(sizes.values()) if len(sizes) == len(roots) else []

        return await self.read(look)

    async def read_times(self) -> ReadTimes | None:
        """What the order of its pages costs, as `read_times.py` measures it. A cancel stops it at once."""
        stop = threading.Event()

        def look(connection: sqlite3.Connection) -> ReadTimes | None:
            file, log = self._descriptors()
            return None if file is None else read_times.read_times(file, log, page_map.roots_of(connection), stop)

        reading = asyncio.ensure_future(self.read(look))
        try:
            return await asyncio.shield(reading)
        except asyncio.CancelledError:
            stop.set()
            with suppress(TargetError):
                await wait_uncancelled(reading)
            raise

    def _descriptors(self) -> tuple[int | None, int | None]:
        """The descriptors of the file and of its write-ahead log, as SQLite has them open."""
        file, log = descriptors(self.path), descriptors(f"{self.path}-wal")
        return (file[0] if file else None), (log[0] if log else None)

    async def require(self, objects: Sequence[str]) -> None:
        """Raise UsageError for a name that is no table or index."""
        shape.named_tables(await self.tables_uncounted(), objects)

    async def tables(self, objects: Sequence[str] = (), *, counting: bool = True) -> list[Table]:
        """All tables, or those that were asked for by their names or those of their indexes, with their rows, about.

        `counting`: count the rows of tables without rowid, if that is quick.
        Raises UsageError for an object that is not there.
        """
        tables = shape.named_tables(await self.tables_uncounted(), objects)
        # Counting reads pages here and there, which takes longer from a disk than what it is for may take.
        seconds = shape.COUNTING if counting and not await asyncio.to_thread(is_cold, self.path) else 0.0
        tables = await shape.with_rows(self.connection, tables, counting=seconds)
        unknown = {table.name for table in tables if table.without_rowid and table.rows is None}
        sizes = await self.tree_sizes(unknown) if unknown else {}
        return [shape.having(table, sizes[table.name].cells) if table.name in sizes else table for table in tables]

    async def tables_uncounted(self) -> list[Table]:
        """All tables, with the row counts of the statistics only; read again only after a change."""
        known = self._tables
        self._tables = await self.read(lambda connection: self._read_tables(connection, known))
        return self._tables[1]

    @staticmethod
    def _read_tables(connection: sqlite3.Connection, known: _Tables | None) -> _Tables:
        ((version,),) = connection.execute("PRAGMA main.data_version")
        if known is not None and known[0] == version:
            return known
        return version, shape.read_tables(lambda sql: connection.execute(sql).fetchall())

    def forget(self) -> None:
        """This connection is about to change something."""
        self._tables = None

    async def fts_segments(self) -> dict[str, Segments | None]:
        """The segments of each full-text index (FTS5); None of one whose tables cannot be read."""
        virtual_tables = await self.rows(query("virtual_tables"))
        return await full_text.fts5_segments(lambda sql: statement.short(self.connection, sql), virtual_tables)

    async def unsafe_full_text(self, names: Collection[str]) -> dict[str, str]:
        """The full-text indexes that must not be written, each with its table: see `catalog.unsafe_table`."""
        found = [(name, await self.rows(catalog.unsafe_table(name))) for name in names]
        return {name: rows[0][0] for name, rows in found if rows}

    async def with_check_opcodes(self, summary: Summary, tables: list[Table], *, full: bool) -> list[Table]:
        """The tables with the opcodes that checks execute for their rows; unchanged if that is unknown, or not
        worth it. `full`: also those of a full check."""
        if len(tables) > MOST_COMPILED or summary.size < WORTH_FROM:
            return tables

        def look(connection: sqlite3.Connection) -> list[Table]:
            def opcodes_of(check: str) -> dict[int, int]:
                rows = statement.explain(connection, f"PRAGMA main.{check}")
                return check_program.opcodes_a_row([row[1:4] for row in rows])

            roots = {root.name: root.page for root in page_map.roots_of(connection) if not root.is_index}
            checked = opcodes_of("quick_check")
            compared = opcodes_of("integrity_check") if full else {}
            root_of = [roots.get(table.name, 0) for table in tables]
            return [
                replace(table, checked=checked.get(root), compared=compared.get(root))
                for table, root in zip(tables, root_of, strict=True)
            ]

        try:
            return await statement.read_by(self.connection, look, self._wait(self.cancel))
        except sqlite3.Error:  # the check itself will tell
            return tables

    async def checked_texts(self, summary: Summary, virtual_tables: Sequence[tuple[str, str | None]]) -> list[Texts]:
        """What a check of full-text indexes (FTS5) compares with their texts; SQLite before 3.44 compares nothing."""
        if sqlite3.sqlite_version_info < (3, 44):
            return []
        most = summary.size  # of a word there is a byte at least
        return await full_text.fts5_texts(lambda sql: statement.short(self.connection, sql), virtual_tables, most)

    async def renumbering(self, *, into: bool = False) -> Renumbering:
        """The rowids that VACUUM would change, and the objects that use them. `into`: it writes another file."""
        return await renumbering.find_renumbering(self.connection, self.rows, into=into)

    async def names_that_are_no_text(self) -> frozenset[str]:
        """Tables and indexes that no statement of Python can name, as text for screens."""
        return await self.read(_no_texts)

    async def rows_in_time(self, sql: str, seconds: float) -> list[Any] | None:
        """All rows; None where they cannot be had, or not in time."""
        with shape.set_after(seconds) as no_time:
            try:
                return await statement.fetch_all(self.connection, sql, no_time)
            except sqlite3.Error:
                return None


class PlanReader(Reader):
    """Reads for one plan. What the first look has read is not read again."""

    def __init__(self, of_session: Reader, database: OpenDatabase, has_read: _ForPlan) -> None:
        super().__init__(database)
        self.lock_timeout, self.cancel = of_session.lock_timeout, of_session.cancel
        self._of_session, self._has_read = of_session, has_read

    async def tables_uncounted(self) -> list[Table]:
        tables = self._has_read.tables
        return await self._of_session.tables_uncounted() if tables is None else tables[1]

    async def names_that_are_no_text(self) -> frozenset[str]:
        return self._has_read.no_texts

    async def _compile(self, sql: str) -> None:
        if sql not in self._has_read.errors:
            await super()._compile(sql)
        elif (error := self._has_read.errors[sql]) is not None:
            raise error
