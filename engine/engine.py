"""The engine as its users see it, and the one place where its parts are wired together."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, Final, Self

from engine.domain.errors import ReadOnlyError, StoreError, TargetError
from engine.domain.events import Change, HistoryFilter, Lagged, Pause, WorkerProcess
from engine.domain.jobs import JobId, ParentJob
from engine.domain.requests import OnDuplicate, Request
from engine.domain.retention import Retention
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.supervision import supervising
from engine.history import estimates, stale_journal, trends
from engine.history.retention import prune, pruning
from engine.history.target_history import past_step_seconds, target_history
from engine.inspection import inspector
from engine.store.sqlite.connections import PATIENCE
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.writer import BUSY_TIMEOUT
from engine.submission.manager import DatabaseMaintenanceManager
from engine.submission.uncancelled import wait_uncancelled
from engine.system.clock import now
from engine.targets import resolve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.domain.advice import Advice, TargetHistory
    from engine.domain.errors import StoreError
    from engine.domain.requests import Operation
    from engine.execution.force_kill import ForceCancel
    from engine.execution.processor import JobProcessor
    from engine.execution.worker_identity import WorkerIdentity
    from engine.history.trends import Trend
    from engine.store.protocol import Store
    from engine.targets.protocol import Plan
    from engine.targets.target_info import TargetInfo

_WITHOUT: Final = "leave out --read-only, and unset DBTEND_READ_ONLY"


class Engine:
    """Submit, watch, cancel and look up maintenance jobs.

    Use it as `async with Engine.open(path, workers=2) as engine:`. Any number of engines, in any number of
    processes, may share one store. An engine with `workers=0` executes nothing itself.
    """

    STORE_BUSY_TIMEOUT: ClassVar = BUSY_TIMEOUT
    """Seconds that a write waits while others keep the store locked."""

    def __init__(
        self,
        store: Store,
        manager: DatabaseMaintenanceManager,
        orchestrator: ParentJobOrchestrator,
        processor: JobProcessor | None,
        clock: Callable[[], Micros],
        *,
        read_only: bool = False,
    ) -> None:
        self.read_only = read_only
        self._store = store
        self._manager = manager
        self._orchestrator = orchestrator
        self._processor = processor
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        store_path: Path,
        *,
        workers: int = 0,
        own_jobs: Collection[int] | None = None,
        max_running: int | None = None,
        identity: WorkerIdentity | None = None,
        run: str | None = None,
        retention: Retention | None = None,
        read_only: bool = False,
        patience: float = PATIENCE,
        clock: Callable[[], Micros] = now,
    ) -> AsyncIterator[Self]:
        """Open the store, creating it where there is none, and start `workers` workers.

        Args:
            store_path: the SQLite file that holds the jobs.
            workers: how many targets this engine works on at once.
            own_jobs: execute only these parents, and what is submitted through this engine; None: every job.
            max_running: run nothing while as many operations run on this store and host, in whatever process; None: do.
            identity: as which this process was started, by one that tells how it ends.
            run: reserve what is submitted here for worker processes that have this name in their identity.
            retention: remove old history by these rules, now and every hour; None leaves that to others.
            read_only: look at everything, and change nothing: what would write to the store or cause a job raises
                ReadOnlyError, and no store is created, upgraded or tended. Where there is none it is as an empty one.
            patience: seconds to wait for a store that another process keeps locked.
            clock: microseconds since the epoch, UTC.

        Raises:
            StoreError: the store cannot be opened, or comes from a newer version; StoreBusyError, which is one, where
                others keep it locked.
            ReadOnlyError: it would have to be upgraded first, or workers or retention are asked for all the same.

        On the way out, running operations are asked to stop safely and are handed back to the store; to let
        them end first, `drain`.
        """
        async with AsyncExitStack() as stack:
            if read_only:
                if workers or retention is not None:
                    raise ReadOnlyError("engine", "cannot carry out jobs or prune where it only looks", _WITHOUT)
                looking = SqliteStore.look(store_path, clock=clock, patience=patience)
            else:
                looking = SqliteStore.open(store_path, clock=clock, patience=patience)
            store = await stack.enter_async_context(looking)
            if not read_only:
                await stack.enter_async_context(supervising(store))
                await stack.enter_async_context(pruning(store, retention, clock))
            if run is not None:
                await stack.enter_async_context(store.reserving(run))
            store_key = await resolve(str(store_path)).identify() if store.is_there else None
            manager = DatabaseMaintenanceManager(store, resolve, store_key=store_key, clock=clock)
            orchestrator = ParentJobOrchestrator(store)
            processor = None
            if workers:
                from engine.execution.worker_runtime import hosted_workers  # the console and most commands host none

                processor = await stack.enter_async_context(
                    hosted_workers(
                        store,
                        store_path,
                        workers,
                        own_jobs=own_jobs,
                        max_running=max_running,
                        identity=identity,
                        clock=clock,
                    )
                )
            yield cls(store, manager, orchestrator, processor, clock, read_only=read_only)

    @property
    def has_store(self) -> bool:
        """Whether there is a store at all; one that only looks makes none."""
        return self._store.is_there

    @property
    def lost(self) -> StoreError | None:
        """Why what is known of jobs is no longer kept in step, for good; None as long as it is."""
        return self._store.lost

    async def store_locked_by(self) -> str:
        """Which other processes keep the store from being written now, in words; "" where that cannot be told."""
        return await self._store.locked_by()

    def _must_write(self, what: str) -> None:
        """To be asked before anything is touched. Raises ReadOnlyError."""
        if self.read_only:
            raise ReadOnlyError(what, "would change something, and this is read-only", _WITHOUT)

    async def submit(
        self, requests: Sequence[Request], *, on_duplicate: OnDuplicate = OnDuplicate.REFUSE
    ) -> tuple[ParentJob, ...]:
        """Create one parent job with its children per request: all of them, or none.

        Raises:
            UsageError: a request is empty, names an operation twice or one the engine does not offer, or
                two requests name the same database.
            TargetError: a database cannot be opened or must not be maintained.
            DuplicateRequestError: an open parent already does the same, and `on_duplicate` is REFUSE;
                with MERGE that parent is returned instead of a new one.

        Cancelled before anything is stored, it stores nothing; later it returns all the same.
        """
        self._must_write("submit")
        ids = await self._manager.submit(requests, on_duplicate)
        self._adopt(ids)
        return tuple(await wait_uncancelled(self._store.jobs(ids)))

    async def plan(self, request: Request, *, advice: Sequence[Advice] = ()) -> Plan:
        """The exact steps `request` would execute now. Changes nothing. Raises as `submit` does.

        How long they take is estimated from how long they took before, where they did. It is warned of indexes that
        are known to be damaged. `advice`: see `look.plan`.
        """
        url = await asyncio.to_thread(inspector.canonical_url, request.target)  # links are on disks, which may be slow
        await stale_journal.refuse(self._store, url)
        past = await self._past_of(url)
        plan = await inspector.plan(request, past, advice=advice, read_only=self.read_only)
        jobs = await self.history(HistoryFilter(target=plan.target), limit=estimates.MAX_JOBS_READ)
        past_steps = {
            operation.operation: await past_step_seconds(
                self._store, plan.target, operation.operation, request.options.server.speed
            )
            for operation in plan.operations
        }
        return estimates.with_estimates(plan, jobs, request.options, past_steps)

    async def inspect(self, target: str) -> TargetInfo:
        """What a database is and what can be done with it. Raises TargetError."""
        await stale_journal.refuse(self._store, await asyncio.to_thread(inspector.canonical_url, target))
        return await inspector.inspect(target, read_only=self.read_only)

    async def fingerprint(self, target: str) -> str:
        """The same for as long as the same database is there and may be read. Raises TargetError where it is not."""
        return await asyncio.to_thread(inspector.fingerprint, target)  # a disk that does not answer stops nobody else

    async def advise(self, target: str, *, budget: float | None = 0.5) -> tuple[Advice, ...]:
        """What a database needs and why: one for each operation, in the order in which they are best run.

        `budget`: seconds that facts which are dear to get may take; None takes the time it needs. See `needed` in
        engine.domain.advice for what of a request this calls for. Raises TargetError.
        """
        url = await asyncio.to_thread(inspector.canonical_url, target)
        await stale_journal.refuse(self._store, url)
        past = await self._past_of(url)
        advice, measured = await inspector.survey(target, past, budget=budget, read_only=self.read_only)
        if measured is not None and not self.read_only:
            with suppress(StoreError):  # then it is looked for once more
                await self._store.save_measurement(url, measured)
        return advice

    async def damaged_indexes(self, target: str) -> tuple[str, ...]:
        """Those that the last check on record found damaged and nothing has rebuilt since; some may be gone by now.

        The database is not opened. Raises UsageError.
        """
        url = await asyncio.to_thread(inspector.canonical_url, target)
        return (await self._past_of(url)).damaged_indexes

    async def _past_of(self, url: str) -> TargetHistory:
        try:
            file = await self.fingerprint(url)
        except TargetError:  # the look that follows says why
            file = None
        return await target_history(self._store, url, self._clock(), file)

    async def cancel(self, job: JobId, *, force: bool = False, reason: Reason = Reason.CANCELLED_BY_USER) -> ParentJob:
        """Ask for the end of a child, or of all open children of a parent.

        A pending child is cancelled at once. A running one is asked to stop and ends as what really
        happened: a VACUUM that could not be interrupted any more ends completed. What is over stays as it is.

        `force`: also kill the process that runs it (see `preview_force_cancel`). The child ends cancelled once another
        process has undone what was left half done and has looked for damage.

        Raises JobNotFoundError; with `force` also UsageError: nothing runs, or not where it could be killed from here.
        """
        self._must_write("cancel")
        if force:
            from engine.execution import force_kill

            await force_kill.end(self._store, job, reason)
        else:
            await self._store.request_cancel(job, reason)
        return await self.job(job.parent)

    async def preview_force_cancel(self, job: JobId) -> ForceCancel:
        """What `cancel` with `force` would come to now. Raises as that does."""
        from engine.execution import force_kill  # a rare thing, with much to decide

        return await force_kill.look(self._store, job)

    async def retry(self, parent_id: int, *, only_incomplete: bool = False, confirmed: bool = False) -> ParentJob:
        """Submit the request of a parent that is over once more, as a new parent with `retry_of`.

        `only_incomplete`: only the operations that did not complete. `confirmed`: somebody says yes to those that
        need it, which a yes before does not cover. Raises JobNotFoundError, UsageError (it is still open, or nothing is
        left to repeat), and what `submit` raises.
        """
        self._must_write("retry")
        parent = await self.job(parent_id)
        new_id = await self._manager.retry(parent, only_incomplete=only_incomplete, confirmed=confirmed)
        self._adopt([new_id])
        return await wait_uncancelled(self.job(new_id))

    def _adopt(self, parent_ids: Collection[int]) -> None:
        if self._processor is not None:
            self._processor.adopt(parent_ids)

    async def drain(self, seconds: float | None = None) -> None:
        """Start nothing more here, and wait until nothing runs here, for so many seconds at most; None for ever."""
        if self._processor is not None:
            await self._processor.drain(seconds)

    async def pause(self, by: str) -> None:
        """Let no job start, in any process, until `resume`; what runs goes on. `by` tells who wants it."""
        self._must_write("pause")
        await self._store.pause(by)

    async def resume(self) -> None:
        """Let jobs start again."""
        self._must_write("resume")
        await self._store.resume()

    async def paused(self) -> Pause | None:
        """Since when, and at whose word, nothing starts; None where jobs do start."""
        return await self._store.paused()

    async def pin(self, parent_id: int, *, pinned: bool = True) -> ParentJob:
        """Keep a job from retention, or with `pinned=False` no longer. Raises JobNotFoundError."""
        self._must_write("pin" if pinned else "unpin")
        await self._store.pin(parent_id, pinned)
        return await self.job(parent_id)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> Mapping[Status, int]:
        """Remove the history that need not be kept, little by little; how many parents of each status.

        `dry_run`: remove nothing, only count.
        """
        if not dry_run:
            self._must_write("prune")
        return await prune(self._store, retention, self._clock(), dry_run=dry_run)

    async def job(self, parent_id: int) -> ParentJob:
        """A parent with its children, their attempts, steps and logs. Raises JobNotFoundError."""
        return await self._store.job(parent_id)

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        """These parents with their children, without steps and logs, in the order of `ids`."""
        return await self._store.jobs(ids)

    async def open_jobs(self) -> list[ParentJob]:
        """All parents that are not over, oldest first, without steps and logs."""
        return await self._store.open_jobs()

    async def history(
        self, where: HistoryFilter | None = None, *, before: int | None = None, limit: int = 50
    ) -> list[ParentJob]:
        """A page of parents, newest first, without steps and logs; `before` is the last id of the page above."""
        return await self._store.history(where or HistoryFilter(), before=before, limit=limit)

    def search(self, where: HistoryFilter | None = None) -> AsyncIterator[array[int]]:
        """The ids of all matching parents, newest first, bit by bit: for a screen that pages by itself.

        The first come at once, however many there are; a bit in which nothing matches is empty. Jobs that are made or
        change meanwhile are told by `changes`, and belong there if `HistoryFilter.matches`.
        """
        return self._store.search(where or HistoryFilter())

    async def trend(self, job: ParentJob) -> tuple[Trend, ...]:
        """For each operation of a job how it went on this database before, up to and with this job."""
        operations = dict.fromkeys(child.operation for child in job.children)
        return tuple([await self._trend(job, operation) for operation in operations])

    async def _trend(self, job: ParentJob, operation: Operation) -> Trend:
        runs = await self._store.past_runs(
            job.target, operation, newest=job.id, jobs=trends.MAX_JOBS_READ, runs=trends.RUNS_READ
        )
        return trends.trend_of(operation, job.request.options, runs)

    async def count(self) -> int:
        """How many parents there are."""
        return await self._store.count()

    def changes(self, after: int | None = None) -> AsyncIterator[Change | Lagged]:
        """Everything that happens to jobs from now on, in commit order and without a gap.

        `after`: the `seq` of the last change that was seen; None starts with what comes next. Changes come
        from all processes that share the store. The iterator never ends; break out of it, or close it.
        """
        return self._orchestrator.changes(after)

    async def wait(self, parent_ids: Collection[int]) -> list[ParentJob]:
        """Wait until all these parents are over, and return them with steps and logs."""
        return await self._orchestrator.wait(parent_ids)

    async def workers(self) -> list[WorkerProcess]:
        """The processes that execute children for this store, dead ones included until they are rescued."""
        return await self._store.workers()
