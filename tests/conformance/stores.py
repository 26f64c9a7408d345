"""Stores of both kinds for tests: what a test asks of a store, and how it looks at one from outside."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Protocol, cast

import psycopg
import pytest

from engine.store.postgres import queries
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import Store
from engine.store.rows import decode_jobs
from engine.store.sqlite import cancel_and_rescue
from engine.store.sqlite import queries as sqlite_queries
from engine.store.sqlite.store import SqliteStore
from tests.building import ticking_clock
from tests.engine.processes import Process, python
from tests.postgres_databases import as_admin
from tests.shared_stores import as_owner

if TYPE_CHECKING:
    from pathlib import Path

    from engine.domain.claims import Claim
    from engine.domain.jobs import JobId, ParentJob

Clock = Callable[[], int]
Contents = Mapping[str, Sequence[str]]
"""By table: its rows as text."""

REFUSALS = (sqlite3.DatabaseError, psycopg.DatabaseError)
"""What `Stores.sql` raises where the store refuses a statement."""
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'dbtend'::regnamespace AND relkind = 'r'"
OPENED = "from engine.store.%s import %s as Store\nopened = lambda: Store.open(%s)\n"
REGISTER = """INSERT INTO worker (id, session, pid, host, started_at, beat_at) VALUES (%s, 0, %s, %s, 0, 0)
ON CONFLICT DO NOTHING RETURNING id"""


class RescuingStore(Store, Protocol):
    """A store that takes a test's word for it that an owner is dead."""

    async def _rescue_from(self, dead_owner: str, signal_number: int | None = None) -> list[JobId]: ...


