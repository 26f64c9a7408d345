"""The embedded store: one SQLite file, one writer thread, reads through aiosqlite."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import aiosqlite

from engine.domain.advice import Measurement, TargetRecords
from engine.domain.damage import Damage, DamageChange
from engine.domain.errors import (
    ReadOnlyError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUncertainError,
    no_such_batch,
    no_such_job,
)
from engine.domain.events import Change, HistoryFilter, Pause, WorkerProcess, is_stalled
from engine.domain.jobs import JobId, ParentJob
from engine.domain.lazy_import import lazy
from engine.domain.requests import OnDuplicate, Operation, Speed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.domain.surveys import LastJob, Survey
from engine.domain.turns import Turns
from engine.store.damage_rows import damaged_targets, decoded_damage
from engine.store.id_ranges import id_ranges, portions
from engine.store.row_checks import LATEST, UnsoundRowError, checked
from engine.store.rows import (
    Row,
    decode_backup,
    decode_batch,
    decode_change,
    decode_estimated_run,
    decode_firing,
    decode_jobs,
    decode_last_done,
    decode_measured,
    decode_past_steps,
    decode_retries,
    decode_run,
    decode_state,
    decode_turns,
    storable,
)
from engine.store.sqlite import (
    batch_rules,
    cancel_and_rescue,
    connections,
    damage,
    history_search,
    leadership,
    liveness,
    queries,
    surveys,
)
from engine.store.sqlite.change_watch import ChangeWatch, Identity
from engine.store.sqlite.writer import LogCheckpoints, Writer
from engine.store.survey_rows import decoded_last_jobs, decoded_surveys
from engine.system.background import pause_loop
from engine.system.clock import now, wall_clock
from engine.system.private_files import require_private_descriptors, require_private_store
from engine.system.sqlite_threads import connected, in_its_thread
from engine.system.wal_checkpoint import removing_wal_files

if TYPE_CHECKING:
    import hashlib
    import uuid

    from engine.domain import overview as overviews
    from engine.domain.batches import Batch, Retries
    from engine.domain.claims import Claim, Outcome, Report
    from engine.domain.notifications import Event, Message, MessageStatus, RecipientState
    from engine.domain.overview import Overview
    from engine.domain.past_runs import EstimatedRun, PastRun, PastStep
    from engine.domain.schedules import Firing, ScheduleState
    from engine.store import notification_rows, overview_rows
    from engine.store.protocol import NewBatch, NewJob, ProcessIdentity
    from engine.store.sqlite import notifications, overview, schedules, store_admin, transactions
    from engine.system import lock_holders
else:
    hashlib = lazy("hashlib", "only metrics need it")
    uuid = lazy("uuid", "only what writes needs it")
    store_admin = lazy("engine.store.sqlite.store_admin", "only what writes needs it")
    lock_holders = lazy("engine.system.lock_holders", "only a store that is busy needs it")
    notifications = lazy("engine.store.sqlite.notifications", "only workers and runs tell people")
    overviews = lazy("engine.domain.overview", "only metrics need it")
    overview = lazy("engine.store.sqlite.overview", "only metrics need it")
    schedules = lazy("engine.store.sqlite.schedules", "only where there are schedules")
    notification_rows = lazy("engine.store.notification_rows", "only workers and runs tell people")
    overview_rows = lazy("engine.store.overview_rows", "only metrics need it")
    transactions = lazy("engine.store.sqlite.transactions", "only a submit and workers need it")

T = TypeVar("T")
Values = Mapping[str, Any] | Sequence[Any] | None
Reading = Callable[[str, Values], Sequence[Row]]
"""All rows of a query with these values."""

ANY_ID = 2**63 - 1
OWNER_CHECK_INTERVAL = 0.05
"""Seconds between two looks whether the owners of running children live."""
BEAT_INTERVAL = 2.0
"""Seconds between two signs of life of a process that has something to do."""
_PAUSE_WHILE_LOCKED = 0.02
"""Seconds between two tries to open a store that another process has locked for itself."""


class SqliteStore:
    """A `Store` in one SQLite file. Open it with `async with SqliteStore.open(path) as store`."""

    hosts: None = None

    def __init__(
        self,
        path: Path,
        writer: Writer | None,
        reader: aiosqlite.Connection,
        watch: ChangeWatch,
        clock: Callable[[], Micros],
    ) -> None:
        self.path = path
        self._may_write = writer
        self._reader = reader
        self._watch = watch
        self._clock = clock
        self._wall = wall_clock(clock)
        """By it windows open and close, also while a process holds its clock steady."""
        self._run: str | None = None
        """The run for which submitted jobs are reserved."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path, *, clock: Callable[[], Micros] = now, timeout: float = connections.OPEN_TIMEOUT
    ) -> AsyncIterator[Self]:
        """Open the store, creating or upgrading the file. `timeout`: seconds to wait where others keep it locked.

        Raises StoreError if that fails, or the file is no store, or of a newer version.
        """
        path = connections.create_file(path)
        identity = Identity(path)
        checkpoints = LogCheckpoints(path, lambda: connections.connect_watch(path))
        writer = Writer(
            lambda: connections.connect_writer(path, timeout), check=identity.check, checkpoints=checkpoints
        )
        await writer.open()
        try:
            watch = _following(path, connections.connect_watch(path), identity)
            writer.on_commit = watch.refresh
            try:
                async with _reading(path, connections.uri(path)) as reader:
                    require_private_descriptors(path)
                    yield cls(path, writer, reader, watch, clock)
            finally:
                await watch.close()
        finally:
            await writer.close()

    @classmethod
    @asynccontextmanager
    async def open_read_only(
        cls, path: Path, *, clock: Callable[[], Micros] = now, timeout: float = connections.OPEN_TIMEOUT
    ) -> AsyncIterator[Self]:
        """Open the store so that nothing of it can be written; where there is none, it is as an empty one.

        Raises StoreError if it cannot be read without an upgrade.
        """
        path = await asyncio.to_thread(connections.real_path, path)
        await asyncio.to_thread(require_private_store, path)
        identity = Identity(path)
        uri = connections.uri(path, writing=False)
        async with AsyncExitStack() as stack:
            if identity.is_there:
                await asyncio.to_thread(stack.enter_context, removing_wal_files(path))
                try:
                    connection = await _connected(path, timeout)
                except StoreFullError:
                    uri = _in_memory()
                    connection = await asyncio.to_thread(connections.connect_copy, path, uri)
            else:
                uri = _in_memory()
                connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)
                connections.empty_store(connection)
            watch = _following(path, connection, identity)
            stack.push_async_callback(watch.close)
            reader = await stack.enter_async_context(_reading(path, uri))
            require_private_descriptors(path)
            yield cls(path, None, reader, watch, clock)

    @property
    def is_there(self) -> bool:
        """Whether the file existed when it was opened."""
        return self._watch.identity.is_there

    @property
    def is_admitted(self) -> bool:
        return True

    async def admitted(self) -> None:
        pass

    @property
    def may_submit(self) -> bool:
        return self._may_write is not None

    @property
    def may_run(self) -> bool:
        return self._may_write is not None

    @property
    def lost(self) -> StoreError | None:
        """Why nothing is read or written any more, where the file is not the one that was opened."""
        return self._watch.lost

    async def reach_changed(self) -> None:
        await asyncio.Event().wait()

    async def locked_by(self) -> str:
        return await asyncio.to_thread(lock_holders.locked_by, str(self.path))

    async def fingerprint(self) -> str:
        return hashlib.sha256(f"{socket.gethostname()}:{self.path.resolve()}".encode()).hexdigest()[:8]

    @asynccontextmanager
    async def holding_role(self, role: str) -> AsyncIterator[bool]:
        with leadership.holding_role(self.path, role) as has_it:
            yield has_it

    async def role_is_held(self, role: str) -> bool:
        return leadership.role_is_held(self.path, role)

    @property
    def _writer(self) -> Writer:
        if self._may_write is None:
            raise ReadOnlyError(str(self.path), "was opened to be looked at only", "open it without --read-only")
        return self._may_write

    # Writes: one transaction each.

    async def submit(
        self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate, batch: NewBatch | None = None
    ) -> list[int]:
        submission, ids = uuid.uuid4().hex, list[int]()

        def write(c: sqlite3.Connection) -> list[int]:
            nonlocal ids
            ids = transactions.submit(c, jobs, on_duplicate, self._clock(), submission, self._run, batch)
            return ids

        writer = self._writer
        try:
            return await writer.run(write)
        except StoreError as error:
            if await self._is_there(submission):
                return ids
            if not error.is_transient or isinstance(error, StoreUncertainError):
                raise
            raise type(error)(error.what, f"{error.why}: nothing was submitted", error.hint) from error

    async def _is_there(self, submission: str) -> bool:
        """Whether a submit that reported an error was written nevertheless."""
        with suppress(StoreError):
            return bool(list(await self._read(queries.SUBMITTED, (submission,))))
        return False

    async def begin_batch(self, batch: NewBatch, jobs: int) -> int:
        return await self._writer.run(lambda c: transactions.begin_batch(c, batch, jobs, self._clock()))

    @asynccontextmanager
    async def reserving(self, run: str) -> AsyncIterator[None]:
        with liveness.proof_of_life(self.path, run):
            self._run = run
            try:
                yield
            finally:
                self._run = None
                await asyncio.shield(self._release_from(run))

    async def _release_from(self, run: str) -> None:
        with suppress(StoreError):  # once this process is gone, others do it
            if (run,) in [tuple(row) for row in await self._read(queries.RUNS)]:
                await self._writer.run(lambda c: cancel_and_rescue.release_from(c, run, self._clock()))
            liveness.remove_traces(self.path, run)

    async def claim(self, owner: str, parents: Collection[int] | None = None, run: str | None = None) -> Claim | None:
        return await self._writer.run(lambda c: transactions.claim(c, owner, parents, self._clock(), self._wall(), run))

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        await self._writer.run(lambda c: transactions.finish(c, claim, outcome, report, self._clock()))

    async def finish_and_claim(
        self,
        claim: Claim,
        outcome: Outcome,
        report: Report,
        parents: Collection[int] | None = None,
        run: str | None = None,
    ) -> Claim | None:
        def both(c: sqlite3.Connection) -> Claim | None:
            transactions.finish(c, claim, outcome, report, self._clock())
            return transactions.claim(c, claim.owner, parents, self._clock(), self._wall(), run)

        return await self._writer.run(both)

    async def release(self, claim: Claim, report: Report) -> None:
        await self._writer.run(lambda c: transactions.release(c, claim, report, self._clock()))

    async def require_owned(self, claim: Claim) -> None:
        parent, ordinal = claim.job.parent, claim.job.ordinal
        values = {"parent": parent, "ordinal": ordinal, "owner": claim.owner, "attempt": claim.attempt}
        ((is_owned,),) = await self._read_few(queries.IS_OWNED, values)
        transactions.require_owned(is_owned, claim)

    async def report(self, claim: Claim, report: Report) -> None:
        is_needed = any(step.effect for step in report.steps)  # by recovery, even after a power failure
        await self._writer.run(lambda c: transactions.write_report(c, claim, report), synced=is_needed)

    async def request_cancel(self, job: JobId, reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        await self._writer.run(lambda c: cancel_and_rescue.request_cancel(c, job, reason, self._clock()))

    async def cancel_all(self, parent_ids: Collection[int], reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        await self._writer.run(lambda c: cancel_and_rescue.cancel_all(c, parent_ids, reason, self._clock()))

    async def cancel_batch(self, batch_id: int) -> None:
        await self._writer.run(lambda c: cancel_and_rescue.cancel_batch(c, batch_id, self._clock()))

    async def request_force(
        self, job: JobId, running: JobId, owner: str, reason: Reason = Reason.CANCELLED_BY_USER
    ) -> bool:
        return await self._writer.run(
            lambda c: cancel_and_rescue.request_force(c, job, running, owner, reason, self._clock())
        )

    async def kill_owner(self, running: JobId, owner: str, pid: int) -> bool:
        """Inside a transaction, so that the process cannot end this child or begin another one at the same time."""
        return await self._writer.run(
            lambda c: cancel_and_rescue.is_run_by(c, running, owner) and liveness.kill(self.path, owner, pid)
        )

    async def enforce_time_limits(self) -> None:
        if list(await self._read(cancel_and_rescue.OVERDUE, (self._wall(),))):
            await self._writer.run(lambda c: cancel_and_rescue.enforce_time_limits(c, self._wall()))

    async def let_start(self) -> None:
        if list(await self._read(batch_rules.DUE_TO_START, (self._wall(),))):
            await self._writer.run(lambda c: batch_rules.let_start(c, self._wall()))

    async def rescue(self) -> list[JobId]:
        """Reads and file locks tell who is dead; there is a write only where someone is."""
        rescued: list[JobId] = []
        for owner, pid, host in await self._read(queries.OWNERS):
            if (death := liveness.death_of(self.path, owner, pid, host)) is not None:
                rescued += await self._rescue_from(owner, death.signal)
                liveness.remove_traces(self.path, owner)
        for (run,) in await self._read(queries.RUNS):
            if not liveness.is_alive(self.path, run, None, None):
                await self._release_from(run)
        return rescued

    async def _rescue_from(self, dead_owner: str, signal_number: int | None = None) -> list[JobId]:
        return await self._writer.run(lambda c: cancel_and_rescue.rescue(c, dead_owner, self._clock(), signal_number))

    async def owner_died(self) -> None:
        while True:
            seen = self.last_change()
            owners = set(await self._read_few(queries.OWNERS_OF_RUNNING, {}))
            while all(liveness.is_alive(self.path, *owner) for owner in owners):
                if not owners:
                    await self.next_change(seen)
                await pause_loop(OWNER_CHECK_INTERVAL)
                if seen != self.last_change():
                    break
            else:
                return

    async def observe_schedules(self, seen: Collection[ScheduleState]) -> None:
        await self._writer.run(lambda c: schedules.observe(c, seen))

    async def forget_schedules(self, names: Collection[str]) -> None:
        await self._writer.run(lambda c: schedules.forget(c, names))

    async def enable_schedule(self, name: str) -> None:
        await self._writer.run(lambda c: schedules.enable(c, name, self._clock()))

    async def disable_schedule(self, name: str, by: str) -> None:
        await self._writer.run(lambda c: schedules.disable(c, name, by, self._clock()))

    async def fire(self, firing: Firing, jobs: Sequence[NewJob], batch: NewBatch) -> Firing | None:
        submission = uuid.uuid4().hex
        return await self._writer.run(
            lambda c: schedules.fire(c, firing, jobs, batch, self._wall(), submission, self._run)
        )

    async def record_firings(self, firings: Collection[Firing]) -> list[Firing]:
        return await self._writer.run(lambda c: schedules.record(c, firings))

    async def prune_firings(self) -> None:
        await self._writer.run(lambda c: schedules.prune(c, self._clock()))

    async def pause(self, by: str) -> None:
        await self._writer.run(lambda c: store_admin.pause(c, by, self._clock()))

    async def resume(self) -> None:
        await self._writer.run(lambda c: store_admin.resume(c, self._clock()))

    async def pin(self, parent_id: int, pinned: bool) -> None:
        await self._writer.run(lambda c: store_admin.pin(c, parent_id, pinned))

    async def prune(self, parent_ids: Collection[int]) -> int:
        return await self._writer.run(lambda c: store_admin.prune(c, parent_ids))

    async def prune_changes(self, *, before: Micros, limit: int) -> int:
        return await self._writer.run(lambda c: store_admin.prune_changes(c, before, limit))

    @asynccontextmanager
    async def hosting_workers(
        self,
        *,
        serves_all: bool = True,
        own_jobs: Collection[int] | None = None,
        identity: ProcessIdentity | None = None,
    ) -> AsyncIterator[str]:
        owner = identity.owner if identity else uuid.uuid4().hex
        pid, host, pool = os.getpid(), socket.gethostname(), (identity.pool, identity.pool_size) if identity else None
        liveness.remove_strays(self.path, {known for known, *_ in await self._read(queries.OWNERS)})
        with nullcontext() if identity else liveness.proof_of_life(self.path, owner):
            await self._writer.run(
                lambda c: store_admin.register_worker(
                    c, owner, pid, host, serves_all, at=self._clock(), pool=pool, own_jobs=own_jobs
                )
            )
            beating = asyncio.create_task(self._beat(owner), name="dbtend-beat")
            try:
                yield owner
            finally:
                beating.cancel()
                await asyncio.shield(self._forget(owner))

    async def _forget(self, owner: str) -> None:
        if await self._writer.run(lambda c: store_admin.forget_worker(c, owner)):
            liveness.remove_traces(self.path, owner)

    async def _beat(self, owner: str) -> None:
        """While a job is open, leave a sign of life every now and then."""
        while True:
            seen = self.last_change()
            liveness.beat(self.path, owner)
            with suppress(StoreError):
                if not await self.has_open_jobs():
                    await self.next_change(seen)
            await pause_loop(BEAT_INTERVAL)

    # Reads: one statement each.

    async def has_pending(self, parents: Collection[int] | None = None, run: str | None = None) -> bool:
        for sql, values in transactions.next_child_queries(parents, run, paused=await self.paused() is not None):
            if any(parents is None or parent_id in parents for parent_id, *_ in await self._read(sql, values)):
                return True
        return False

    async def workers(self) -> list[WorkerProcess]:
        rows = list(await self._read(queries.WORKERS))
        if not rows:
            return []
        running: dict[str, list[tuple[JobId, Micros]]] = {}
        for owner, parent_id, ordinal, started_at in await self._read(queries.RUNNING):
            running.setdefault(owner, []).append((JobId(parent_id, ordinal), started_at))
        pending_since = [at for (at,) in await self._read(queries.OLDEST_PENDING)]
        now = self._clock()

        def process(
            owner: str,
            pid: int,
            host: str,
            started_at: Micros,
            serves_all: bool,
            pool: int | None,
            own_jobs: str | None,
            pool_size: int | None,
        ) -> WorkerProcess:
            runs = running.get(owner, [])
            busy_since = [at for _, at in runs] or (pending_since if serves_all else [])
            alive = liveness.is_alive(self.path, owner, pid, host)
            beat = liveness.last_beat(self.path, owner)
            return WorkerProcess(
                id=owner,
                pid=pid,
                host=host,
                started_at=started_at,
                serves_all=bool(serves_all),
                alive=alive,
                stalled=alive and is_stalled(last_beat=beat, busy_since=min(busy_since, default=None), now=now),
                running=tuple(job for job, _ in runs),
                pool=pool,
                pool_size=pool_size,
                own_jobs=frozenset(json.loads(own_jobs or "[]")),
            )

        return [process(*row) for row in rows]

    async def paused(self) -> Pause | None:
        found = [Pause(at=at, by=by) for at, by in await self._read(queries.PAUSE)]
        return found[0] if found else None

    async def measured_and_damage(self, target: str) -> tuple[Measurement | None, Sequence[Damage]]:
        return await self._look(lambda read: (_measured(read, target), _damage(read, [target]).get(target, ())))

    async def save_measurement(self, target: str, measured: Measurement) -> None:
        await self._writer.run(lambda c: store_admin.save_measurement(c, target, measured, self._clock()))

    async def surveys(self, targets: Collection[str]) -> Mapping[str, Survey]:
        found: dict[str, Survey] = {}
        for values in surveys.of_targets(targets):
            found |= decoded_surveys(await self._read(surveys.SURVEYS, values))
        return found

    async def damage(self, targets: Collection[str]) -> Mapping[str, Sequence[Damage]]:
        return await self._look(lambda read: _damage(read, targets))

    async def name_database(self, target: str, database: str) -> Sequence[Damage]:
        if (await self.database_names(target)).get(target) != database:
            await self._writer.run(lambda c: damage.name(c, target, database))
        return (await self.damage([target])).get(target, ())

    async def has_damaged_servers(self) -> bool:
        ((is_damaged,),) = await self._read(damage.HAS_DAMAGED_SERVERS)
        return bool(is_damaged)

    async def database_names(self, target: str, database: str = "") -> Mapping[str, str]:
        rows = await self._read(damage.NAMES, {"target": target, "database": database})
        return {str(name): str(key) for name, key in rows}

    async def save_damage(self, target: str, change: DamageChange) -> None:
        await self._writer.run(lambda c: damage.save(c, target, change))

    async def overview(self) -> Overview:
        surveyed = decoded_surveys(await self._read(surveys.ALL_SURVEYS))
        runs = []
        for row in await self._read(overview.LAST_RUNS):
            with suppress(UnsoundRowError):  # the others still count
                runs.append(overview_rows.decode_last_run(row))
        alive = [process for process in await self.workers() if process.alive]
        return overviews.Overview(
            at=self._clock(),
            surveys=tuple(surveyed.values()),
            damaged=damaged_targets(await self._read(damage.ALL_DAMAGE)),
            runs=tuple(runs),
            open_jobs=overview_rows.decode_open_jobs(await self._read(overview.OPEN_JOBS)),
            schedules=tuple(map(overview_rows.decode_schedule_counts, await self._read(overview.SCHEDULES))),
            recipients=tuple(await self.recipient_states(list(await self.seen_by_recipients()))),
            workers=len(alive),
            stalled=sum(process.stalled for process in alive),
            is_paused=await self.paused() is not None,
        )

    async def save_surveys(self, done: Collection[Survey]) -> None:
        await self._writer.run(lambda c: surveys.save(c, done, self._clock()))

    async def known_databases(self) -> frozenset[str]:
        return frozenset([target for (target,) in await self._read(surveys.KNOWN)])

    async def forget_databases(self, targets: Collection[str]) -> None:
        await self._writer.run(lambda c: surveys.forget(c, targets))

    async def last_jobs(self, targets: Collection[str]) -> Mapping[str, LastJob | None]:
        found: dict[str, LastJob | None] = {}
        for values in surveys.of_targets(targets):
            found |= decoded_last_jobs(await self._read(surveys.LAST_JOBS, values))
        return found

    async def schedule_states(self) -> Mapping[str, ScheduleState]:
        states = map(decode_state, await self._read(schedules.STATES))
        return {state.name: state for state in states}

    async def last_handled(self, schedule: str, now: Micros) -> Micros | None:
        values = {"schedule": schedule, "now": now}
        return next((at for (at,) in await self._read(schedules.LAST_HANDLED, values)), None)

    async def last_fired(self, schedule: str, since: Micros) -> Micros | None:
        values = {"schedule": schedule, "since": since}
        return next((at for (at,) in await self._read(schedules.LAST_FIRED, values)), None)

    async def open_batch(self, schedule: str) -> int | None:
        return next((batch for (batch,) in await self._read(schedules.OPEN_BATCH, (schedule, schedule))), None)

    async def firings(
        self, schedule: str | None = None, *, since: Micros | None = None, until: Micros | None = None, limit: int
    ) -> list[Firing]:
        values: dict[str, Any] = {"since": since or 0, "until": LATEST if until is None else until, "limit": limit}
        if schedule is None:
            firings = await self._read(schedules.ALL_FIRINGS, values)
        else:
            firings = await self._read(schedules.FIRINGS, {**values, "schedule": schedule})
        return list(map(decode_firing, firings))

    async def register_recipients(self, names: Collection[str], *, since: Micros | None = None) -> None:
        await self._writer.run(lambda c: notifications.register(c, names, self._clock(), since))

    async def forget_recipients(self, kept: Collection[str]) -> Mapping[str, int]:
        return await self._writer.run(lambda c: notifications.forget(c, kept))

    async def seen_by_recipients(self) -> Mapping[str, int]:
        return dict(map(notification_rows.decode_seen, await self._read(notifications.SEEN)))

    async def collect_events(
        self, recipient: str, events: Sequence[Event], *, seen: int, calm: Collection[str] = ()
    ) -> None:
        await self._writer.run(lambda c: notifications.collect(c, recipient, events, seen, calm, self._clock()))

    async def collected_since(self, *, only_urgent: bool = False) -> Mapping[str, Micros]:
        found = await self._read(notifications.COLLECTED, {"only_urgent": only_urgent})
        return {str(name): int(at) for name, at in found}

    async def newly_critical(self, recipient: str) -> list[str]:
        rows = await self._read(notifications.NEWLY_CRITICAL, {"recipient": storable(recipient)})
        return [str(target) for (target,) in rows]

    async def no_longer_critical(self, recipient: str) -> list[str]:
        rows = await self._read(notifications.NO_LONGER_CRITICAL, {"recipient": storable(recipient)})
        return [str(target) for (target,) in rows]

    async def firings_to_tell(self, recipient: str) -> list[Firing]:
        values = {"recipient": storable(recipient), "since": self._clock() - notification_rows.MISSED_TOLD}
        return list(map(decode_firing, await self._read(notifications.FIRINGS_TO_TELL, values)))

    async def newly_fired_after_all(self, recipient: str) -> list[Firing]:
        values = {"recipient": storable(recipient), "since": self._clock() - notification_rows.MISSED_TOLD}
        return list(map(decode_firing, await self._read(notifications.FIRED_AFTER_ALL, values)))

    async def last_outcome(
        self, target: str, operation: Operation, *, before: int, jobs: int
    ) -> tuple[Status, int] | None:
        values = {"target": target, "operation": operation, "before": before, "jobs": jobs}
        rows = list(await self._read(notifications.LAST_OUTCOME, values))
        return (Status(rows[0][0]), int(rows[0][1])) if rows else None

    async def make_message(self, recipient: str, *, only_urgent: bool = False) -> None:
        await self._writer.run(
            lambda c: notifications.make_message(c, recipient, self._clock(), only_urgent=only_urgent)
        )

    async def take_over_messages(self, recipients: Collection[str]) -> None:
        await self._writer.run(lambda c: notifications.take_over(c, recipients, self._clock()))

    async def waiting_messages(self) -> list[Message]:
        return await self._messages(notifications.WAITING, {})

    async def newest_messages(self, recipient: str, *, limit: int) -> list[Message]:
        return await self._messages(notifications.NEWEST, {"recipient": storable(recipient), "limit": limit})

    async def _messages(self, query: str, values: Mapping[str, Any]) -> list[Message]:
        found = []
        for row in list(await self._read(query, values)):
            events = await self._read(notifications.EVENTS, {"id": row[0]})
            ((number,),) = await self._read(notifications.NUMBER_OF_EVENTS, {"id": row[0]})
            with suppress(UnsoundRowError):  # the others are still delivered
                found.append(notification_rows.decode_message(row, events, int(number)))
        return found

    async def begin_delivery(self, message_id: int) -> None:
        await self._writer.run(lambda c: notifications.begin_attempt(c, message_id))

    async def end_delivery(
        self, message_id: int, status: MessageStatus, *, error: str | None, done: Collection[str], next_try_at: Micros
    ) -> None:
        await self._writer.run(
            lambda c: notifications.end_attempt(c, message_id, status, error, done, self._clock(), next_try_at)
        )

    async def recipient_states(self, names: Collection[str]) -> list[RecipientState]:
        values = {"names": json.dumps([storable(name) for name in names])}
        return [notification_rows.decode_recipient(row) for row in await self._read(notifications.STATES, values)]

    async def has_open_jobs(self) -> bool:
        ((is_open,),) = await self._read(queries.IS_OPEN)
        return bool(is_open)

    async def has_served_jobs(self) -> bool:
        return await self.has_open_jobs()

    async def prunable(self, status: Status, *, before: Micros, keep_last: int, after: int, limit: int) -> list[int]:
        values = {"status": status, "before": before, "keep_last": keep_last, "after": after, "limit": limit}
        return [parent_id for (parent_id,) in await self._read(queries.PRUNABLE, values)]

    async def cancel_requests(self, owner: str) -> set[JobId]:
        rows = await self._read_few(queries.CANCEL_REQUESTS, {"owner": owner})
        return {JobId(parent_id, ordinal) for parent_id, ordinal in rows}

    def last_change(self) -> int:
        return self._watch.last_change

    def lapses(self) -> int:
        return 0

    async def changes(self, after: int, limit: int) -> list[Change]:
        rows = await self._read(queries.CHANGES, {"after": after, "limit": limit})
        return [decode_change(row) for row in rows]

    def last_cancel(self) -> int:
        return self.last_change()

    async def next_cancel(self, after: int) -> None:
        await self.next_change(after)

    async def next_change(self, after: int) -> None:
        await self._watch.wait_beyond(after)

    async def job(self, parent_id: int) -> ParentJob:
        found = await self._whole_jobs(queries.ONE_JOB, {"id": parent_id})
        if parent_id not in found:
            raise no_such_job(JobId(parent_id))
        return found[parent_id]

    async def whole_jobs(self, ids: Collection[int]) -> list[ParentJob]:
        found: dict[int, ParentJob] = {}
        for part in portions(ids):
            found |= await self._whole_jobs(*queries.whole_jobs(part))
        return [found[parent_id] for parent_id in ids if parent_id in found]

    async def _whole_jobs(self, sql: str, values: Values) -> dict[int, ParentJob]:
        rows = await self._read(sql, values)
        return await asyncio.to_thread(decode_jobs, rows)  # one may have ten thousand steps

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        return await self._look(lambda read: _jobs(read, ids))

    async def open_jobs(self) -> list[ParentJob]:
        found = decode_jobs(await self._read(queries.OPEN_JOBS))
        return [found[parent_id] for parent_id in sorted(found)]

    async def ended_jobs(self, since: Micros, *, limit: int) -> array[int]:
        rows = await self._read(queries.ENDED, {"since": since, "limit": limit})
        return array("q", [parent_id for (parent_id,) in rows])

    async def batch(self, batch_id: int) -> Batch:
        rows = await self._read(queries.BATCH, {"id": batch_id})
        for row in rows:
            return decode_batch(row)
        raise no_such_batch(batch_id)

    async def retries(self, batch_id: int) -> Retries:
        return decode_retries(await self._read(queries.RETRIES, {"id": batch_id}))

    async def batch_span(self, batch_id: int) -> tuple[Micros | None, Micros | None]:
        ((started_at, finished_at),) = await self._read(queries.BATCH_SPAN, (batch_id,))
        return started_at, finished_at

    async def batch_jobs(self, batch_id: int) -> list[ParentJob]:
        found = await asyncio.to_thread(decode_jobs, await self._read(queries.BATCH_JOBS, {"id": batch_id}))
        return [found[parent_id] for parent_id in sorted(found)]

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]:
        return await self._look(lambda read: _jobs(read, _newest_ids(read, where, before=before, limit=limit)))

    async def records(
        self, target: str, operations: Collection[Operation], *, since: Micros, last: int, limit: int
    ) -> TargetRecords:
        filters = {
            operation: HistoryFilter(target=target, operation=operation, since=since) for operation in operations
        }

        def look(read: Reading) -> TargetRecords:
            newest = [id_ for (id_,) in read(queries.NEWEST_OF_TARGET, {"target": target, "jobs": last})]
            measured = _measured(read, target)
            damaged = _damage(read, [target]).get(target, ())
            if not newest:
                return TargetRecords(jobs=[], measured=measured, damage=damaged)
            if len(newest) < last:  # that is all of them
                jobs = _jobs(read, newest)
                of_each = {one: [job for job in jobs if where.matches(job)] for one, where in filters.items()}
                had_backup = any(child.operation is Operation.BACKUP for job in jobs for child in job.children)
            else:
                had_backup = True
                ids = {one: _newest_ids(read, where, limit=limit) for one, where in filters.items()}
                every = {*newest, *chain.from_iterable(ids.values())}
                found = {job.id: job for job in _jobs(read, every)}  # most are several times among them
                jobs = [found[id_] for id_ in newest if id_ in found]
                of_each = {one: [found[id_] for id_ in of_it if id_ in found] for one, of_it in ids.items()}
            backups = read(queries.BACKUPS, {"target": target}) if had_backup else ()
            on_server = any(not job.engine.is_file for job in jobs)
            done = read(queries.LAST_DONE, {"target": target, "jobs": limit}) if on_server else ()
            return TargetRecords(
                jobs=jobs,
                newest=of_each,
                measured=measured,
                damage=damaged,
                backups=[decode_backup(row) for row in backups],
                last_done=decode_last_done(done),
            )

        return await self._look(look)

    async def search(
        self, where: HistoryFilter, *, before: int | None = None, folded: bool = False
    ) -> AsyncIterator[array[int]]:
        portions: Iterator[array[int]] | None = None

        def following(read: Reading) -> array[int] | None:
            nonlocal portions
            portions = portions or _search(read, where, before=before, folded=folded)
            return next(portions, None)

        while (ids := await self._look(following)) is not None:
            yield ids

    async def past_runs(self, target: str, operation: Operation, *, newest: int, jobs: int, runs: int) -> list[PastRun]:
        values = {"target": target, "operation": operation, "newest": newest, "jobs": jobs, "runs": runs}
        return [decode_run(row) for row in await self._read(queries.PAST_RUNS, values)]

    async def estimated_runs(self, runs: int) -> list[EstimatedRun]:
        rows = await self._read(queries.ESTIMATED_RUNS, {"runs": runs})
        return [decode_estimated_run(row) for row in rows]

    async def runs_by_size(self, runs: int) -> list[EstimatedRun]:
        rows = await self._read(queries.RUNS_BY_SIZE, {"runs": runs})
        return [decode_estimated_run(row) for row in rows]

    async def past_steps(
        self, target: str, operation: str, *, speed: Speed, jobs: int, runs: int
    ) -> Mapping[str, PastStep]:
        values = {"target": target, "operation": operation, "newest": ANY_ID, "jobs": jobs, "runs": runs}
        values["speed"] = speed
        return decode_past_steps(await self._read(queries.PAST_STEPS, values))

    async def turns(self, target: str, *, jobs: int, steps: int) -> Turns:
        def look(read: Reading) -> Turns:
            works = read(queries.OBJECT_TURNS, {"target": target, "steps": steps})
            return decode_turns(works, read(queries.UNFINISHED_RUNS, {"target": target, "jobs": jobs}))

        return await self._look(look)

    async def open_targets(self) -> list[str]:
        return [str(target) for (target,) in await self._read(queries.OPEN_TARGETS)]

    async def count(self) -> int:
        ((number,),) = await self._read(history_search.COUNT)
        return int(number)

    async def _read(self, sql: str, values: Values = None) -> Iterable[Row]:
        return _checked(sql, await self._look(lambda read: read(sql, values)))

    async def _read_few(self, sql: str, values: Mapping[str, Any]) -> Iterable[Row]:
        """The rows of a query that finds a few in an index: on the event loop, as a change of thread takes longer."""
        if self._watch.lost is None:
            with suppress(*connections.ERRORS):  # the other connection waits, or raises a StoreError
                return _checked(sql, self._watch.rows(sql, values))
        return await self._read(sql, values)

    async def _look(self, look: Callable[[Reading], T]) -> T:
        """What `look` returns, which gets rows in the thread that reads."""
        if self._watch.lost is not None:
            raise self._watch.lost.with_traceback(None)

        def in_thread(connection: sqlite3.Connection) -> T:
            return look(lambda sql, values: connection.execute(sql, values or ()).fetchall())

        try:
            return await in_its_thread(self._reader, in_thread)
        except connections.ERRORS as error:
            raise connections.format_read_error(self.path, error) from error


def _checked(sql: str, rows: Iterable[Row]) -> Iterable[Row]:
    """Raises UnsoundRowError."""
    if names := queries.COLUMNS.get(sql):
        for row in rows:
            checked(dict(zip(names, row, strict=False)))
    return rows


def _search(read: Reading, where: HistoryFilter, *, before: int | None, folded: bool = False) -> Iterator[array[int]]:
    """See `Store.search`."""
    ((oldest, newest),) = read(*history_search.bounds(where))
    if oldest is None or newest is None:
        return
    targets = _targets(read, where) if where.has_target else None
    if targets == []:
        return
    top = newest if before is None else min(newest, before - 1)
    sizes = {"first": history_search.FIRST_RANGE, "largest": history_search.LARGEST_RANGE}
    for low, high in id_ranges(oldest, top, **sizes):
        rows = read(*history_search.ids_in_range(where, targets, low=low, high=high, folded=folded))
        yield array("q", sorted({parent_id for (parent_id,) in rows}, key=abs, reverse=True))


def _targets(read: Reading, where: HistoryFilter) -> list[str] | None:
    """The targets that a filter means, of all that ever had a job; None where it means them all."""
    known = [target for (target,) in read(history_search.TARGETS, None)] if where.target is None else [where.target]
    meant = [target for target in known if where.matches_target(target)]
    return None if where.target is None and len(meant) == len(known) else meant


def _newest_ids(read: Reading, where: HistoryFilter, *, before: int | None = None, limit: int) -> array[int]:
    ids: array[int] = array("q")
    for portion in _search(read, where, before=before):
        ids += portion
        if len(ids) >= limit:
            break
    return ids[:limit]


def _measured(read: Reading, target: str) -> Measurement | None:
    return next((decode_measured(row) for row in read(queries.MEASURED, {"target": target})), None)


def _damage(read: Reading, targets: Collection[str]) -> dict[str, tuple[Damage, ...]]:
    found: dict[str, tuple[Damage, ...]] = {}
    for values in surveys.of_targets(targets):
        found |= decoded_damage(read(damage.DAMAGE, values))
    return found


def _jobs(read: Reading, ids: Collection[int]) -> list[ParentJob]:
    found = decode_jobs(read(*queries.jobs(ids))) if ids else {}
    return [found[parent_id] for parent_id in ids if parent_id in found]


@asynccontextmanager
async def _reading(path: Path, uri: str) -> AsyncIterator[aiosqlite.Connection]:
    """A connection for reads. Raises StoreError."""
    async with AsyncExitStack() as stack:
        try:
            reader = await connected(uri)
            stack.push_async_callback(reader.close)
            await reader.executescript(connections.READER_PRAGMAS)
        except connections.ERRORS as error:
            raise connections.as_text(path, error) from error
        yield reader


async def _connected(path: Path, timeout: float) -> sqlite3.Connection:
    """Others may keep it locked for as long as `timeout`; a cancel ends the wait."""
    clock = asyncio.get_running_loop().time
    give_up = clock() + timeout
    while True:
        try:
            return await asyncio.to_thread(connections.connect_read_only, path)
        except StoreBusyError:
            if clock() >= give_up:
                raise
        await pause_loop(_PAUSE_WHILE_LOCKED)


def _in_memory() -> str:
    """The URI of a new database in memory, which more than one connection may read."""
    return f"file:{uuid.uuid4().hex}?mode=memory&cache=shared"


def _following(path: Path, connection: sqlite3.Connection, identity: Identity) -> ChangeWatch:
    try:
        return ChangeWatch(connection, identity)
    except connections.ERRORS as error:
        connection.close()
        raise connections.as_text(path, error) from error
