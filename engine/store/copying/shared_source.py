"""A shared store as the source of a copy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from engine.store.copying.tables import EVENTS, NUMBERED, TABLES, Rows, order_of, range_column
from engine.store.postgres.connections import Connection, connected, store_error
from engine.store.postgres.queries import LIVES
from engine.store.postgres.schema import LOCKS, require_current, require_usable


class SharedTables:
    """Reads the tables of a shared store, on one side of a copy or the other."""

    def __init__(self, connection: Connection, what: str) -> None:
        self.name = what
        self._connection = connection

    async def columns(self, table: str) -> Sequence[str]:
        query = "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        return [str(name) for (name,) in await self.read(query, (f"dbtend.{table}",))]

    async def rows(
        self, table: str, columns: Sequence[str], *, low: int | None = None, high: int | None = None
    ) -> Rows:
        where = "" if low is None else f" WHERE {range_column(table)} BETWEEN %s AND %s"
        order = ", ".join(order_of(table)) or "1"
        query = f"SELECT {', '.join(columns)} FROM {table}{where} ORDER BY {order}"
        return await self.read(query, () if low is None else (low, high))

    async def parents(self, after: int, limit: int) -> list[int]:
        rows = await self.read("SELECT id FROM parent_job WHERE id > %s ORDER BY id LIMIT %s", (after, limit))
        return [int(number) for (number,) in rows]

    async def last_numbers(self) -> Mapping[str, int]:
        found = {EVENTS: int((await self.read("SELECT coalesce(max(seq), 0) FROM event"))[0][0])}
        for table in NUMBERED:
            query = f"SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('dbtend.{table}', 'id')), 0)"
            found[table] = int((await self.read(query))[0][0])
        return found

    async def counts(self) -> Mapping[str, int]:
        return {table: int((await self.read(f"SELECT count(*) FROM {table}"))[0][0]) for table in TABLES}

    async def open_jobs(self) -> int:
        return int((await self.read("SELECT count(*) FROM parent_job WHERE finished_at IS NULL"))[0][0])

    async def live_workers(self) -> int:
        return int((await self.read(f"SELECT count(*) FROM worker AS w WHERE {LIVES}"))[0][0])

    async def read(self, query: str, given: Sequence[Any] = ()) -> Rows:
        try:
            cursor = await self._connection.execute(query.encode(), given)
            return await cursor.fetchall() if cursor.description is not None else []
        except psycopg.Error as error:
            raise store_error(self.name, error) from None


@asynccontextmanager
async def quiet_store(url: str) -> AsyncIterator[tuple[Connection, SharedTables]]:
    """A shared store in which no job is submitted, claimed or ended while inside: others wait at its gate.

    Raises StoreError.
    """
    async with connected(url, url, "dbtend store") as connection:
        await require_current(connection, url)
        await require_usable(connection, url)
        tables = SharedTables(connection, url)
        await tables.read(f"SELECT pg_advisory_lock({LOCKS['GATE']})")
        yield connection, tables
