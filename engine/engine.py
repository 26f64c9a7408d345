"""The public face of the engine, and the one place where its parts are wired together."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from engine.config.model import Config, TargetEntry
from engine.domain.advice import Advice, TargetHistory
from engine.domain.batches import NO_BATCH_OPTIONS, Batch, BatchOptions, FailedRequest, Retries
from engine.domain.damage import NO_CHECK_ON_RECORD, Damage, DamageSource, accepted
from engine.domain.engines import EngineName
from engine.domain.errors import DuplicateRequestError, ReadOnlyError, StoreError, TargetDamagedError, UsageError
from engine.domain.events import Change, HistoryFilter, Lagged, Pause, WorkerProcess
from engine.domain.humanize import counted
from engine.domain.jobs import JobId, ParentJob
from engine.domain.lazy_import import lazy
from engine.domain.requests import OnDuplicate, Request
from engine.domain.retention import Retention
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.supervision import supervising
from engine.history.retention import prune, pruning
from engine.store.location import StoreLocation
from engine.store.opening import opened
from engine.store.sqlite.connections import OPEN_TIMEOUT
from engine.store.sqlite.writer import BUSY_TIMEOUT
from engine.system.background import wait_postponing_cancel
from engine.system.clock import now, wall_clock

if TYPE_CHECKING:
    from engine import targets
    from engine.domain import estimate_errors
    from engine.domain import page_map as page_maps
    from engine.domain import schedules as firings
    from engine.domain.estimate_errors import EstimateError
    from engine.domain.extent import Extent
    from engine.domain.notifications import Message, RecipientState
    from engine.domain.overview import Overview
    from engine.domain.page_map import PageMap, ReadTimes
    from engine.domain.schedules import Firing, Night, Schedule, ScheduleState
    from engine.domain.surveys import LastJob, Survey
    from engine.execution import force_kill, worker_runtime
    from engine.execution.force_kill import ForceCancel
    from engine.execution.processor import JobProcessor
    from engine.execution.worker_identity import WorkerIdentity
    from engine.fleet import damage, surveyor
    from engine.fleet.surveyor import Surveyed
    from engine.history import maintained_files, stale_journal, target_history, trends
    from engine.history.trends import Trend
    from engine.inspection import inspector, with_history
    from engine.notify import notifier
    from engine.notify.notifier import Compose, Configured
    from engine.schedules import as_due, config_names, next_due, preview, scheduler, tight_windows
    from engine.schedules import firing as schedule_firing
    from engine.schedules import work as schedule_work
    from engine.schedules.night import PlannedNight
    from engine.schedules.tight_windows import TightWindow
    from engine.schedules.work import Tell
    from engine.store.protocol import Hosts, Store
    from engine.submission import manager as submission
    from engine.submission import retry
    from engine.submission.manager import DatabaseMaintenanceManager, OnPortion
    from engine.targets.operation_specs import TargetInfo
    from engine.targets.plans import Plan
else:
    page_maps = lazy("engine.domain.page_map", "only the map needs it")
    targets = lazy("engine.targets", "what only reads the store needs no target")
    stale_journal = lazy("engine.history.stale_journal", "only an inspection needs it")
    target_history = lazy("engine.history.target_history", "only a plan needs it")
    inspector = lazy("engine.inspection.inspector", "only an inspection needs it")
    with_history = lazy("engine.inspection.with_history", "only advice needs it")
    worker_runtime = lazy("engine.execution.worker_runtime", "the console and most commands run no jobs")
    surveyor = lazy("engine.fleet.surveyor", "only a survey of many targets needs it")
    damage = lazy("engine.fleet.damage", "only metrics need it")
    firings = lazy("engine.domain.schedules", "only a schedule needs it")
    schedule_work = lazy("engine.schedules.work", "only a schedule needs it")
    preview = lazy("engine.schedules.preview", "only the plan of a schedule needs it")
    tight_windows = lazy("engine.schedules.tight_windows", "only where there are schedules")
    next_due = lazy("engine.schedules.next_due", "only where there are schedules")
    schedule_firing = lazy("engine.schedules.firing", "only a schedule that is started needs it")
    config_names = lazy("engine.schedules.config_names", "only where there are schedules")
    as_due = lazy("engine.schedules.as_due", "only where systemd or cron start schedules")
    scheduler = lazy("engine.schedules.scheduler", "only permanent workers fire schedules")
    estimate_errors = lazy("engine.domain.estimate_errors", "only the doctor needs it")
    force_kill = lazy("engine.execution.force_kill", "only a forced cancel needs it")
    submission = lazy("engine.submission.manager", "only a submit needs it")
    retry = lazy("engine.submission.retry", "only a retry needs it")
    maintained_files = lazy("engine.history.maintained_files", "only a plan of a backup needs it")
    trends = lazy("engine.history.trends", "only the trend of a job needs it")
    notifier = lazy("engine.notify.notifier", "only where recipients are configured")

_ONLY_READS: Final = "your role in the shared store only reads: ask for dbtend_operator"
_MAY_SUBMIT: Final = "ask for the role dbtend_worker, or let worker processes run them: --detach"
_MAY_LOOK: Final = "ask for the roles dbtend_operator and dbtend_worker"
_WITHOUT: Final = "leave out --read-only, and unset DBTEND_READ_ONLY"


def _manager_of(
    store: Store, location: StoreLocation, clock: Callable[[], Micros]
) -> Callable[[], DatabaseMaintenanceManager]:
    """Makes the manager once it is needed: then it is known whether the store is there."""
    place = location.url or str(location.path.absolute())

    @cache
    def manager() -> DatabaseMaintenanceManager:
        return submission.DatabaseMaintenanceManager(
            store,
            targets.resolve,
            own=targets.resolve(place) if store.is_there else None,
            note_unopened=lambda *noted: surveyor.Surveyor(store, clock).note_unopened(*noted),
            clock=wall_clock(clock),
        )

    return manager


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
        manager: Callable[[], DatabaseMaintenanceManager],
        orchestrator: ParentJobOrchestrator,
        processor: JobProcessor | None,
        clock: Callable[[], Micros],
        *,
        config: Path | None = None,
        read_only: bool = False,
        without: str = _WITHOUT,
    ) -> None:
        """`without`: what to do in a read-only engine."""
        self.read_only = read_only
        self._without = without
        self._store = store
        self._manager = manager
        self._orchestrator = orchestrator
        self._processor = processor
        self._clock = clock
        self._config = config

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        location: Path | StoreLocation,
        *,
        workers: int = 0,
        own_jobs: Collection[int] | None = None,
        max_running: int | None = None,
        identity: WorkerIdentity | None = None,
        run: str | None = None,
        retention: Retention | None = None,
        config: Path | None = None,
        schedules: bool = False,
        queues: Sequence[str] = (),
        read_only: bool = False,
        early: bool = False,
        timeout: float = OPEN_TIMEOUT,
        clock: Callable[[], Micros] = now,
    ) -> AsyncIterator[Self]:
        """Open the store, creating an embedded one where there is none, and start `workers` workers.

        Args:
            location: of the store; a path: of the SQLite file that holds the jobs.
            workers: how many targets this engine works on at once.
            own_jobs: execute only these parents and those submitted through this engine; None: every job.
            max_running: the most operations running at once on this store and host, in all processes; None: no limit.
            identity: the identity under which a supervising process started this one.
            run: reserve jobs submitted here for worker processes whose identity has this name.
            retention: prune the history by these rules, now and every hour; None: do not prune.
            config: the config file, which may be missing: none of its targets is removed as an old backup.
            schedules: fire the schedules of `config` while inside; a changed file is read again.
            queues: of a shared store, that the workers serve beside that of their host; none: that of any host.
            read_only: change nothing. Calls that would write to the store or start a job raise ReadOnlyError; no store
                is created, upgraded or supervised. A missing store reads as an empty one.
            early: do not wait for the server of a shared store: `opened` and writes do; reads wait until it is known.
            timeout: seconds to wait for an embedded store that another process locks.
            clock: microseconds since the epoch, UTC.

        Raises:
            StoreError: the store cannot be opened, or is of a newer version; StoreBusyError if others lock it, or the
                server of a shared one cannot be reached.
            NotAvailableError: the driver of a shared store is not installed.
            ReadOnlyError: `read_only`, and the store needs an upgrade, or workers or retention are requested.

        On exit, running operations are cancelled safely and handed back to the store; call `drain` first to let them
        end.
        """
        async with AsyncExitStack() as stack:
            if read_only and (workers or retention is not None):
                raise ReadOnlyError("engine", "cannot run jobs or prune while read-only", _WITHOUT)
            location = StoreLocation.of(location)
            opening = opened(location, read_only=read_only, timeout=timeout, clock=clock, queues=queues, early=early)
            store = await stack.enter_async_context(opening)
            without = _WITHOUT
            if location.is_shared and not read_only:
                if workers or run is not None:
                    _require_may_run(store)
                read_only, without = not (store.may_submit or store.may_run), _ONLY_READS
            if not read_only:
                await stack.enter_async_context(supervising(store, early=early))
                await stack.enter_async_context(pruning(store, retention, clock))
            if run is not None:
                await stack.enter_async_context(store.reserving(run))
            manager, orchestrator = _manager_of(store, location, clock), ParentJobOrchestrator(store)
            processor = None
            if workers:
                hosted = worker_runtime.HostedWorkers(
                    workers=workers, own_jobs=own_jobs, max_running=max_running, identity=identity, config=config
                )
                hosting = worker_runtime.hosted_workers(store, location, hosted, clock)
                processor = await stack.enter_async_context(hosting)
            if schedules and config is not None and not read_only:
                firing = scheduler.scheduling(store, manager(), config, clock=wall_clock(clock))
                await stack.enter_async_context(firing)
            yield cls(
                store, manager, orchestrator, processor, clock, config=config, read_only=read_only, without=without
            )

    async def opened(self) -> bool:
        """Wait until a store that was opened early is open. Whether its user may change it. Raises StoreError."""
        await self._store.admitted()
        return self._store.may_submit or self._store.may_run

    @property
    def is_open(self) -> bool:
        """Whether the store is open by now."""
        return self._store.is_admitted

    @property
    def has_store(self) -> bool:
        """Whether the store exists: a read-only engine creates none."""
        return self._store.is_there

    @property
    def lost(self) -> StoreError | None:
        """Why nothing can be read or written. That lasts where the file was removed or replaced, and passes where the
        server cannot be reached."""
        return self._store.lost

    async def reach_changed(self) -> None:
        """Wait until `lost` has changed, if it can change."""
        await self._store.reach_changed()

    async def store_locked_by(self) -> str:
        """The processes that lock the store against writing, as text; "" if none, or if unknown."""
        return await self._store.locked_by()

    @property
    def may_run(self) -> bool:
        """Whether its user may run jobs."""
        return self._store.may_run

    @property
    def is_busy(self) -> bool:
        """Whether an operation runs in this engine."""
        return self._processor is not None and self._processor.is_busy

    def require_may_run(self) -> None:
        """Raises ReadOnlyError if the user of this shared store may not run jobs."""
        _require_may_run(self._store)

    def _must_write(self, what: str) -> None:
        """Raises ReadOnlyError."""
        if self.read_only:
            raise ReadOnlyError(what, "would change something, and this is read-only", self._without)

    async def submit(
        self,
        requests: Sequence[Request],
        *,
        on_duplicate: OnDuplicate = OnDuplicate.REFUSE,
        batch: BatchOptions = NO_BATCH_OPTIONS,
        failed: Sequence[FailedRequest] = (),
        strict: bool = False,
        on_dropped: Callable[[UsageError], None] | None = None,
        closes_at: Micros | None = None,
        on_portion: OnPortion | None = None,
    ) -> tuple[ParentJob, ...]:
        """Create one parent job with its children per request: all of them, or none.

        Several requests make up a batch. Of these, one whose database cannot be opened becomes a job that failed; one
        that names the same database as another, or the store itself, is dropped.

        Args:
            batch: how the jobs of the batch depend on each other.
            failed: requests that failed before: each becomes a job that failed, after the others.
            strict: refuse all if one database cannot be opened, or two requests name the same one.
            on_dropped: called with the reason for each request that is dropped.
            closes_at: from then on no operation and no step begins, as if `until` named that instant.
            on_portion: called after each portion of a large batch, which is a transaction of its own. Its jobs stay if
                a later portion fails. Open jobs that do the same are joined, and `strict` does not count.

        Raises:
            UsageError: a request is empty, or names an operation twice or one the engine does not offer; or, if
                `strict`, two requests name the same database.
            TargetError: the only database cannot be opened or must not be maintained; or, if `strict`, one of them.
            DuplicateRequestError: an open parent already does the same, and `on_duplicate` is REFUSE;
                with MERGE that parent is returned instead of a new one, and does not belong to the batch.

        A cancel before the commit stores nothing; a later one is raised at the next wait of the task, after this.
        """
        self._must_write("submit")
        ids = await self._manager().submit(
            requests,
            on_duplicate,
            batch=batch,
            failed=failed,
            strict=strict,
            on_dropped=on_dropped,
            closes_at=closes_at,
            on_portion=on_portion,
        )
        self._adopt(ids)
        return await wait_postponing_cancel(self._submitted(ids))

    async def _submitted(self, ids: Sequence[int]) -> tuple[ParentJob, ...]:
        """In portions: to read thousands at once would keep the thread of a screen from its keys."""
        size = submission.PORTION
        portions = [await self._store.jobs(ids[at : at + size]) for at in range(0, len(ids), size)]
        return tuple(job for portion in portions for job in portion)

    async def plan(self, request: Request, *, advice: Sequence[Advice] = (), closes_at: Micros | None = None) -> Plan:
        """The exact steps `request` would execute now. Changes nothing. Raises as `submit` does.

        Estimates come from earlier runs. With a time limit, each step that would not begin before it says why. Known
        damaged indexes give warnings. `advice`: see `inspector.plan`. `closes_at`: see `submit`.
        """
        url = await self._url_to_open(request.target)
        past, options = await self._past_of(url), request.options
        if await inspector.goes_in_turns(request):
            past = replace(past, turns=await target_history.turns_of(self._store, url))
        if options.keep is not None:
            past = replace(past, maintained_files=await maintained_files.maintained_files(self._store, self._config))
        async with with_history.noting(self._store, url, past, past.now, read_only=self.read_only):
            plan = await inspector.plan(
                request, past, advice=advice, read_only=self.read_only, has_window=closes_at is not None
            )
        operations = [
            await target_history.estimated(self._store, url, one, options, plan.before, past.jobs)
            for one in plan.operations
        ]
        return inspector.in_window(replace(plan, operations=tuple(operations)), wall_clock(self._clock)(), closes_at)

    async def before_writing(self, request: Request) -> tuple[str, ...]:
        """See `Plan.before_writing`. Only with `force` is the database opened: else operations count that would find
        nothing to do. Raises TargetError."""
        if request.options.force:
            return (await self.plan(request)).before_writing
        url = await asyncio.to_thread(inspector.canonical_url, request.target)
        unchecked = inspector.writes_unchecked(url, request.children) and not (await self._past_of(url)).is_checked
        return (NO_CHECK_ON_RECORD,) if unchecked else ()

    async def inspect(self, target: str) -> TargetInfo:
        """Facts of a database and the operations it offers. Raises TargetError."""
        url = await self._url_to_open(target)
        # A server of MariaDB repairs known damage by itself when it is read.
        past = await self._past_of(url) if inspector.engine_of(url) == EngineName.MYSQL else None
        return await inspector.inspect(target, past, read_only=self.read_only)

    async def page_map(self, target: str) -> PageMap:
        """What the pages of a SQLite file hold, and which of them the last check names.

        Raises UsageError for another database, TargetError.
        """
        url = await self._url_to_open(target)
        found, past = await inspector.page_map(target), await self._past_of(url)
        if not self.read_only and (pages := found.owners.count(page_maps.DAMAGED)):
            text = f"{counted(pages, 'page')} of the file cannot be read"
            seen = Damage(source=DamageSource.MAP, found_at=self._clock(), text=text)
            await with_history.note_damage(self._store, url, past, [seen])
        return replace(page_maps.with_named(found, past.damaged_pages), known_damage=past.known_damage)

    async def read_times(self, target: str) -> ReadTimes | None:
        """What the order of the pages of a SQLite file costs, as `inspector.read_times` measures it."""
        await self._url_to_open(target)
        return await inspector.read_times(target)

    async def extent(self, target: str) -> Extent:
        """Which database it is, and how large its file. Raises TargetError if it is missing or unreadable."""
        return await asyncio.to_thread(inspector.extent, target)  # a disk may hang

    async def advise(
        self,
        target: str,
        *,
        budget: float | None = 0.5,
        limits: Thresholds = DEFAULT_THRESHOLDS,
        recover: bool = False,
    ) -> tuple[Advice, ...]:
        """One advice per operation, in the recommended order.

        `budget`: seconds for expensive measurements; None: no limit. `recover`: whether opening a SQLite file may roll
        back what a crash left in it; else it is refused. `engine.domain.advice.needed` reduces a request to what the
        advice calls for. Raises TargetError.
        """
        return await with_history.advise(
            self._store,
            target,
            self._clock(),
            budget=budget,
            limits=limits,
            read_only=self.read_only,
            recover=recover,
        )

    async def inspect_and_advise(
        self, target: str, *, budget: float | None, limits: Thresholds
    ) -> tuple[TargetInfo, tuple[Advice, ...]]:
        """`inspect` and `advise` by one connection: for very many targets."""
        return await with_history.inspect_and_advise(
            self._store, target, self._clock(), budget=budget, limits=limits, read_only=self.read_only
        )

    def survey(self, targets: Sequence[TargetEntry], *, refresh: bool = False) -> AsyncIterator[Surveyed]:
        """Survey targets, a few at once; each comes when it is done, and is kept in the store.

        A target that cannot be inspected has a level and a reason that say so; nothing is raised. `refresh`: survey
        all of them, not only those without a fresh survey.
        """
        return surveyor.Surveyor(self._store, self._clock, read_only=self.read_only).survey(targets, refresh=refresh)

    async def surveys(self, targets: Collection[str]) -> Mapping[str, Survey]:
        """The kept surveys of these targets, by canonical URL, however old they are. No target is opened."""
        return await self._store.surveys(targets)

    async def known_databases(self) -> frozenset[str]:
        """The canonical URLs of all targets that were a database when they were surveyed, or completed an operation."""
        return await self._store.known_databases()

    async def forget_databases(self, targets: Collection[str]) -> None:
        """Remove all that is known of these targets, by canonical URL, apart from their jobs: they may be gone."""
        await self._store.forget_databases(targets)

    async def accept_damage(self, target: str, by: str) -> tuple[Damage, ...]:
        """A person takes note of all known damage of a database: it keeps nothing from writing any more, until a check
        finds it again. Returns what was noted. The database is not opened. Raises UsageError.
        """
        self._must_write("accept")
        url = await asyncio.to_thread(inspector.canonical_url, target)
        change = accepted((await self._past_of(url)).known_damage, by=by, at=wall_clock(self._clock)())
        if change:
            await self._store.save_damage(url, change)
        return change.found

    async def overview(self) -> Overview:
        """The state of all targets and jobs on record; opens no target."""
        found = await self._store.overview()
        damaged = await damage.damaged_since_survey(self._store, found)
        return replace(found, damaged=damaged, surveys=damage.surveys_since_jobs(found))

    async def last_jobs(self, targets: Collection[str]) -> Mapping[str, LastJob | None]:
        """The newest job of each of these targets that has one, by canonical URL; None for one that cannot be read."""
        return await self._store.last_jobs(targets)

    async def record_damage(self, target: str, error: TargetDamagedError) -> None:
        """Put on record what kept an inspection of a database from reading it. It is not opened.

        Raises UsageError, ReadOnlyError.
        """
        self._must_write(target)
        url = await asyncio.to_thread(inspector.canonical_url, target)
        await with_history.note_error(self._store, url, await self._past_of(url), error, self._clock())

    async def damaged_indexes(self, target: str) -> tuple[str, ...]:
        """Indexes that the last check on record found damaged and that were not rebuilt since.

        The database is not opened: some may be dropped by now. Raises UsageError.
        """
        url = await asyncio.to_thread(inspector.canonical_url, target)
        return (await self._past_of(url)).damaged_indexes

    async def known_damage(self, target: str) -> tuple[Damage, ...]:
        """All that is known to be damaged in a database, whoever saw it. It is not opened. Raises UsageError."""
        url = await asyncio.to_thread(inspector.canonical_url, target)
        return (await self._past_of(url)).known_damage

    async def _url_to_open(self, target: str) -> str:
        """The canonical URL of a target that is opened next. Raises TargetRefusedError, UsageError."""
        return await with_history.url_to_open(self._store, target)

    async def _past_of(self, url: str) -> TargetHistory:
        return await with_history.past_of(self._store, url, self._clock())

    async def cancel(self, job: JobId, *, force: bool = False, reason: Reason = Reason.CANCELLED_BY_USER) -> ParentJob:
        """Cancel a child, or all open children of a parent.

        A pending child is cancelled at once. A running one is asked to stop, and may still complete: a VACUUM in its
        last phase cannot be interrupted. A finished one does not change.

        `force`: also kill the process that runs it (see `preview_force_cancel`). The child ends cancelled after another
        process has recovered the database.

        Raises JobNotFoundError; with `force` also UsageError: nothing runs, or it cannot be killed from here.
        """
        self._must_write("cancel")
        if force:
            await force_kill.cancel_by_force(self._store, job, reason)
        else:
            await self._store.request_cancel(job, reason)
        return await self.job(job.parent)

    async def cancel_all(
        self, parent_ids: Collection[int], *, reason: Reason = Reason.CANCELLED_BY_USER
    ) -> list[ParentJob]:
        """Cancel these jobs in one transaction, each as `cancel` does. Ids of no job are ignored."""
        self._must_write("cancel")
        await self._store.cancel_all(parent_ids, reason)
        return await self.jobs(parent_ids)

    async def cancel_batch(self, batch_id: int) -> Batch:
        """Cancel all open jobs of a batch in one transaction, each as `cancel` does, and all that are still to come.

        Raises JobNotFoundError.
        """
        self._must_write("cancel")
        await self._store.cancel_batch(batch_id)
        return await self.batch(batch_id)

    async def preview_force_cancel(self, job: JobId) -> ForceCancel:
        """The effect of `cancel` with `force`. Raises as that does."""
        return await force_kill.preview(self._store, job)

    async def retry(
        self,
        parent_id: int,
        *,
        only_incomplete: bool = False,
        confirmed: bool = False,
        changes: Mapping[str, Any] | None = None,
        known: int | None = None,
    ) -> ParentJob:
        """Submit the request of a finished parent again, as a new parent with `retry_of`.

        `only_incomplete`: only what did not complete: operations, and of these the steps. `confirmed`: the user
        confirms operations that need it; the confirmation of the first run does not count. `changes`: values of options
        by name, instead of those of the first run. `known`: `newest_job` when the user decided; None: now.

        Raises JobNotFoundError, UsageError (it is open, or nothing is left to repeat), DuplicateRequestError (a job
        newer than `known` repeats it), and what `submit` raises.
        """
        self._must_write("retry")
        known = await self.newest_job() if known is None else known
        parent = await self.job(parent_id)
        try:
            new_id = await self._manager().retry(
                parent, only_incomplete=only_incomplete, confirmed=confirmed, changes=changes, known=known
            )
        except DuplicateRequestError as error:
            has_ended = (await self.job(error.parent_id)).status.is_final
            raise DuplicateRequestError(error.what, error.parent_id, has_ended=has_ended) from None
        self._adopt([new_id])
        return await wait_postponing_cancel(self.job(new_id))

    async def retry_batch(
        self,
        batch_id: int,
        *,
        only_incomplete: bool = False,
        confirmed: bool = False,
        changes: Mapping[str, Any] | None = None,
        known: Retries | None = None,
        on_portion: OnPortion | None = None,
    ) -> tuple[ParentJob, ...]:
        """Submit the requests of a batch that is over again, as a new batch with `retry_of`.

        Patterns that could not be listed are left out. `only_incomplete`: only jobs that did not complete, and of these
        the operations and steps that did not. `confirmed`, `changes`: see `retry`. An open job that does the same is
        returned instead of a new one, and does not belong to the batch. `known`: the `retries` on which who asks has
        decided; a job that another retry has repeated since is not repeated: the one that did is returned, open or not.
        `on_portion`: see `submit`; after a retry that ended before all were submitted, the next submits the others.
        Raises as `retry` does.
        """
        self._must_write("retry")
        batch, parents = await self.batch(batch_id), await self.batch_jobs(batch_id)
        known = await self.retries(batch_id) if known is None else known
        repeated, _ = retry.repeatable(batch, parents, only_incomplete=only_incomplete, repeated=known.of_last)
        if only_incomplete:
            repeated = await self.whole_jobs([parent.id for parent in repeated])
        ids = await self._manager().retry_batch(
            batch,
            repeated,
            known=known,
            only_incomplete=only_incomplete,
            confirmed=confirmed,
            changes=changes,
            on_portion=on_portion,
        )
        self._adopt(ids)
        return await wait_postponing_cancel(self._submitted(ids))

    async def retries(self, batch_id: int) -> Retries:
        """The jobs that repeat jobs of a batch so far."""
        return await self._store.retries(batch_id)

    async def schedule_states(self) -> Mapping[str, ScheduleState]:
        """What workers have read of schedules, and which are disabled, by name."""
        return await self._store.schedule_states()

    async def firings(
        self, schedule: str | None = None, *, since: Micros | None = None, until: Micros | None = None, limit: int = 50
    ) -> list[Firing]:
        """What became of the due times of a schedule, or of all, between these times, newest first."""
        return await self._store.firings(schedule, since=since, until=until, limit=limit)

    async def next_due(self, targets: Collection[str], config: Config) -> Mapping[str, Micros]:
        """When schedules start each of these targets next, by canonical URL; those without a schedule are left out."""
        if not config.schedules:
            return {}
        states = await self._store.schedule_states()
        return await asyncio.to_thread(next_due.next_due_of, targets, config, states, wall_clock(self._clock)())

    async def fires_schedules(self, config: Path) -> bool:
        """Whether a permanent worker fires the schedules of a config file. Raises StoreError."""
        return await scheduler.is_led(self._store, config)

    def config_name(self, config: Path) -> str:
        """What a config file is called in the store."""
        return config_names.config_name(config, self._store)

    async def fired_by_other(self, schedule: Schedule, config: Path) -> UsageError | None:
        """Why a schedule of a config file does not fire: another file has one of its name, and fires it."""
        state = (await self._store.schedule_states()).get(schedule.name)
        other = firings.other_config(state, self.config_name(config))
        return await config_names.fired_by(other, schedule.name, self._store) if other else None

    async def nights(self, schedule: str, *, limit: int = 10) -> list[Night]:
        """The newest firings of a schedule with their jobs as a whole, newest first."""
        found = []
        for firing in await self._store.firings(schedule, limit=limit):
            if firing.batch is None:
                found.append(firings.Night(firing=firing))
                continue
            started_at, finished_at = await self._store.batch_span(firing.batch)
            batch = await self._store.batch(firing.batch)
            found.append(firings.Night(firing=firing, batch=batch, started_at=started_at, finished_at=finished_at))
        return found

    async def planned_night(
        self, schedule: Schedule, config: Config, due_at: Micros, *, tell: Tell | None = None
    ) -> PlannedNight:
        """What a schedule would do if it were due at `due_at`, by what its targets and the other schedules need now.

        Jobs that are open already need the same workers, but for those of a process that runs its own.

        As many targets are worked on at once as permanent workers run; if none does, as the config file says.
        `tell`: called after each inspection. Raises UsageError if its targets cannot be listed.
        """
        workers = await self.pool_size() or config.defaults.workers
        is_shared, now = self._store.hosts is not None, wall_clock(self._clock)()

        async def work_of(one: Schedule) -> schedule_work.Work:
            return await schedule_work.work_of(
                one, config, self._store, self._clock, read_only=self.read_only, by_surveys=True, tell=tell
            )

        work = await work_of(schedule)
        disabled = firings.disabled_ones(await self._store.schedule_states())
        enabled = [one for one in config.schedules if one.name not in disabled]
        beside = await preview.work_beside(schedule, due_at, enabled, work_of)
        of_others = {job for one in await self.workers() if one.alive for job in one.own_jobs}
        jobs = [job for job in await self.open_jobs() if job.id not in of_others]
        return await preview.night_of(
            schedule,
            work,
            self.plan,
            due_at,
            workers=workers,
            is_shared=is_shared,
            beside=beside,
            open_work=await preview.open_work(jobs, self.plan, now, is_shared=is_shared, tell=tell),
            tell=tell,
        )

    async def tight_windows(self, config: Config) -> list[TightWindow]:
        """Windows that cannot hold their work, by how long it took before. Opens no target.

        The last survey of each target says what it needs and how large it is, unless a job has ended there since.
        """
        runs = await self._store.estimated_runs(estimate_errors.RUNS_READ)
        targets = {run.target for run in runs}
        surveys, last = await self._store.surveys(targets), await self._store.last_jobs(targets)
        return await asyncio.to_thread(
            tight_windows.tight_windows,
            config,
            wall_clock(self._clock)(),
            disabled=firings.disabled_ones(await self._store.schedule_states()),
            runs=runs,
            surveys={name: one for name, one in surveys.items() if surveyor.is_after(one, last.get(name))},
            workers=await self.pool_size() or config.defaults.workers,
        )

    async def pool_size(self) -> int:
        """How many processes the permanent workers of this store have."""
        return sum(one.alive and one.serves_all and one.pool is not None for one in await self.workers())

    async def enable_schedule(self, name: str) -> None:
        """Let a schedule be due again, from now on."""
        self._must_write("enable")
        await self._store.enable_schedule(name)

    async def disable_schedule(self, name: str, by: str) -> None:
        """Let a schedule be due no more. `by`: who asked for it."""
        self._must_write("disable")
        await self._store.disable_schedule(name, by)

    async def fire(self, schedule: Schedule, config: Config) -> tuple[Firing, tuple[ParentJob, ...]]:
        """Start a schedule now. Returns its record and its jobs; while its window is closed they have none.

        Raises UsageError: jobs of an earlier firing are open, or its targets cannot be listed.
        """
        self._must_write("run")
        at = wall_clock(self._clock)()
        firing = firings.Firing(
            schedule=schedule.name,
            due_at=at,
            status=firings.FiringStatus.FIRED,
            reason=firings.FiringReason.BY_HAND,
            recorded_at=at,
        )
        fired = None
        if await self._store.open_batch(schedule.name) is None:
            fired = await schedule_firing.fire(self._store, self._manager(), schedule, config, firing, self._clock)
        if fired is None:
            batch = await self._store.open_batch(schedule.name)
            why = "some of its jobs are open" + ("" if batch is None else f": batch b{batch}")
            raise UsageError(f"schedule {schedule.name}", why, "wait for them, or cancel them first")
        return fired, await self._fired_jobs(fired)

    async def fire_as_due(
        self, schedule: Schedule, config: Config, file: Path
    ) -> tuple[Firing | None, tuple[ParentJob, ...]]:
        """Start a schedule if it is due, as a permanent worker of the config file `file` does; see `as_due`."""
        self._must_write("run")
        clock = wall_clock(self._clock)
        fired = await as_due.fire_as_due(self._store, self._manager(), schedule, config, file, clock)
        return fired, () if fired is None else await self._fired_jobs(fired)

    async def _fired_jobs(self, fired: Firing) -> tuple[ParentJob, ...]:
        if fired.batch is None:
            return ()
        jobs = await wait_postponing_cancel(self._store.batch_jobs(fired.batch))
        self._adopt([job.id for job in jobs])
        return tuple(jobs)

    def _adopt(self, parent_ids: Collection[int]) -> None:
        if self._processor is not None:
            self._processor.adopt(parent_ids)

    async def drain(self, seconds: float | None = None) -> None:
        """Claim no more jobs here, and wait until the running ones end, at most `seconds`; None: without limit."""
        if self._processor is not None:
            await self._processor.drain(seconds)

    async def drain_host(self, host: str, by: str) -> None:
        """Let the workers of a host take no more jobs, and leave when what they run has ended, until `undrain_host`.

        `by`: who asked for it. Raises UsageError if no other host uses the store.
        """
        self._must_write("drain")
        await self._hosts("drain").drain_host(host, by)

    async def undrain_host(self, host: str) -> bool:
        """Let workers of a host take jobs again; whether they did not. Raises UsageError as `drain_host` does."""
        self._must_write("undrain")
        return await self._hosts("undrain").undrain_host(host)

    async def drained_hosts(self) -> Mapping[str, Pause]:
        """By host: since when, and on whose request, its workers take no jobs."""
        return {} if self._store.hosts is None else await self._store.hosts.drained_hosts()

    async def unserved(self) -> Mapping[str, Sequence[int]]:
        """By queue of a shared store: the parents that wait in it while no live worker process serves it; without the
        queues that workers of this host serve."""
        return {} if self._store.hosts is None else await self._store.hosts.unserved()

    async def asked_to_leave(self) -> None:
        """Wait until the workers of this host are to take no more jobs: it was drained."""
        if self._store.hosts is None:
            await asyncio.Event().wait()
        else:
            await self._store.hosts.asked_to_leave()

    @property
    def host(self) -> str | None:
        """The name of this host in a shared store; None in an embedded one."""
        return None if self._store.hosts is None else self._store.hosts.host

    @property
    def hosts(self) -> Hosts | None:
        """The hosts that share its store; None: it belongs to one."""
        return self._store.hosts

    def elsewhere(self, target: str) -> str | None:
        """The other host that works on this target, a file of its own; None where the store has one host."""
        return None if self._store.hosts is None else inspector.elsewhere(target)

    def _hosts(self, what: str) -> Hosts:
        if self._store.hosts is None:
            hint = "end its workers by a signal, such as kill PID; dbtend workers lists them"
            raise UsageError(what, "means nothing here: one host alone uses this store", hint)
        return self._store.hosts

    async def pause(self, by: str) -> None:
        """Start no job in any process until `resume`; running ones go on. `by`: who asked for it."""
        self._must_write("pause")
        await self._store.pause(by)

    async def resume(self) -> None:
        """Let jobs start again."""
        self._must_write("resume")
        await self._store.resume()

    async def paused(self) -> Pause | None:
        """Since when and on whose request no job starts; None if not paused."""
        return await self._store.paused()

    async def pin(self, parent_id: int, *, pinned: bool = True) -> ParentJob:
        """Exempt a job from retention, or with `pinned=False` no longer. Raises JobNotFoundError."""
        self._must_write("pin" if pinned else "unpin")
        await self._store.pin(parent_id, pinned)
        return await self.job(parent_id)

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> Mapping[Status, int]:
        """Remove old history in small transactions; returns the number of parents by status.

        `dry_run`: only count.
        """
        if not dry_run:
            self._must_write("prune")
        return await prune(self._store, retention, self._clock(), dry_run=dry_run)

    def notifying(self, config: Configured, compose: Compose) -> AbstractAsyncContextManager[None]:
        """Tell people what happens, while inside; of all processes that share the store, one does for each recipient.

        `config`: asked again and again. `compose`: makes the text of a message.
        """
        self._must_write("notify")
        return notifier.notifying(notifier.Notifier(self._store, config, compose, self._clock))

    async def register_recipients(self, names: Collection[str], *, since: Micros | None = None) -> None:
        """New recipients hear of events from now on, and of those since an earlier time."""
        if names:
            self._must_write("notify")
            await self._store.register_recipients(names, since=since)

    async def notify_now(self, config: Configured, compose: Compose) -> Sequence[str]:
        """Tell people what happened, and what waits from before: one attempt each. Returns why attempts failed.

        Nothing happens where another process tells people. Raises StoreError.
        """
        self._must_write("notify")
        return await notifier.Notifier(self._store, config, compose, self._clock).tell_now()

    async def tells_people(self, recipients: Collection[str]) -> bool:
        """Whether a process tells each of them what happens; a run does so at its end only. Raises StoreError."""
        return await notifier.is_telling(self._store, recipients)

    async def messages(self, recipient: str, *, limit: int = 10) -> list[Message]:
        """The newest messages of a recipient, sent and waiting, newest first."""
        return await self._store.newest_messages(recipient, limit=limit)

    async def recipient_states(self, names: Collection[str]) -> list[RecipientState]:
        """The records of these recipients."""
        return await self._store.recipient_states(names)

    async def job(self, parent_id: int) -> ParentJob:
        """A parent with its children, their attempts, steps and logs. Raises JobNotFoundError."""
        return await self._store.job(parent_id)

    async def whole_jobs(self, ids: Collection[int]) -> list[ParentJob]:
        """These parents with their children, their attempts, steps and logs, in the order of `ids`."""
        return await self._store.whole_jobs(ids)

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
        """These parents with their children, without steps and logs, in the order of `ids`."""
        return await self._store.jobs(ids)

    async def batch(self, batch_id: int) -> Batch:
        """A batch with the number of its jobs by status. Raises JobNotFoundError."""
        return await self._store.batch(batch_id)

    async def batch_jobs(self, batch_id: int) -> list[ParentJob]:
        """The parents of a batch, oldest first, without steps and logs."""
        return await self._store.batch_jobs(batch_id)

    async def open_jobs(self) -> list[ParentJob]:
        """All open parents, oldest first, without steps and logs."""
        return await self._store.open_jobs()

    async def has_served_jobs(self) -> bool:
        """Whether an open job runs, or waits for a live worker. One whose host has no worker does not count."""
        return await self._store.has_served_jobs()

    async def ended_jobs(self, since: Micros, *, limit: int) -> array[int]:
        """The ids of the parents that ended since then, whenever they were created, newest first."""
        return await self._store.ended_jobs(since, limit=limit)

    async def newest_job(self) -> int:
        """The id of the newest parent; 0: there is none."""
        return max((job.id for job in await self.history(limit=1)), default=0)

    async def history(
        self, where: HistoryFilter | None = None, *, before: int | None = None, limit: int = 50
    ) -> list[ParentJob]:
        """A page of parents, newest first, without steps and logs; `before` is the last id of the page above."""
        return await self._store.history(where or HistoryFilter(), before=before, limit=limit)

    def search(self, where: HistoryFilter | None = None, *, folded: bool = False) -> AsyncIterator[array[int]]:
        """The ids of all matching parents, newest first, in portions: for a screen that pages by itself.

        The first portion comes at once; one may be empty. `changes` reports jobs that appear or change during the
        search; `HistoryFilter.matches` tells whether they belong to the result.

        `folded`: the jobs of a batch are one id, that of the newest, negative; but each is found where the filter is
        of jobs (`HistoryFilter.is_of_jobs`).
        """
        return self._store.search(where or HistoryFilter(), folded=folded)

    async def trend(self, job: ParentJob) -> tuple[Trend, ...]:
        """For each operation of a job: its runs on this database up to and including this job."""
        operations = dict.fromkeys(child.operation for child in job.children)
        found = []
        for operation in operations:
            runs = await self._store.past_runs(
                job.target, operation, newest=job.id, jobs=trends.MAX_JOBS_READ, runs=trends.RUNS_READ
            )
            found.append(trends.trend_of(operation, job.request.options, runs))
        return tuple(found)

    async def estimate_errors(self) -> list[EstimateError]:
        """By operation and target: how far the estimates of the newest jobs were from what happened."""
        return estimate_errors.errors_by_target(await self._store.estimated_runs(estimate_errors.RUNS_READ))

    async def count(self) -> int:
        """The number of parents."""
        return await self._store.count()

    def changes(self, after: int | None = None) -> AsyncIterator[Change | Lagged]:
        """All changes of jobs from now on, in commit order and without a gap, from all processes that share the store.

        `after`: the `seq` of the last change already seen; None: from now on. The iterator never ends; break out of
        it, or close it.
        """
        return self._orchestrator.changes(after)

    async def wait(self, parent_ids: Collection[int]) -> list[ParentJob]:
        """Wait until all these parents have ended, and return them with steps and logs."""
        return await self._orchestrator.wait(parent_ids)

    async def workers(self) -> list[WorkerProcess]:
        """The processes that execute children for this store, dead ones included until they are rescued."""
        return await self._store.workers()


def _require_may_run(store: Store) -> None:
    """Raises ReadOnlyError."""
    if not store.may_run:
        hint = _MAY_SUBMIT if store.may_submit else _MAY_LOOK
        raise ReadOnlyError("the store", "your role may not run jobs", hint)
