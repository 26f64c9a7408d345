"""Worker processes that own running jobs, and what becomes of those of dead ones; see `OwnerSupervision`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg

from engine.domain.claims import Report
from engine.domain.errors import OwnershipLostError, StoreError
from engine.domain.events import WorkerProcess, is_stalled
from engine.domain.jobs import JobId
from engine.domain.lazy_import import lazy
from engine.domain.statuses import Reason
from engine.domain.steps import Micros
from engine.store.ending_texts import OVERWRITTEN, format_worker_death
from engine.store.postgres import proof, queries, values
from engine.store.postgres.connections import Connection, leave, store_error
from engine.store.postgres.job_reads import JobReads
from engine.store.postgres.roles import Role
from engine.store.postgres.store_base import StoreBase
from engine.store.rows import Row
from engine.system.background import pause_loop
from engine.system.held_process import hold_of
from engine.system.overwritten_file import overwritten_hint, was_overwritten

if TYPE_CHECKING:
    import importlib.metadata as metadata

    from engine.store.protocol import ProcessIdentity
else:
    metadata = lazy("importlib.metadata", "only a worker process tells its version")


class LostClaims(StoreBase):
    """What an owner does about claims that it lost, or whose answer it never got."""

    async def _hand_back_unknown(self, owner: str) -> None:
        """Hand back the children that this process owns by the word of the store alone."""
        self._claims.may_be_unknown = False
        try:
            for parent, ordinal, attempt in await self._pool.rows(queries.OWNED, {"owner": owner}):
                if not await self._claims.knows((owner, JobId(parent, ordinal), attempt)):
                    token = {"parent": parent, "ordinal": ordinal, "owner": owner, "attempt": attempt}
                    with suppress(OwnershipLostError):  # it has ended by now
                        await self._pool.call("release", values.as_jsonb(token), values.report(Report()), self._at())
        except StoreError:
            self._claims.may_be_unknown = True
            raise


OWNER_CHECK_INTERVAL = 0.6
"""Seconds between two looks whether all workers live, and whether a time has come."""
PROVES_AGAIN_WITHIN = 0.2
"""Seconds that a live process may need to take its lock again where its session has ended."""
KILLED_WITHIN = 10.0
"""Seconds in which another host kills a process that it is asked to."""
BEAT_INTERVAL = 5.0
"""Seconds between two signs of life of a process that has something to do."""


class Ownership(JobReads, LostClaims):
    """Worker processes that own running jobs, and what becomes of those of dead ones; see `OwnerSupervision`."""

    _nobody_dead_at: float | None = None
    _none_due_at: float | None = None
    """When `owner_died` looked last, if there was nothing to do."""
    _look_at = 0.0
    """When it looks next, however often it is called."""

    @asynccontextmanager
    async def hosting_workers(
        self,
        *,
        serves_all: bool = True,
        own_jobs: Collection[int] | None = None,
        identity: ProcessIdentity | None = None,
    ) -> AsyncIterator[str]:
        owner = identity.owner if identity else uuid.uuid4().hex
        pool = (identity.pool, identity.pool_size) if identity else None
        jobs = None if own_jobs is None else json.dumps(sorted(own_jobs))
        # Another attempt may get the same number from the server that answers now.
        self._pool.acknowledged.on_lost = lambda lost: leave(str(lost))
        async with self._registered(owner, serves_all=serves_all, pool=pool, jobs=jobs):
            beating = asyncio.create_task(self._beat(owner), name="dbtend-beat")
            try:
                yield owner
            finally:
                beating.cancel()
                if self._claims.may_be_unknown:
                    with suppress(StoreError):  # once this process is gone, others do it
                        await asyncio.shield(self._hand_back_unknown(owner))

    @asynccontextmanager
    async def reserving(self, run: str) -> AsyncIterator[None]:
        async with self._registered(run, is_run=True):
            self._run = run
            try:
                yield
            finally:
                self._run = None

    @asynccontextmanager
    async def _registered(
        self,
        name: str,
        *,
        is_run: bool = False,
        serves_all: bool = False,
        pool: tuple[int, int] | None = None,
        jobs: str | None = None,
    ) -> AsyncIterator[None]:
        """Register this process under a name; it proves that it lives while inside. `pool`: its number and its size."""
        release, queues = metadata.version("dbtend"), self._queues
        process = (os.getpid(), self._targets_here.host, self._machine, release)
        known = (name, *process, queues, serves_all, *(pool or (None, None)), jobs, is_run, self._at())

        async def register(connection: Connection) -> None:
            try:
                await connection.execute(queries.REGISTER.encode(), known)
            except psycopg.Error as error:
                raise store_error(self._what, error) from None

        async def prove_again(connection: Connection) -> bool:
            await self._pool.acknowledged.check(connection)
            if self._pool.acknowledged.lost is not None and is_run:
                return True  # it ends, and others may take its jobs
            cursor = await connection.execute(b"SELECT prove_again(%s)", (name,))
            return (await cursor.fetchone() or (False,))[0] is True

        async def give_up(connection: Connection) -> None:
            if is_run:
                await connection.execute(b"SELECT release_from(%s, %s)", (name, self._at()))
            else:
                await connection.execute(b"SELECT forget_worker(%s)", (name,))

        calls = register, prove_again, give_up
        async with proof.proving(self._url, self._what, *calls):
            yield

    async def _beat(self, owner: str) -> None:
        """While a job is open, leave a sign of life every now and then."""
        while True:
            seen = self.last_change()
            with suppress(StoreError):
                await self._pool.call("beat", owner)
                if self._claims.may_be_unknown:
                    await self._hand_back_unknown(owner)
                if not await self.has_open_jobs():
                    await self.next_change(seen)
            await pause_loop(BEAT_INTERVAL)

    async def owner_died(self) -> None:
        while True:
            await pause_loop(self._look_at - time.monotonic())
            if await self._look():
                return
            self._nobody_dead_at = time.monotonic()

    async def _look(self) -> bool:
        """Whether a process is dead."""
        self._look_at = time.monotonic() + OWNER_CHECK_INTERVAL
        ((is_dead, has_come),) = await self._pool.rows(queries.TO_LOOK_AFTER, {"at": self._at()})
        self._nobody_dead_at, self._none_due_at = None, None if has_come else time.monotonic()
        return bool(is_dead)

    async def kill_owner(self, running: JobId, owner: str, pid: int) -> bool:
        """Kill the owner on this machine by a signal; on another one its pool does, which reads the request.

        The process is held before its session is asked for, so that no later one with its number is meant.
        """
        asked = {"owner": owner, "pid": pid, "parent": running.parent, "ordinal": running.ordinal}
        rows = await self._pool.rows(queries.OWNER_OF, asked)
        if not rows:
            return False
        ((host, machine),) = rows
        if (host, machine) != (self._targets_here.host, self._machine):
            await self._wait_until_killed(asked, running, host, pid)
            return True
        try:
            with hold_of(pid) as send:
                if not await self._pool.rows(queries.OWNER_OF, asked):
                    return False
                send(signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    async def _wait_until_killed(self, asked: Mapping[str, Any], running: JobId, host: str, pid: int) -> None:
        """Raises StoreError."""
        until = time.monotonic() + KILLED_WITHIN
        while await self._pool.rows(queries.OWNER_OF, asked):
            if time.monotonic() >= until:
                why = f"{host} has not killed process {pid} within {KILLED_WITHIN:.0f} s, and does once it answers"
                raise StoreError(f"job {running}", why, f"kill it from a shell on {host}")
            await pause_loop(PROVES_AGAIN_WITHIN)

    async def workers(self) -> list[WorkerProcess]:
        asked = (queries.WORKERS, queries.RUNNING, queries.OLDEST_PENDING)
        rows, runs, pending = await self._pool.together(*((query, None) for query in asked))
        running: dict[str, list[tuple[JobId, Micros]]] = {}
        for owner, parent_id, ordinal, started_at in runs:
            running.setdefault(owner, []).append((JobId(parent_id, ordinal), started_at))
        pending_since = [at for (at,) in pending]
        return [_worker(row, running.get(row[0], []), pending_since) for row in rows]

    async def rescue(self) -> list[JobId]:
        """A read tells whose lock is free; there is a write only where one is still free a moment later."""
        rescued: list[JobId] = []
        if Role.WORKER not in self._rights or _is_recent(self._nobody_dead_at) or not await self._look():
            return []
        dead = await self._pool.rows(queries.DEAD_WORKERS)
        await pause_loop(PROVES_AGAIN_WITHIN)
        seen_before = {owner for owner, *_ in dead}
        for owner, is_run, signal_number in await self._pool.rows(queries.DEAD_WORKERS):
            if owner not in seen_before:
                continue
            if is_run:
                await self._pool.call("release_from", owner, self._at())
            else:
                rescued += await self._rescue_from(owner, signal_number)
        return rescued

    async def _rescue_from(self, dead_owner: str, signal_number: int | None = None) -> list[JobId]:
        overwritten = {}
        for parent_id, ordinal, engine, target in await self._pool.rows(queries.RUN_BY, {"owner": dead_owner}):
            if was_overwritten(engine, signal_number):
                hint = overwritten_hint(self._targets_here.here(target))
                overwritten[f"{parent_id}.{ordinal}"] = f"{OVERWRITTEN}: {hint}"
        died = format_worker_death(1, signal_number)
        asked = (dead_owner, signal_number, died, values.as_jsonb(overwritten), self._at())
        rows = await self._pool.write(queries.RESCUE, asked)
        return [JobId(parent_id, ordinal) for parent_id, ordinal in rows]

    async def enforce_time_limits(self) -> None:
        if _is_recent(self._none_due_at):
            return
        await self._pool.call("enforce_time_limits", self._at())

    async def let_start(self) -> None:
        if _is_recent(self._none_due_at):
            return
        await self._pool.call("let_start", self._at())

    async def request_force(
        self, job: JobId, running: JobId, owner: str, reason: Reason = Reason.CANCELLED_BY_USER
    ) -> bool:
        asked = (job.parent, job.ordinal, running.parent, running.ordinal)
        return bool(await self._pool.call("request_force", *asked, owner, reason, self._who, self._at()))


def _is_recent(looked_at: float | None) -> bool:
    """Whether `owner_died` has just looked, and found nothing to do."""
    return looked_at is not None and time.monotonic() - looked_at < 2 * OWNER_CHECK_INTERVAL


def _worker(row: Row, runs: Sequence[tuple[JobId, Micros]], pending_since: Sequence[Micros]) -> WorkerProcess:
    """A row of `queries.WORKERS`; `runs`: what it runs, each since when; `pending_since`: when the oldest job that any
    worker may run was created."""
    owner, pid, host, started_at, serves_all, pool, own_jobs, beat_at, now, is_alive, *more = row
    release, queues, drains, pool_size = more
    busy_since = [at for _, at in runs] or (pending_since if serves_all else [])
    return WorkerProcess(
        id=owner,
        pid=pid,
        host=host,
        started_at=started_at,
        serves_all=serves_all,
        alive=is_alive,
        stalled=is_alive and is_stalled(last_beat=beat_at, busy_since=min(busy_since, default=None), now=now),
        running=tuple(job for job, _ in runs),
        pool=pool,
        pool_size=pool_size,
        own_jobs=frozenset(json.loads(own_jobs or "[]")),
        version=release,
        queues=tuple(queues),
        draining=drains,
    )
