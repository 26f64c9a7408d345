"""The shared store: a PostgreSQL database that any number of hosts and people use."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import uuid
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from engine.domain.advice import CompletedStep, Measurement
from engine.domain.backups import RecordedBackup
from engine.domain.batches import Batch
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import StoreBusyError, StoreError, StoreUncertainError
from engine.domain.events import Change, HistoryFilter, Pause, WorkerProcess, is_stalled
from engine.domain.humanize import OVERWRITTEN, format_worker_death
from engine.domain.jobs import JobId, ParentJob
from engine.domain.lazy_import import lazy
from engine.domain.past_runs import EstimatedRun, PastRun
from engine.domain.requests import OnDuplicate, Operation, Speed
from engine.domain.schedules import Firing, ScheduleState
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.domain.surveys import LastJob, Survey
from engine.domain.turns import Turns
from engine.store.postgres import history_search, proof, queries, values
from engine.store.postgres.change_watch import ChangeWatch
from engine.store.postgres.connections import Connection, Pool, connected, no_such_batch, no_such_job
from engine.store.postgres.schema import require_current
from engine.store.protocol import NewBatch, NewJob
from engine.store.row_checks import LATEST
from engine.store.rows import (
    Row,
    decode_backup,
    decode_batch,
    decode_change,
    decode_estimated_run,
    decode_jobs,
    decode_measured,
    decode_run,
)
from engine.store.schedule_rows import KEPT, KEPT_OF_EACH, decode_firing, decode_state
from engine.store.survey_rows import COLUMNS as SURVEY
from engine.store.survey_rows import KEPT as SURVEYS_KEPT
from engine.store.survey_rows import decoded_last_jobs, decoded_surveys, encode_survey
from engine.system.overwritten_file import overwritten_hint, was_overwritten

if TYPE_CHECKING:
    import importlib.metadata as metadata

    from engine.store.protocol import ProcessIdentity
else:
    metadata = lazy("importlib.metadata", "only a worker process tells its version")

ANY_ID = 2**63 - 1
OWNER_CHECK_INTERVAL = 0.5
"""Seconds between two looks whether all workers live."""
BEAT_INTERVAL = 5.0
"""Seconds between two signs of life of a process that has something to do."""
ANY_HOST = "any"
"""The queue of jobs that every worker may run."""


class PostgresStore:
    """A `Store` in a PostgreSQL database. Open it with `async with PostgresStore.open(url) as store`."""

    def __init__(
        self, url: str, what: str, pool: Pool, watch: ChangeWatch, clock: Callable[[], Micros] | None, who: str
    ) -> None:
        self._url, self._what = url, what
        self._pool = pool
        self._watch = watch
        self._clock = clock
        self._who = who
        self._queues: list[str] | None = None
        """Those that this process serves; None: all."""
        self._run: str | None = None
        """The run for which submitted jobs are reserved."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, url: str, *, what: str, who: str = "", size: int = 4, clock: Callable[[], Micros] | None = None
    ) -> AsyncIterator[Self]:
        """Open the store. Raises StoreError if there is none of this version, or it cannot be reached.

        Args:
            what: the name of the store in errors, without a password.
            who: who uses it, as the history shows it.
            size: connections at most, beside the one that listens.
            clock: for tests; None: the server's.
        """
        async with connected(url, what, "dbtend") as connection:
            await require_current(connection, what)
        pool, watch = Pool(url, what, program="dbtend", size=size), ChangeWatch(url, what)
        await pool.open()
        try:
            await watch.open()
            yield cls(url, what, pool, watch, clock, who)
        finally:
            await watch.close()
            await pool.close()

    def _at(self) -> Micros | None:
        return None if self._clock is None else self._clock()

    # Writes: one function of the server each.

    async def submit(
        self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate, batch: NewBatch | None = None
    ) -> list[int]:
        submission = uuid.uuid4().hex
        new = values.as_jsonb([values.new_job(job, ANY_HOST) for job in jobs])
        try:
            ids = await self._pool.call(
                *("submit", new, on_duplicate, values.new_batch(batch), submission, self._run, self._who, self._at())
            )
        except StoreBusyError as error:
            ids = await self._submitted(submission, error)
            if not ids:
                raise StoreBusyError(error.what, f"{error.why}: nothing was submitted", error.hint) from error
            if len(ids) < len(jobs):  # which open jobs the others joined was in the answer
                why = f"{error.why}; the new jobs are submitted"
                raise StoreUncertainError(error.what, why, "look at `dbtend history`") from error
        return list(ids)

    async def _submitted(self, submission: str, error: StoreBusyError) -> list[int]:
        """What was stored of a submit whose answer was lost."""
        try:
            return list(await self._pool.call("submitted", submission))
        except StoreError:
            why = f"{error.why}; this may or may not be submitted"
            raise StoreUncertainError(error.what, why, "look at `dbtend history` first") from error

    async def claim(self, owner: str, parents: Collection[int] | None = None, run: str | None = None) -> Claim | None:
        among = None if parents is None else list(parents)
        return values.claim(await self._pool.call("claim", owner, self._queues, among, run, self._at()), owner)

    async def report(self, claim: Claim, report: Report) -> None:
        await self._pool.call("report", values.token(claim), values.report(report))

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        await self._pool.call("finish", values.token(claim), values.outcome(outcome), values.report(report), self._at())

    async def finish_and_claim(
        self,
        claim: Claim,
        outcome: Outcome,
        report: Report,
        parents: Collection[int] | None = None,
        run: str | None = None,
    ) -> Claim | None:
        among = None if parents is None else list(parents)
        ended = (values.token(claim), values.outcome(outcome), values.report(report))
        found = await self._pool.call("finish_and_claim", *ended, self._queues, among, run, self._at())
        return values.claim(found, claim.owner)

    async def release(self, claim: Claim, report: Report) -> None:
        await self._pool.call("release", values.token(claim), values.report(report), self._at())

    async def request_cancel(self, job: JobId, reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        await self._pool.call("request_cancel", job.parent, job.ordinal, reason, self._who, self._at())

    async def cancel_all(self, parent_ids: Collection[int], reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        await self._pool.call("cancel_all", list(parent_ids), reason, self._who, self._at())

    async def cancel_batch(self, batch_id: int) -> None:
        await self._pool.call("cancel_batch", batch_id, self._who, self._at())

    async def request_force(
        self, job: JobId, running: JobId, owner: str, reason: Reason = Reason.CANCELLED_BY_USER
    ) -> bool:
        asked = (job.parent, job.ordinal, running.parent, running.ordinal)
        return bool(await self._pool.call("request_force", *asked, owner, reason, self._who, self._at()))

    async def enforce_time_limits(self) -> None:
        await self._pool.call("enforce_time_limits", self._at())

    async def let_start(self) -> None:
        await self._pool.call("let_start", self._at())

    async def pause(self, by: str) -> None:
        await self._pool.call("pause", by, self._at())

    async def resume(self) -> None:
        await self._pool.call("resume", self._at())

    async def pin(self, parent_id: int, pinned: bool) -> None:
        await self._pool.call("pin", parent_id, pinned)

    async def prune(self, parent_ids: Collection[int]) -> int:
        return int(await self._pool.call("prune", list(parent_ids)))

    async def prune_changes(self, *, before: Micros, limit: int) -> int:
        return int(await self._pool.call("prune_changes", before, limit))

    async def rescue(self) -> list[JobId]:
        """A read tells whose lock is free; there is a write only where one is."""
        rescued: list[JobId] = []
        for owner, is_run, signal_number in await self._pool.rows(queries.DEAD_WORKERS):
            if is_run:
                await self._pool.call("release_from", owner, False, self._at())
            else:
                rescued += await self._rescue_from(owner, signal_number)
        return rescued

    async def _rescue_from(self, dead_owner: str, signal_number: int | None = None) -> list[JobId]:
        overwritten = {}
        for parent_id, ordinal, engine, target in await self._pool.rows(queries.RUN_BY, {"owner": dead_owner}):
            if was_overwritten(engine, signal_number):
                overwritten[f"{parent_id}.{ordinal}"] = f"{OVERWRITTEN}: {overwritten_hint(target)}"
        died = format_worker_death(1, signal_number)
        asked = (dead_owner, signal_number, died, values.as_jsonb(overwritten), self._at())
        rows = await self._pool.rows(queries.RESCUE, asked)
        return [JobId(parent_id, ordinal) for parent_id, ordinal in rows]

    async def observe_schedules(self, seen: Collection[ScheduleState]) -> None:
        states = [{"name": one.name, "start": one.start, "config": one.config, "since": one.since} for one in seen]
        await self._pool.call("observe_schedules", values.as_jsonb(states))

    async def forget_schedules(self, names: Collection[str]) -> None:
        await self._pool.call("forget_schedules", list(names))

    async def enable_schedule(self, name: str) -> None:
        await self._pool.call("enable_schedule", name, self._at())

    async def disable_schedule(self, name: str, by: str) -> None:
        await self._pool.call("disable_schedule", name, values.clean(by), self._at())

    async def fire(self, firing: Firing, jobs: Sequence[NewJob], batch: NewBatch) -> Firing | None:
        new = values.as_jsonb([values.new_job(job, ANY_HOST) for job in jobs])
        asked = (values.firing(firing), new, values.new_batch(batch), None, self._run, self._who, self._at())
        rows = await self._pool.rows(queries.FIRE, asked)
        return decode_firing(rows[0]) if rows else None

    async def record_firings(self, firings: Collection[Firing]) -> list[Firing]:
        asked = values.as_jsonb([values.firing_values(firing) for firing in firings])
        return [decode_firing(row) for row in await self._pool.rows(queries.RECORD_FIRINGS, (asked,))]

    async def prune_firings(self) -> None:
        await self._pool.call("prune_firings", await self._now() - KEPT, KEPT_OF_EACH)

    async def save_surveys(self, done: Collection[Survey]) -> None:
        rows = [dict(zip(SURVEY, encode_survey(survey), strict=True)) for survey in done]
        await self._pool.call("save_surveys", values.as_jsonb(rows), await self._now() - SURVEYS_KEPT)

    @asynccontextmanager
    async def hosting_workers(
        self,
        *,
        serves_all: bool = True,
        own_jobs: Collection[int] | None = None,
        identity: ProcessIdentity | None = None,
    ) -> AsyncIterator[str]:
        owner, pool = (identity.owner, identity.pool) if identity else (uuid.uuid4().hex, None)
        jobs = None if own_jobs is None else json.dumps(sorted(own_jobs))
        async with self._registered(owner, serves_all=serves_all, pool=pool, jobs=jobs):
            beating = asyncio.create_task(self._beat(owner), name="dbtend-beat")
            try:
                yield owner
            finally:
                beating.cancel()
                with suppress(StoreError):  # once this process is gone, others do it
                    await asyncio.shield(self._pool.call("forget_worker", owner))

    @asynccontextmanager
    async def reserving(self, run: str) -> AsyncIterator[None]:
        async with self._registered(run, is_run=True):
            self._run = run
            try:
                yield
            finally:
                self._run = None
                with suppress(StoreError):
                    await asyncio.shield(self._pool.call("release_from", run, True, self._at()))

    @asynccontextmanager
    async def _registered(
        self,
        name: str,
        *,
        is_run: bool = False,
        serves_all: bool = False,
        pool: int | None = None,
        jobs: str | None = None,
    ) -> AsyncIterator[None]:
        """Register this process under a name; it proves that it lives while inside."""
        release, queues = metadata.version("dbtend"), self._queues or []
        process = (os.getpid(), socket.gethostname(), release)
        known = (name, *process, queues, serves_all, pool, jobs, is_run, self._at())

        async def register(connection: Connection) -> None:
            await connection.execute(queries.REGISTER.encode(), known)

        async def prove_again(connection: Connection) -> bool:
            cursor = await connection.execute(b"SELECT prove_again(%s)", (name,))
            return (await cursor.fetchone() or (False,))[0] is True

        async with proof.proving(self._url, self._what, register=register, prove_again=prove_again):
            yield

    async def _beat(self, owner: str) -> None:
        """While a job is open, leave a sign of life every now and then."""
        while True:
            seen = self.last_change()
            with suppress(StoreError):
                await self._pool.call("beat", owner)
                if not await self.has_open_jobs():
                    await self.next_change(seen)
            await asyncio.sleep(BEAT_INTERVAL)

    async def owner_died(self) -> None:
        while True:
            if await self._pool.rows(queries.DEAD_WORKERS):
                return
            await asyncio.sleep(OWNER_CHECK_INTERVAL)

    async def kill_owner(self, running: JobId, owner: str, pid: int) -> bool:
        """On this host by a signal, elsewhere by the end of the session that proves it alive: it ends with that."""
        rows = await self._pool.rows(
            queries.OWNER_OF, {"owner": owner, "parent": running.parent, "ordinal": running.ordinal}
        )
        for host, session in rows:
            if host == socket.gethostname():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await self._pool.rows("SELECT pg_terminate_backend(%s)", (session,))
        return bool(rows)

    # Reads: one statement each.

    async def _now(self) -> Micros:
        if self._clock is not None:
            return self._clock()
        ((now,),) = await self._pool.rows("SELECT now_micros()")
        return int(now)

    async def schedule_states(self) -> Mapping[str, ScheduleState]:
        states = map(decode_state, await self._pool.rows(queries.SCHEDULE_STATES))
        return {state.name: state for state in states}

    async def last_handled(self, schedule: str, now: Micros) -> Micros | None:
        rows = await self._pool.rows(queries.LAST_HANDLED, {"schedule": schedule, "now": now})
        return next((at for (at,) in rows), None)

    async def last_fired(self, schedule: str, since: Micros) -> Micros | None:
        rows = await self._pool.rows(queries.LAST_FIRED, {"schedule": schedule, "since": since})
        return next((at for (at,) in rows), None)

    async def open_batch(self, schedule: str) -> int | None:
        found = await self._pool.call("open_batch", schedule)
        return None if found is None else int(found)

    async def firings(
        self, schedule: str | None = None, *, since: Micros | None = None, until: Micros | None = None, limit: int
    ) -> list[Firing]:
        asked = {"schedule": schedule, "since": since or 0, "until": LATEST if until is None else until, "limit": limit}
        return [decode_firing(row) for row in await self._pool.rows(queries.FIRINGS, asked)]

    async def surveys(self, targets: Collection[str]) -> Mapping[str, Survey]:
        names = [values.clean(target) for target in targets]
        return decoded_surveys(await self._pool.rows(queries.SURVEYS, {"targets": names}))

    async def last_jobs(self, targets: Collection[str]) -> Mapping[str, LastJob | None]:
        names = [values.clean(target) for target in targets]
        return decoded_last_jobs(await self._pool.rows(queries.LAST_JOBS, {"targets": names}))

    async def has_pending(self, parents: Collection[int] | None = None, run: str | None = None) -> bool:
        among = None if parents is None else list(parents)
        asked = {"queues": self._queues, "parents": among, "run": run}
        ((is_there,),) = await self._pool.rows(queries.HAS_PENDING, asked)
        return bool(is_there)

    async def has_open_jobs(self) -> bool:
        ((is_open,),) = await self._pool.rows(queries.IS_OPEN)
        return bool(is_open)

    async def paused(self) -> Pause | None:
        found = [Pause(at=at, by=by) for at, by in await self._pool.rows(queries.PAUSE)]
        return found[0] if found else None

    async def cancel_requests(self, owner: str) -> set[JobId]:
        rows = await self._pool.rows(queries.CANCEL_REQUESTS, {"owner": owner})
        return {JobId(parent_id, ordinal) for parent_id, ordinal in rows}

    def last_change(self) -> int:
        return self._watch.last_change

    async def changes(self, after: int, limit: int) -> list[Change]:
        rows = await self._pool.rows(queries.CHANGES, {"after": after, "limit": limit})
        return [decode_change(row) for row in rows]

    async def next_change(self, after: int) -> None:
        await self._watch.wait_beyond(after)

    async def job(self, parent_id: int) -> ParentJob:
        found = await self._jobs(queries.ONE_JOB, {"id": parent_id})
        if parent_id not in found:
            raise no_such_job(f"#{parent_id}")
        return found[parent_id]

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        found = await self._jobs(queries.JOBS, {"ids": list(ids)})
        return [found[parent_id] for parent_id in ids if parent_id in found]

    async def open_jobs(self) -> list[ParentJob]:
        found = await self._jobs(queries.OPEN_JOBS, {})
        return [found[parent_id] for parent_id in sorted(found)]

    async def batch_jobs(self, batch_id: int) -> list[ParentJob]:
        found = await self._jobs(queries.BATCH_JOBS, {"id": batch_id})
        return [found[parent_id] for parent_id in sorted(found)]

    async def _jobs(self, query: str, asked: Mapping[str, Any]) -> dict[int, ParentJob]:
        rows = await self._pool.rows(query, asked)
        return await asyncio.to_thread(decode_jobs, rows)  # there may be ten thousand steps

    async def batch(self, batch_id: int) -> Batch:
        for row in await self._pool.rows(queries.BATCH, {"id": batch_id}):
            return decode_batch(row)
        raise no_such_batch(batch_id)

    async def batch_span(self, batch_id: int) -> tuple[Micros | None, Micros | None]:
        ((started_at, finished_at),) = await self._pool.rows(queries.BATCH_SPAN, {"id": batch_id})
        return started_at, finished_at

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]:
        found: array[int] = array("q")
        async for ids in self.search(where, before=before):
            found += ids
            if len(found) >= limit:
                break
        return await self.jobs(found[:limit])

    async def search(
        self, where: HistoryFilter, *, before: int | None = None, folded: bool = False
    ) -> AsyncIterator[array[int]]:
        ((oldest, newest),) = await self._pool.rows(*history_search.bounds(where))
        if oldest is None or newest is None:
            return
        targets = await self._targets(where) if where.has_target else None
        if targets == []:
            return
        high = newest if before is None else min(newest, before - 1)
        size = history_search.FIRST_RANGE
        while high >= oldest:
            low = max(high - size + 1, oldest)
            query = history_search.ids_in_range(where, targets, low=low, high=high, folded=folded)
            rows = await self._pool.rows(*query)
            yield array("q", sorted((parent_id for (parent_id,) in rows), key=abs, reverse=True))
            high, size = low - 1, min(size * 4, history_search.LARGEST_RANGE)

    async def _targets(self, where: HistoryFilter) -> list[str] | None:
        """Those that a filter means, of all that ever had a job; None where it means them all."""
        rows = [] if where.target else await self._pool.rows(history_search.TARGETS)
        known = [where.target] if where.target else [str(target) for (target,) in rows]
        meant = [target for target in known if where.matches_target(target)]
        return None if where.target is None and len(meant) == len(known) else meant

    async def past_runs(self, target: str, operation: Operation, *, newest: int, jobs: int, runs: int) -> list[PastRun]:
        asked = {"target": target, "operation": operation, "newest": newest, "jobs": jobs, "runs": runs}
        return [decode_run(row) for row in await self._pool.rows(queries.PAST_RUNS, asked)]

    async def estimated_runs(self, runs: int) -> list[EstimatedRun]:
        return [decode_estimated_run(row) for row in await self._pool.rows(queries.ESTIMATED_RUNS, {"runs": runs})]

    async def past_steps(
        self, target: str, operation: str, *, speed: Speed, jobs: int, runs: int
    ) -> Mapping[str, float]:
        asked = {"target": target, "operation": operation, "newest": ANY_ID, "jobs": jobs, "runs": runs, "speed": speed}
        return {str(command): float(seconds) for command, seconds in await self._pool.rows(queries.PAST_STEPS, asked)}

    async def last_done(self, target: str, *, jobs: int) -> Mapping[tuple[Operation, str], CompletedStep]:
        rows = await self._pool.rows(queries.LAST_DONE, {"target": target, "jobs": jobs})
        return {
            (Operation(operation), name): CompletedStep(at, json.loads(effect or "{}"))
            for operation, name, at, effect in rows
        }

    async def turns(self, target: str, *, jobs: int, steps: int) -> Turns:
        works = await self._pool.rows(queries.OBJECT_TURNS, {"target": target, "steps": steps})
        begun = {(Operation(kind), str(name)): (done, last) for kind, name, done, last in works}
        unfinished = await self._pool.rows(queries.UNFINISHED_RUNS, {"target": target, "jobs": jobs})
        return Turns(
            done={work: done for work, (done, _) in begun.items() if done},
            begun={work: last for work, (_, last) in begun.items()},
            unfinished={Operation(name): parent_id for name, parent_id in unfinished},
        )

    async def backups(self, target: str) -> list[RecordedBackup]:
        return [decode_backup(row) for row in await self._pool.rows(queries.BACKUPS, {"target": target})]

    async def open_targets(self) -> list[str]:
        return [str(target) for (target,) in await self._pool.rows(queries.OPEN_TARGETS)]

    async def measured(self, target: str) -> Measurement | None:
        rows = await self._pool.rows(queries.MEASURED, {"target": target})
        return next((decode_measured(row) for row in rows), None)

    async def save_measurement(self, target: str, measured: Measurement) -> None:
        found = values.facts_text(measured.found)
        await self._pool.call("save_measurement", values.clean(target), measured.state, found, self._at())

    async def count(self) -> int:
        ((number,),) = await self._pool.rows(history_search.COUNT)
        return int(number)

    async def prunable(self, status: Status, *, before: Micros, keep_last: int, after: int, limit: int) -> list[int]:
        asked = {"status": status, "before": before, "keep_last": keep_last, "after": after, "limit": limit}
        return [parent_id for (parent_id,) in await self._pool.rows(queries.PRUNABLE, asked)]

    async def workers(self) -> list[WorkerProcess]:
        rows = await self._pool.rows(queries.WORKERS)
        if not rows:
            return []
        running: dict[str, list[tuple[JobId, Micros]]] = {}
        for owner, parent_id, ordinal, started_at in await self._pool.rows(queries.RUNNING):
            running.setdefault(owner, []).append((JobId(parent_id, ordinal), started_at))
        pending_since = [at for (at,) in await self._pool.rows(queries.OLDEST_PENDING)]
        return [_worker(row, running.get(row[0], []), pending_since) for row in rows]


def _worker(row: Row, runs: Sequence[tuple[JobId, Micros]], pending_since: Sequence[Micros]) -> WorkerProcess:
    """A row of `queries.WORKERS`; `runs`: what it runs, each since when; `pending_since`: when the oldest job that any
    worker may run was created."""
    owner, pid, host, started_at, serves_all, pool, own_jobs, beat_at, now, is_alive = row
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
        own_jobs=frozenset(json.loads(own_jobs or "[]")),
    )
