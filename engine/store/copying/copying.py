"""Copies the history of one store into a shared one: in portions, resumed after an interruption, compared at the end.

All numbers are kept, so that `dbtend show 42` shows the same job, and whatever refers to jobs, batches and events still
does. So the other store holds no jobs of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import psycopg

from engine.domain.errors import StoreError
from engine.domain.store_reports import StoreCopied
from engine.store.copying.embedded_source import embedded_source
from engine.store.copying.shared_source import SharedTables, quiet_store
from engine.store.copying.tables import (
    BATCHES,
    EVENTS,
    JOB_TABLES,
    NUMBERED,
    OTHER_TABLES,
    TABLES,
    OnProgress,
    Rows,
    Source,
)
from engine.store.location import StoreLocation
from engine.store.postgres.connections import Connection, store_error
from engine.store.postgres.schema import require_owner

PORTION: Final = 1_000
"""Jobs in one transaction."""
EVENTS_AT_ONCE: Final = 20_000
_OWN: Final = """SELECT EXISTS (SELECT FROM parent_job) OR EXISTS (SELECT FROM batch) OR EXISTS (SELECT FROM firing)
    OR EXISTS (SELECT FROM message)"""


async def copy(source: StoreLocation, to: str, on_progress: OnProgress) -> StoreCopied:
    """Raises StoreError if either store cannot be used, has open jobs or workers, or `to` has jobs of its own."""
    async with _opened(source) as found, quiet_store(to) as (connection, there):
        try:
            return await _Copy(found, connection, there).run(on_progress)
        except psycopg.Error as error:
            raise store_error(to, error) from None


def _opened(source: StoreLocation) -> AbstractAsyncContextManager[Source]:
    return embedded_source(source.path) if source.url is None else _shared_source(source.url)


@asynccontextmanager
async def _shared_source(url: str) -> AsyncIterator[SharedTables]:
    async with quiet_store(url) as (_, tables):
        yield tables


class _Copy:
    """One copy: from where, to where, and which columns of each table."""

    def __init__(self, source: Source, connection: Connection, there: SharedTables) -> None:
        self._source, self._connection, self._there = source, connection, there
        self._columns: dict[str, Sequence[str]] = {}

    async def run(self, on_progress: OnProgress) -> StoreCopied:
        await self._refuse_busy(self._source)
        await self._refuse_busy(self._there)
        finished_at = await self._begin()
        if finished_at is not None:
            return StoreCopied(rows=await self._there.counts(), copied_at=finished_at, was_complete=True)
        for table in TABLES:
            there = await self._there.columns(table)
            here = set(await self._source.columns(table))
            self._columns[table] = [name for name in there if name in here]
        await self._copy_jobs(on_progress)
        await self._copy_events()
        await self._copy_others()
        rows = await self._compare()
        ((at,),) = await self._there.read(
            "UPDATE copied SET finished_at = now_micros() WHERE source = %s RETURNING finished_at", (self._source.name,)
        )
        await self._there.read(f"ANALYZE {', '.join(TABLES)}")
        return StoreCopied(rows=rows, copied_at=at)

    async def _refuse_busy(self, store: Source) -> None:
        if number := await store.open_jobs():
            why = f"has {number:,} jobs that are not over" if number > 1 else "has a job that is not over"
            raise StoreError(store.name, why, "wait for them, or cancel them: dbtend history --status pending")
        if await store.live_workers():
            raise StoreError(store.name, "worker processes use it", "stop them first: see `dbtend workers`")

    async def _begin(self) -> int | None:
        """When the copy was finished before; None if it was not."""
        rows = await self._there.read("SELECT source, finished_at FROM copied")
        begun: dict[str, int | None] = {str(source): at for source, at in rows}
        if begun:
            if self._source.name not in begun:
                why = f"holds the history of another store already: {next(iter(begun))}"
                raise StoreError(self._there.name, why, "copy into a new store: ids of jobs are kept")
            return begun[self._source.name]
        ((has_own,),) = await self._there.read(_OWN)
        if has_own:
            raise StoreError(self._there.name, "holds jobs of its own", "copy into a new store: ids of jobs are kept")
        last = await self._source.last_numbers()
        await require_owner(self._connection, self._there.name)
        async with self._connection.transaction():
            await self._there.read("DELETE FROM event")
            for table in NUMBERED:
                if last[table]:
                    sequence = f"pg_get_serial_sequence('dbtend.{table}', 'id')"
                    await self._there.read(f"SELECT setval({sequence}, %s)", (last[table],))
            await self._there.read(
                "INSERT INTO copied (source, started_at) VALUES (%s, now_micros())", (self._source.name,)
            )
        return None

    async def _position(self, column: str) -> int:
        ((at,),) = await self._there.read(f"SELECT {column} FROM copied WHERE source = %s", (self._source.name,))
        return int(at)

    async def _move_on(self, column: str, to: int) -> None:
        await self._there.read(f"UPDATE copied SET {column} = %s WHERE source = %s", (to, self._source.name))

    async def _copy_jobs(self, on_progress: OnProgress) -> None:
        """Copy jobs, their batches first: jobs refer to them."""
        total = (await self._source.counts())["parent_job"]
        done, at = (await self._there.counts())["parent_job"], await self._position("jobs_up_to")
        if not at:
            async with self._writing(BATCHES):
                await self._there.read(f"DELETE FROM {BATCHES}")
                await self._write(BATCHES, await self._source.rows(BATCHES, self._columns[BATCHES]))
        while ids := await self._source.parents(at, PORTION):
            async with self._writing(*JOB_TABLES):
                for table in JOB_TABLES:
                    rows = await self._source.rows(table, self._columns[table], low=ids[0], high=ids[-1])
                    await self._write(table, rows)
                await self._move_on("jobs_up_to", ids[-1])
            at, done = ids[-1], done + len(ids)
            on_progress(done, total)

    async def _copy_events(self) -> None:
        last = (await self._source.last_numbers())[EVENTS]
        at = await self._position("events_up_to")
        while at < last:
            to = min(at + EVENTS_AT_ONCE, last)
            async with self._connection.transaction():
                await self._write(EVENTS, await self._source.rows(EVENTS, self._columns[EVENTS], low=at + 1, high=to))
                await self._move_on("events_up_to", to)
            at = to

    async def _copy_others(self) -> None:
        async with self._writing(*OTHER_TABLES):
            for table in reversed(OTHER_TABLES):
                await self._there.read(f"DELETE FROM {table}")
            for table in OTHER_TABLES:
                await self._write(table, await self._source.rows(table, self._columns[table]))

    @asynccontextmanager
    async def _writing(self, *tables: str) -> AsyncIterator[None]:
        """One transaction in which the triggers of these tables do nothing: what they would do is copied, too."""
        async with self._connection.transaction():
            for table in tables:
                await self._there.read(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            yield
            for table in tables:
                await self._there.read(f"ALTER TABLE {table} ENABLE TRIGGER USER")

    async def _write(self, table: str, rows: Rows) -> None:
        columns = ", ".join(self._columns[table])
        async with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy,
        ):
            for row in rows:
                await copy.write_row(row)

    async def _compare(self) -> Mapping[str, int]:
        """The number of rows of each table. Raises StoreError where the stores differ."""
        counts, there = await self._source.counts(), await self._there.counts()
        for table in TABLES:
            if counts[table] != there[table]:
                raise self._differs(table, f"{there[table]:,} rows there, and {counts[table]:,} here")
        at = 0
        while ids := await self._source.parents(at, PORTION):
            at = ids[-1]
            for table in JOB_TABLES:
                await self._compare_rows(table, low=ids[0], high=at)
        for low in range(1, (await self._source.last_numbers())[EVENTS] + 1, EVENTS_AT_ONCE):
            await self._compare_rows(EVENTS, low=low, high=low + EVENTS_AT_ONCE - 1)
        for table in (BATCHES, *OTHER_TABLES):
            await self._compare_rows(table)
        return counts

    async def _compare_rows(self, table: str, *, low: int | None = None, high: int | None = None) -> None:
        columns = self._columns[table]
        here = await self._source.rows(table, columns, low=low, high=high)
        there = await self._there.rows(table, columns, low=low, high=high)
        if low is None:
            here, there = sorted(here, key=repr), sorted(there, key=repr)
        for row, copied in zip(here, there, strict=False):
            if row != copied:
                raise self._differs(table, f"the row {dict(zip(columns[:2], row, strict=False))} is not the same")
        if len(here) != len(there):
            raise self._differs(table, f"{len(there):,} rows there, and {len(here):,} here")

    def _differs(self, table: str, how: str) -> StoreError:
        why = f"its table {table} is not the same as in {self._source.name}: {how}"
        return StoreError(self._there.name, why, "drop its schema dbtend, and copy again")
