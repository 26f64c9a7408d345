"""The embedded store of this host as the source of a copy: its rows as a shared store keeps them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

from engine.domain.engines import EngineName
from engine.domain.requests import DEFAULT_OPTIONS
from engine.store.copying.tables import BATCHES, EVENTS, JOB_TABLES, NUMBERED, TABLES, Row, Rows, order_of, range_column
from engine.store.postgres import values
from engine.store.postgres.host_targets import HostTargets
from engine.store.sqlite import connections
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.writer import begin_immediate
from engine.system.host import host_name

_FLAGS: Final = frozenset(
    "canary is_pattern pinned held recovering error_is_finding is_settings sending".split()  # noqa: SIM905
)
_JSON: Final = frozenset("operations options warnings before after effect facts found done".split())  # noqa: SIM905
_NOT_IN_JSONB: Final = re.compile(r"\\u0000|\\ud[89a-f]|NaN|Infinity", re.IGNORECASE)


class EmbeddedSource:
    """A store in a file, locked against writes."""

    def __init__(self, path: Path, connection: sqlite3.Connection, host: str, alive: int) -> None:
        self.name = f"{host}:{os.path.realpath(path)}"
        self._path, self._connection, self._alive = path, connection, alive
        self._targets = HostTargets(host)

    async def columns(self, table: str) -> Sequence[str]:
        own = [str(row[1]) for row in await self._read(f"PRAGMA table_info({table})")]
        return [*own, "queue"] if table in {"parent_job", "child_job"} else own

    async def rows(
        self, table: str, columns: Sequence[str], *, low: int | None = None, high: int | None = None
    ) -> Rows:
        return await asyncio.to_thread(self._rows, table, columns, low, high)

    def _rows(self, table: str, columns: Sequence[str], low: int | None, high: int | None) -> Rows:
        named = ", ".join(f"{self._of(table, name)} AS {name}" for name in columns)
        where = "" if low is None else f" WHERE t.{range_column(table)} BETWEEN ? AND ?"
        order = ", ".join(order_of(table)) or "1"
        joined = " JOIN parent_job AS p ON p.id = t.parent_id" if table == "child_job" else ""
        query = f"SELECT {named} FROM {table} AS t{joined}{where} ORDER BY {order}"
        flags: frozenset[str] = frozenset() if table == BATCHES else _FLAGS  # of a batch, `canary` is a number
        return [self._stored(columns, row, flags) for row in self._execute(query, () if low is None else (low, high))]

    def _of(self, table: str, column: str) -> str:
        """What a row of the shared store has in this column, but for the name of the host; the engine for those that
        depend on it."""
        if column == "queue":
            return "p.engine" if table == "child_job" else "t.engine"
        if column == "target_key" and table in JOB_TABLES:
            engine = "p.engine" if table == "child_job" else "t.engine"
            return f"json_array({engine}, t.target_key)"
        return f"t.{column}"

    def _stored(self, columns: Sequence[str], row: Row, flags: Collection[str]) -> Row:
        return tuple(
            bool(value) if name in flags else self._text(name, value) if isinstance(value, str) else value
            for name, value in zip(columns, row, strict=True)
        )

    def _text(self, column: str, value: str) -> str:
        if column == "target":
            return values.clean(self._targets.stored(value))
        if column == "queue":
            return self._targets.queue_of(EngineName(value), DEFAULT_OPTIONS)
        if column == "target_key":
            engine, key = json.loads(value)
            return values.clean(self._targets.key(EngineName(engine), key))
        if column in _JSON and _NOT_IN_JSONB.search(value):
            return json.dumps(values.cleaned(json.loads(value)))
        return values.clean(value)

    async def parents(self, after: int, limit: int) -> list[int]:
        rows = await self._read("SELECT id FROM parent_job WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [int(number) for (number,) in rows]

    async def last_numbers(self) -> Mapping[str, int]:
        given = "SELECT name, seq FROM main.sqlite_sequence WHERE typeof(seq) = 'integer'"  # it can be edited by hand
        numbers: dict[str, int] = dict(await self._read(given))
        found = {EVENTS: int((await self._read("SELECT coalesce(max(seq), 0) FROM event"))[0][0])}
        for table in NUMBERED:
            there = int((await self._read(f"SELECT coalesce(max(id), 0) FROM {table}"))[0][0])
            found[table] = max(there, numbers.get(table, 0))
        return found

    async def counts(self) -> Mapping[str, int]:
        return {table: int((await self._read(f"SELECT count(*) FROM {table}"))[0][0]) for table in TABLES}

    async def open_jobs(self) -> int:
        return int((await self._read("SELECT count(*) FROM parent_job WHERE finished_at IS NULL"))[0][0])

    async def live_workers(self) -> int:
        return self._alive

    async def _read(self, query: str, given: Sequence[Any] = ()) -> Rows:
        return await asyncio.to_thread(self._execute, query, given)

    def _execute(self, query: str, given: Sequence[Any]) -> Rows:
        try:
            return self._connection.execute(query, given).fetchall()
        except sqlite3.Error as error:
            raise connections.format_read_error(self._path, error) from error


@asynccontextmanager
async def embedded_source(path: Path) -> AsyncIterator[EmbeddedSource]:
    """The store in a file; no other process writes to it while inside. Raises StoreError."""
    async with SqliteStore.open(path) as store:
        alive = sum(process.alive for process in await store.workers())
    connection = await asyncio.to_thread(connections.connect_writer, path)
    with closing(connection):
        try:
            await asyncio.to_thread(begin_immediate, connection, connections.OPEN_TIMEOUT)
        except sqlite3.Error as error:
            raise connections.as_text(path, error) from error
        yield EmbeddedSource(path, connection, host_name(), alive)
        connection.execute("ROLLBACK")