class Stores(Protocol):
    """Opens stores on the same data, any number of them."""

    def open(self, *, clock: Clock | None = None) -> AbstractAsyncContextManager[RescuingStore]:
        """Any name may claim there. `clock`: a ticking one if none is given."""
        ...

    def contents(self) -> Contents:
        """All that is stored, as another process sees it."""
        ...

    def watched(self, store: RescuingStore, look: Callable[[], object]) -> AbstractAsyncContextManager[None]:
        """Call `look` at each statement of the store."""
        ...

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement that both kinds understand, on a connection of its own."""
        ...

    async def whole_jobs(self, store: RescuingStore) -> list[ParentJob]:
        """All parents with attempts, steps and logs, by id."""
        ...

    async def lose_run(self, store: RescuingStore, run: str) -> None:
        """Let go what is reserved for a run, as if its process were dead."""
        ...

    def python(self, script: str, *arguments: object) -> AbstractContextManager[Process]:
        """A process that runs a script with `opened()`, which opens a store on the same data."""
        ...


class EmbeddedStores:
    """In a file of SQLite."""

    def __init__(self, path: Path, empty: Path) -> None:
        self.path = path
        shutil.copy(empty, path)
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        self._file.close()

    @asynccontextmanager
    async def open(self, *, clock: Clock | None = None) -> AsyncIterator[RescuingStore]:
        async with SqliteStore.open(self.path, clock=clock or ticking_clock()) as store:
            yield store

    def contents(self) -> Contents:
        self.sql("BEGIN")
        tables = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table'")
        found = {table: sorted(map(str, self.sql(f"SELECT * FROM {table}"))) for (table,) in tables}
        self.sql("COMMIT")
        return found

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        return self._file.execute(statement).fetchall()

    async def whole_jobs(self, store: RescuingStore) -> list[ParentJob]:
        found = decode_jobs(await cast("SqliteStore", store)._read(sqlite_queries.WHOLE_JOB))
        return [found[parent_id] for parent_id in sorted(found)]

    async def lose_run(self, store: RescuingStore, run: str) -> None:
        embedded = cast("SqliteStore", store)
        await embedded._writer.run(lambda c: cancel_and_rescue.release_from(c, run, embedded._clock()))

    def python(self, script: str, *arguments: object) -> AbstractContextManager[Process]:
        opens = OPENED % ("sqlite.store", "SqliteStore", "Path(sys.argv[-1])")
        return python(opens + dedent(script), *arguments, self.path)

    @asynccontextmanager
    async def watched(self, store: RescuingStore, look: Callable[[], object]) -> AsyncIterator[None]:
        writer = cast("SqliteStore", store)._writer
        await writer.run(lambda c: c.set_trace_callback(lambda _: look()))
        yield
        await writer.run(lambda c: c.set_trace_callback(None))


class SharedStores:
    """In a database of PostgreSQL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._admin = as_admin(as_owner(url))
        self._admin.execute("SET search_path = dbtend")

    def close(self) -> None:
        self._admin.close()

    @asynccontextmanager
    async def open(
        self,
        *,
        clock: Clock | None = None,
        host: str | None = None,
        machine: str | None = None,
        queues: Sequence[str] = ("any",),
    ) -> AsyncIterator[RescuingStore]:
        clock = clock or ticking_clock()
        opening = RegisteringStore.open(
            self.url, what="the store", host=host, machine=machine, queues=queues, clock=clock
        )
        async with opening as store:
            yield store

    def contents(self) -> Contents:
        with self._admin.transaction():
            self._admin.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            tables = self._admin.execute(TABLES).fetchall()
            return {table: sorted(map(str, self.sql(f"SELECT * FROM {table}"))) for (table,) in tables}

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self._admin.execute(statement.encode())
        return cursor.fetchall() if cursor.description is not None else []

    async def whole_jobs(self, store: RescuingStore) -> list[ParentJob]:
        found = await cast("PostgresStore", store)._jobs(queries.WHOLE_JOB, {})
        return [found[parent_id] for parent_id in sorted(found)]

    async def lose_run(self, store: RescuingStore, run: str) -> None:
        shared = cast("PostgresStore", store)
        await shared._pool.call("release_from", run, shared._at())

    def python(self, script: str, *arguments: object) -> AbstractContextManager[Process]:
        opens = OPENED % ("postgres.store", "PostgresStore", "sys.argv[-1], what='the store'")
        return python(opens + dedent(script), *arguments, self.url)

    @asynccontextmanager
    async def watched(self, store: RescuingStore, look: Callable[[], object]) -> AsyncIterator[None]:
        pool = cast("PostgresStore", store)._pool

        def looking(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
            async def look_and_ask(*query: Any) -> Any:
                look()
                return await ask(*query)

            return look_and_ask

        with pytest.MonkeyPatch.context() as patch:
            for name in ("rows", "write"):
                patch.setattr(pool, name, looking(getattr(pool, name)))
            yield


class RegisteringStore(PostgresStore):
    """A shared store in which any name may claim: it is registered, and nothing proves that it lives."""

    async def claim(self, owner: str, parents: Collection[int] | None = None, run: str | None = None) -> Claim | None:
        await self._pool.rows(REGISTER, (owner, os.getpid(), socket.gethostname()))
        return await super().claim(owner, parents, run)


class NewStores:
    """Makes empty stores of one kind."""

    def __init__(self, make: Callable[[], AbstractContextManager[Stores]], *, is_fast: bool) -> None:
        self._make, self.is_fast = make, is_fast

    def __call__(self) -> AbstractContextManager[Stores]:
        return self._make()


@contextmanager
def reserved(store: Store, run: str | None) -> Iterator[None]:
    """What is submitted inside is reserved for a run, which goes on afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_run", run)
        yield


async def newest_change(store: Store) -> int:
    """The `seq` of the newest change that is stored: `last_change` may be a moment behind."""
    newest = 0
    while changes := await store.changes(newest, 1_000):
        newest = changes[-1].seq
    return newest


async def until_somebody_waits(store: Store) -> None:
    """For a change."""
    watch = cast("SqliteStore | PostgresStore", store)._watch
    async with asyncio.timeout(10):
        while not watch._waiters._waiting:  # noqa: ASYNC110 - nobody is told who waits
            await asyncio.sleep(0)
