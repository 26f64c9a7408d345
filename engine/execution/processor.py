"""JobProcessor: claims children, routes each to the worker for its type, and stores its outcome."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar

from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import DbtendError, OwnershipLostError, StoreError, SystemLimitError
from engine.domain.frozen import frozen
from engine.domain.jobs import JobId
from engine.domain.statuses import Reason, Status
from engine.domain.steps import LogLevel, LogLine, Micros
from engine.execution.kept_results import KeptResult, KeptResults
from engine.execution.reporter import Reporter
from engine.execution.store_retries import StoreRetries
from engine.execution.worker import JobWorker
from engine.execution.worker_slots import POLL_INTERVAL, YIELD_TIME, WorkerSlots
from engine.store.protocol import Store
from engine.system.background import pause_loop
from engine.system.clock import SteadyClock, held_steady

T = TypeVar("T")
CANCEL_CHECK_INTERVAL = 0.02
LOOK_EVERY = 5.0
"""Seconds between two looks at what waits, of slots that no change let look: such as after a claim that another
process began, and did not end."""

log = logging.getLogger("dbtend")


@frozen(kw_only=True)
class Hosting:
    """Which children a processor claims, and how many run at once."""

    owner: str
    """Who claims them, by the store."""
    concurrency: int
    own_jobs_only: bool = False
    """Only children of parents that are adopted."""
    run: str | None = None
    """Also children that are reserved for this run."""
    slots: WorkerSlots | None = None
    """Each running child takes one; None: only `concurrency` limits them."""
    results: KeptResults | None = None
    """Keeps those that the store cannot take at once; None: they are in memory only."""


class JobProcessor:
    """Keeps up to `concurrency` children running, each on a target of its own.

    The store ensures that a target has at most one running child, and that the children of a parent run in order.
    """

    def __init__(
        self, store: Store, workers: Mapping[str, JobWorker], hosting: Hosting, clock: Callable[[], Micros]
    ) -> None:
        self._store = store
        self._workers = workers
        self._hosting = hosting
        self._clock = clock
        self._own_jobs: set[int] | None = set() if hosting.own_jobs_only else None
        self._retries = StoreRetries()
        self._running: dict[JobId, asyncio.Event] = {}
        self._before_start = 0
        """How many of the running ones wait for an answer of the store, and have not begun."""
        self._asked_to_stop: set[JobId] = set()
        self._slots: list[asyncio.Task[None]] = []
        self._claims_no_more = asyncio.Event()
        self._looks = asyncio.Semaphore(1)
        """How many idle slots are to look for work. One is enough: when it finds some, it lets the next look."""

    @property
    def is_busy(self) -> bool:
        """Whether an operation runs."""
        return len(self._running) > self._before_start

    @property
    def _is_stopping(self) -> bool:
        """Running children are cancelled and handed back."""
        return self._retries.is_stopping

    def adopt(self, parent_ids: Iterable[int]) -> None:
        """Add these parents, if this processor runs only its own jobs."""
        if self._own_jobs is not None:
            self._own_jobs.update(parent_ids)
            self._let_one_look()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Execute children while inside; on exit, stop running ones safely and hand them back.

        Raises StoreError after the store could not be written for too long: the block is cancelled, and other processes
        take over its children.
        """
        host, gave_up = asyncio.current_task(), False

        def end_the_block(slot: asyncio.Task[None]) -> None:
            nonlocal gave_up
            if host is not None and not (self._is_stopping or slot.cancelled()) and slot.exception() is not None:
                self._claim_no_more()
                self._retries.is_stopping = gave_up = True
                host.cancel()

        helpers = [
            asyncio.create_task(self._look_on_changes(), name="dbtend-look"),
            asyncio.create_task(self._look_again(), name="dbtend-look-again"),
            asyncio.create_task(self._deliver_cancels(), name="dbtend-cancel"),
        ]
        self._slots = [
            asyncio.create_task(self._run_slot(), name=f"dbtend-slot-{number}")
            for number in range(self._hosting.concurrency)
        ]
        for slot in (*self._slots, *helpers):
            slot.add_done_callback(end_the_block)
        try:
            yield
        finally:
            self._claim_no_more()
            self._retries.is_stopping = True
            for cancel in self._running.values():
                cancel.set()
            try:
                ended = await asyncio.gather(*self._slots, return_exceptions=True)
            finally:
                for helper in helpers:
                    helper.cancel()
            helped = await asyncio.gather(*helpers, return_exceptions=True)
            if host is not None and gave_up:
                host.uncancel()
            for error in (*ended, *(how for how in helped if isinstance(how, Exception))):
                if error is not None:
                    raise error from None

    async def drain(self, seconds: float | None) -> None:
        """Claim no more children, and wait until none runs, at most `seconds`; None: without limit."""
        self._claim_no_more()
        await asyncio.wait(self._slots, timeout=seconds)

    def _claim_no_more(self) -> None:
        self._claims_no_more.set()
        for _ in self._slots:
            self._looks.release()

    async def _run_slot(self) -> None:
        while not self._claims_no_more.is_set():
            await self._looks.acquire()
            while await self._run_pending():
                pass

    async def _run_pending(self) -> bool:
        """Run pending children one after the other until none is left; whether any ran."""
        if self._hosting.slots is None:
            return await self._run_sequentially()
        slot = await self._worker_slot(self._hosting.slots)
        if slot is None:
            return False
        try:
            ran = await self._run_sequentially()
        finally:
            os.close(slot)
        if ran and self._has_slot_waiters():
            await pause_loop(YIELD_TIME)
        return ran

    def _has_slot_waiters(self) -> bool:
        return self._hosting.slots is not None and self._hosting.slots.has_waiters()

    async def _worker_slot(self, slots: WorkerSlots) -> int | None:
        """Wait for a slot while a child is pending; None if none is."""
        if (slot := slots.take()) is not None:
            return slot
        with slots.waiting():
            while not self._claims_no_more.is_set() and await self._has_pending():
                if (slot := slots.take()) is not None:
                    return slot
                await pause_loop(POLL_INTERVAL)
        return None

    async def _has_pending(self) -> bool:
        with suppress(StoreError):
            return await self._store.has_pending(self._own_jobs, self._hosting.run)
        return True

    async def _run_sequentially(self) -> bool:
        with held_steady(self._clock):
            claim = await self._claim()
            if claim is None:
                return False
            self._let_one_look()
            while claim is not None:
                claim = await self._run_claim(claim)
            return True

    async def _claim(self) -> Claim | None:
        if self._own_jobs is not None and not self._own_jobs:
            return None

        async def next_claim() -> Claim | None:
            if self._claims_no_more.is_set():
                return None
            claim = await self._store.claim(self._hosting.owner, self._own_jobs, self._hosting.run)
            self._retries.note(None)
            return claim

        return await self._retries.until_answered(next_claim)

    async def _run_claim(self, claim: Claim) -> Claim | None:
        """Run a claimed child to its end; returns the next claim, if any."""
        if (kept := await self._kept_result(claim)) is not None:
            return await self._settle(claim, kept.outcome, lambda: kept.report)
        log.info("#%s %s %s started, attempt %d", claim.job, claim.operation, claim.target, claim.attempt)
        if isinstance(self._clock, SteadyClock):
            self._clock.not_before(claim.started_at)
        cancel = self._running[claim.job] = asyncio.Event()
        if self._is_stopping:
            cancel.set()
        reporter = Reporter(claim, lambda report: self._report(claim, report), self._clock)
        try:
            outcome = await self._execute(claim, reporter, cancel)
        except BaseException as error:
            await reporter.stop()
            if not isinstance(error, OwnershipLostError):
                raise
            log.warning("%s", error)
            return None
        finally:
            del self._running[claim.job]
        outcome = replace(
            outcome,
            ended_at=self._clock(),  # not the later time of the write
            after={**(outcome.after or {}), **reporter.waited} or None,
        )
        return await self._settle(claim, outcome, reporter.unsent, reporter)

    async def _kept_result(self, claim: Claim) -> KeptResult | None:
        """The result of the attempt before, if its process of this host ended before it could store that."""
        kept = self._hosting.results.of_earlier(claim) if self._hosting.results is not None else None
        if kept is None:
            return None
        parent = await self._retries.until_answered(partial(self._store.job, claim.job.parent))
        child = next(child for child in parent.children if child.id == claim.job)
        earlier = claim.attempt - 1
        if (earlier, kept.started_at) not in {(attempt.number, attempt.started_at) for attempt in child.attempts}:
            return None  # of another store that was at this place
        lines = [line.number for line in (*child.log, *kept.report.log) if line.attempt == earlier]
        told = LogLine(
            number=max(lines, default=0) + 1,
            attempt=earlier,
            at=self._clock(),
            level=LogLevel.INFO,
            message="its process ended before the store took this result, which was kept on its host until now",
        )
        report = replace(kept.report, log=(*kept.report.log, told))
        return replace(kept, outcome=replace(kept.outcome, attempt=earlier), report=report)

    async def before_start(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What the store says, without which a child cannot begin. Raises StoreError if waiting does not help."""
        self._before_start += 1
        try:
            return await self._retries.until_answered(ask)
        finally:
            self._before_start -= 1

    async def _execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        worker = self._workers.get(claim.type)
        if worker is None:
            return Outcome(
                status=Status.FAILED, reason=Reason.NOT_SUPPORTED, error=f"no worker is registered for {claim.type}"
            )
        try:
            return await worker.execute(claim, reporter, cancel)
        except OwnershipLostError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise  # this slot is cancelled, not a task inside the worker
            if not isinstance(error, DbtendError):
                reporter.log(LogLevel.ERROR, "".join(traceback.format_exception(error)))
            return _failure(error)

    async def _report(self, claim: Claim, report: Report) -> None:
        try:
            await self._store.report(claim, report)
            self._retries.note(None)
        except OwnershipLostError:
            if (cancel := self._running.get(claim.job)) is not None:
                cancel.set()
        except StoreError as error:
            self._retries.note(error)
            raise

    async def _settle(
        self, claim: Claim, outcome: Outcome, unsent: Callable[[], Report], reporter: Reporter | None = None
    ) -> Claim | None:
        """Store an outcome, or hand the child back; returns the next claim, if any.

        If the store stays unwritable, this process ends. `unsent`: gives what `reporter` may still be sending.
        """
        handed_back = (
            self._is_stopping
            and outcome.status is Status.CANCELLED
            and outcome.attempt is None
            and (claim.recovering is None or outcome.reason is Reason.SHUTDOWN)
            and claim.job not in self._asked_to_stop
        )
        self._asked_to_stop.discard(claim.job)
        results = None if handed_back else self._hosting.results
        if not handed_back:
            log.info("#%s %s%s", claim.job, outcome.status, f": {outcome.error}" if outcome.error else "")
        keeping = results and results.kept_meanwhile(claim, outcome, unsent, at_once=self._retries.is_refused)
        try:
            async with keeping or nullcontext():
                report = unsent() if reporter is None else await reporter.stop()
                if not handed_back:
                    return await self._finish(claim, outcome, report)
                await self._retries.until_answered(partial(self._store.release, claim, report))
                log.info("#%s handed back", claim.job)
                return None
        except OwnershipLostError as error:
            log.warning("%s", error)
            return None

    async def _finish(self, claim: Claim, outcome: Outcome, report: Report) -> Claim | None:
        """Store an outcome; returns the next claim, if any. Raises OwnershipLostError."""

        async def finish() -> Claim | None:
            following = None
            if self._claims_no_more.is_set() or self._has_slot_waiters() or await self._may_release_clock(claim):
                await self._store.finish(claim, outcome, report)
            else:
                scope = self._own_jobs, self._hosting.run
                following = await self._store.finish_and_claim(claim, outcome, report, *scope)
            self._retries.note(None)
            return following

        try:
            return await self._retries.until_answered(finish)
        except (StoreError, OwnershipLostError):
            raise
        except Exception as error:  # what cannot be stored becomes a failure: the child must not stay running
            outcome, report = _failure(error), Report()
            return await self._retries.until_answered(finish)

    async def _may_release_clock(self, claim: Claim) -> bool:
        """Whether the clock is off, and the job has no other open child that is measured by it."""
        if not (isinstance(self._clock, SteadyClock) and self._clock.is_off):
            return False
        parents = await self._store.jobs([claim.job.parent])
        return all(child.status.is_final or child.id == claim.job for parent in parents for child in parent.children)

    async def _look_on_changes(self) -> None:
        seen = self._store.last_change()
        while True:
            await self._store.next_change(seen)
            seen = self._store.last_change()
            self._let_one_look()

    async def _look_again(self) -> None:
        while True:
            await pause_loop(LOOK_EVERY)
            if self._looks.locked() and await self._has_pending():
                self._let_one_look()

    def _let_one_look(self) -> None:
        if self._looks.locked():
            self._looks.release()

    async def _deliver_cancels(self) -> None:
        seen = self._store.last_cancel()
        while True:
            await self._store.next_cancel(seen)
            seen = self._store.last_cancel()
            unknown = True
            while unknown:
                with suppress(StoreError):
                    asked = await self._store.cancel_requests(
                        self._hosting.owner
                    )  # including children that are being claimed
                    self._asked_to_stop |= asked
                    for job in asked & self._running.keys():
                        self._running[job].set()
                    unknown = bool(asked - self._running.keys())
                await pause_loop(CANCEL_CHECK_INTERVAL)


def _failure(error: BaseException) -> Outcome:
    """The outcome for an exception that a person can act on, or a defect."""
    problem = error if isinstance(error, DbtendError) else None  # such as a store that is damaged
    if isinstance(error, Exception):
        problem = problem or SystemLimitError.of(error)
    defect = f"internal error: {type(error).__name__}: {error} (the job's log has the details)"
    return Outcome(
        status=Status.FAILED, reason=Reason.OPERATION_ERROR, error=defect if problem is None else str(problem)
    )
