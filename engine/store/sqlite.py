"""The embedded store: one SQLite file, one writer thread, reads through aiosqlite."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import uuid
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiosqlite

from engine.clock import now
from engine.errors import JobNotFoundError, StoreError
from engine.jobs import (
    Change,
    Claim,
    HistoryFilter,
    JobId,
    Micros,
    OnDuplicate,
    Outcome,
    ParentJob,
    Report,
    WorkerProcess,
)
from engine.store import connections, liveness, queries, transactions
from engine.store.base import NewJob
from engine.store.rows import Row, decode_change, decode_jobs
from engine.store.watch import ChangeWatch
from engine.store.writer import Writer


class SqliteStore:
    """A `Store` in one SQLite file. Open it with `async with SqliteStore.open(path) as store`."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        reader: aiosqlite.Connection,
        watch: ChangeWatch,
        clock: Callable[[], Micros],
    ) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._watch = watch
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, clock: Callable[[], Micros] = now) -> AsyncIterator[Self]:
        """Open the store, creating or upgrading the file.

        Raises StoreError where that is not possible, or the file is not a store, or a newer version's.
        """
        connections.create_file(path)
        writer = Writer(lambda: connections.connect_writer(path))
        await writer.open()
        try:
            watch = ChangeWatch(connections.connect_watch(path))
            writer.on_commit = watch.look
            try:
                async with aiosqlite.connect(connections.uri(path), uri=True, isolation_level=None) as reader:
                    await reader.executescript(connections.READER_PRAGMAS)
                    yield cls(path, writer, reader, watch, clock)
            finally:
                await watch.close()
        finally:
            await writer.close()

    # Writes: one transaction each.

    async def submit(self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate) -> list[int]:
        return await self._writer.run(lambda c: transactions.submit(c, jobs, on_duplicate, self._clock()))

    async def claim(self, owner: str, parents: Collection[int] | None = None) -> Claim | None:
        return await self._writer.run(lambda c: transactions.claim(c, owner, parents, self._clock()))

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        await self._writer.run(lambda c: transactions.finish(c, claim, outcome, report, self._clock()))

    async def finish_and_claim(
        self, claim: Claim, outcome: Outcome, report: Report, parents: Collection[int] | None = None
    ) -> Claim | None:
        def both(c: sqlite3.Connection) -> Claim | None:
            transactions.finish(c, claim, outcome, report, self._clock())
            return transactions.claim(c, claim.owner, parents, self._clock())

        return await self._writer.run(both)

    async def release(self, claim: Claim, report: Report) -> None:
        await self._writer.run(lambda c: transactions.release(c, claim, report, self._clock()))

    async def report(self, claim: Claim, report: Report) -> None:
        await self._writer.run(lambda c: transactions.write_report(c, claim, report))

    async def request_cancel(self, job: JobId) -> None:
        await self._writer.run(lambda c: transactions.request_cancel(c, job, self._clock()))

    async def rescue(self) -> list[JobId]:
        """Reads and file locks tell who is dead; there is a write only where someone is."""
        rescued: list[JobId] = []
        for (owner,) in await self._read(queries.OWNERS):
            if not liveness.is_alive(self.path, owner):
                rescued += await self._rescue_from(owner)
                liveness.remove_traces(self.path, owner)
        return rescued

    async def _rescue_from(self, dead_owner: str) -> list[JobId]:
        return await self._writer.run(lambda c: transactions.rescue(c, dead_owner, self._clock()))

    @asynccontextmanager
    async def hosting_workers(self) -> AsyncIterator[str]:
        owner = uuid.uuid4().hex
        with liveness.proof_of_life(self.path, owner):
            await self._writer.run(
                lambda c: transactions.register_worker(c, owner, os.getpid(), socket.gethostname(), self._clock())
            )
            try:
                yield owner
            finally:
                await asyncio.shield(self._writer.run(lambda c: transactions.forget_worker(c, owner)))

    # Reads: one statement each.

    async def workers(self) -> list[WorkerProcess]:
        rows = await self._read(queries.WORKERS)
        return [
            WorkerProcess(
                id=owner, pid=pid, host=host, started_at=started_at, alive=liveness.is_alive(self.path, owner)
            )
            for owner, pid, host, started_at in rows
        ]

    async def cancel_requests(self, owner: str) -> set[JobId]:
        rows = await self._read(queries.CANCEL_REQUESTS, {"owner": owner})
        return {JobId(parent_id, ordinal) for parent_id, ordinal in rows}

    def last_change(self) -> int:
        return self._watch.last_change

    async def changes(self, after: int, limit: int) -> list[Change]:
        rows = await self._read(queries.CHANGES, {"after": after, "limit": limit})
        return [decode_change(row) for row in rows]

    async def next_change(self, after: int) -> None:
        await self._watch.beyond(after)

    async def job(self, parent_id: int) -> ParentJob:
        found = decode_jobs(await self._read(queries.ONE_JOB, {"id": parent_id}))
        if parent_id not in found:
            raise JobNotFoundError(f"job {parent_id}", "there is no such job", "list them with `dbtend history`")
        return found[parent_id]

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        found = decode_jobs(await self._read(*queries.jobs(ids)))
        return [found[parent_id] for parent_id in ids if parent_id in found]

    async def open_jobs(self) -> list[ParentJob]:
        found = decode_jobs(await self._read(queries.OPEN_JOBS))
        return [found[parent_id] for parent_id in sorted(found)]

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]:
        found = decode_jobs(await self._read(*queries.history(where, before=before, limit=limit)))
        return [found[parent_id] for parent_id in sorted(found, reverse=True)]

    async def history_ids(self, where: HistoryFilter) -> array[int]:
        rows = await self._read(*queries.history_ids(where))
        return array("q", (row[0] for row in rows))

    async def _read(self, sql: str, values: Mapping[str, Any] | None = None) -> Iterable[Row]:
        try:
            return await self._reader.execute_fetchall(sql, values)
        except sqlite3.Error as error:
            raise StoreError(str(self.path), f"cannot be read: {error}", "run `dbtend doctor`") from error
