"""JobProcessor: claims children, routes each to the worker for its type, and sees it to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Protocol

from engine.domain.claims import Claim, Outcome, Report
from engine.domain.errors import OwnershipLostError, StoreError
from engine.domain.jobs import JobId
from engine.domain.statuses import Reason, Status
from engine.domain.steps import LogLevel, Micros
from engine.execution.reporter import Reporter
from engine.execution.worker import JobWorker
from engine.execution.worker_slots import POLL_INTERVAL, YIELD_TIME, WorkerSlots
from engine.store.protocol import ChangeFeed, JobClaims, JobReader
from engine.system.clock import SteadyClock, held_steady

CANCEL_CHECK_INTERVAL = 0.05
STORE_RETRY_INTERVAL = 1.0
STORE_RETRIES = 30
STORE_RETRIES_AT_STOP = 3

log = logging.getLogger("dbtend")
store_log = logging.getLogger("dbtend.store")
"""Says that the store cannot be written, and that it can be again."""


class ClaimableJobs(JobClaims, JobReader, ChangeFeed, Protocol):
    """Jobs to claim, and their changes."""


class JobProcessor:
    """Keeps up to `concurrency` children running, each on a target of its own.

    The store sees to it that a target has one running child at most, and that the children of a parent run
    in their order.
    """

    def __init__(
        self,
        store: ClaimableJobs,
        workers: Mapping[str, JobWorker],
        *,
        owner: str,
        concurrency: int,
        own_jobs_only: bool,
        run: str | None = None,
        clock: Callable[[], Micros],
        slots: WorkerSlots | None = None,
    ) -> None:
        """
        Args:
            run: the run of which this is a worker: it claims what is reserved for that, too.
            slots: of which each child that runs takes one; None where nothing but `concurrency` bounds them.
        """
        self._store = store
        self._workers = workers
        self._owner = owner
        self._concurrency = concurrency
        self._own_jobs: set[int] | None = set() if own_jobs_only else None
        self._run = run
        self._clock = clock
        self._worker_slots = slots
        self._running: dict[JobId, asyncio.Event] = {}
        self._asked_to_stop: set[JobId] = set()
        self._slots: list[asyncio.Task[None]] = []
        self._draining = False
        """Nothing more is claimed."""
        self._stopping = False
        """What runs is asked to stop, and handed back."""
        self._refusal = ""
        """Why the store could not be written the last time."""
        self._wakes = 0
        self._wake = asyncio.Event()

    def adopt(self, parent_ids: Iterable[int]) -> None:
        """Take on these parents, where this processor executes only what it was given."""
        if self._own_jobs is not None:
            self._own_jobs.update(parent_ids)
            self._wake_up()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Execute children while inside; on the way out, stop what runs safely and hand it back.

        Raises StoreError where the store has refused to be written for so long that this process gives up: then
        the block is cancelled, and what ran is taken over by others.
        """
        host, gave_up = asyncio.current_task(), False

        def end_the_block(slot: asyncio.Task[None]) -> None:
            nonlocal gave_up
            if host is not None and not (self._stopping or slot.cancelled()) and slot.exception() is not None:
                self._draining = self._stopping = gave_up = True
                host.cancel()

        helpers = [
            asyncio.create_task(self._wake_on_changes(), name="dbtend-wake"),
            asyncio.create_task(self._deliver_cancels(), name="dbtend-cancel"),
        ]
        self._slots = [
            asyncio.create_task(self._run_slot(), name=f"dbtend-slot-{number}") for number in range(self._concurrency)
        ]
        for slot in (*self._slots, *helpers):
            slot.add_done_callback(end_the_block)
        try:
            yield
        finally:
            self._draining = self._stopping = True
            self._wake_up()
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
        """Claim nothing more, and wait until nothing runs, for so many seconds at most; None for ever."""
        self._draining = True
        self._wake_up()
        await asyncio.wait(self._slots, timeout=seconds)

    async def _run_slot(self) -> None:
        while not self._draining:
            wakes = self._wakes
            if not await self._run_what_is_pending() and wakes == self._wakes and not self._draining:
                await self._wake.wait()

    async def _run_what_is_pending(self) -> bool:
        """Run one child after the other, as long as there are any; whether there was one."""
        if self._worker_slots is None:
            return await self._run_one_after_the_other()
        slot = await self._worker_slot(self._worker_slots)
        if slot is None:
            return False
        try:
            ran = await self._run_one_after_the_other()
        finally:
            os.close(slot)
        if ran and self._is_slot_waited_for():
            await asyncio.sleep(YIELD_TIME)
        return ran

    def _is_slot_waited_for(self) -> bool:
        return self._worker_slots is not None and self._worker_slots.has_waiters()

    async def _worker_slot(self, slots: WorkerSlots) -> int | None:
        """A slot, waited for as long as there is something to run; None where there is not."""
        if (slot := slots.take()) is not None:
            return slot
        with slots.waiting():
            while not self._draining and await self._has_pending():
                if (slot := slots.take()) is not None:
                    return slot
                await asyncio.sleep(POLL_INTERVAL)
        return None

    async def _has_pending(self) -> bool:
        with suppress(StoreError):
            return await self._store.has_pending(self._own_jobs, self._run)
        return True

    async def _run_one_after_the_other(self) -> bool:
        with held_steady(self._clock):
            claim = await self._claim()
            if claim is None:
                return False
            while claim is not None:
                claim = await self._carry_out(claim)
            return True

    async def _claim(self) -> Claim | None:
        if self._own_jobs is not None and not self._own_jobs:
            return None
        refused = 0
        while not self._draining:
            try:
                claim = await self._store.claim(self._owner, self._own_jobs, self._run)
                self._hear_of_the_store(None)
                return claim
            except StoreError as error:
                refused = await self._wait_for_the_store(error, refused)
        return None

    async def _carry_out(self, claim: Claim) -> Claim | None:
        """See a child to its end; the next claim, where there is one."""
        log.info("#%s %s %s started, attempt %d", claim.job, claim.operation, claim.target, claim.attempt)
        if isinstance(self._clock, SteadyClock):
            self._clock.not_before(claim.started_at)
        cancel = self._running[claim.job] = asyncio.Event()
        if self._stopping:
            cancel.set()
        reporter = Reporter(claim, lambda report: self._report(claim, report), self._clock)
        try:
            outcome = await self._execute(claim, reporter, cancel)
        finally:
            report = await reporter.stop()
            del self._running[claim.job]
        return await self._settle(claim, outcome, report)

    async def _execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        worker = self._workers.get(claim.type)
        if worker is None:
            return Outcome(
                status=Status.FAILED, reason=Reason.NOT_SUPPORTED, error=f"no worker is registered for {claim.type}"
            )
        try:
            return await worker.execute(claim, reporter, cancel)
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                raise  # it is this slot that is cancelled, not something inside the worker
            reporter.log(LogLevel.ERROR, "".join(traceback.format_exception(error)))
            return _internal_error(error)

    async def _report(self, claim: Claim, report: Report) -> None:
        try:
            await self._store.report(claim, report)
            self._hear_of_the_store(None)
        except OwnershipLostError:
            self._running[claim.job].set()
        except StoreError as error:
            self._hear_of_the_store(error)
            raise

    async def _settle(self, claim: Claim, outcome: Outcome, report: Report) -> Claim | None:
        """Store how it ended. Where that is given up, this process ends, and rescue takes the child."""
        handed_back = (
            self._stopping
            and outcome.status is Status.CANCELLED
            and claim.recovering is None
            and claim.job not in self._asked_to_stop
        )
        self._asked_to_stop.discard(claim.job)
        refused, broken = 0, False
        outcome = replace(outcome, ended_at=self._clock())  # not when the store can be written at last
        if not handed_back:
            log.info("#%s %s%s", claim.job, outcome.status, f": {outcome.error}" if outcome.error else "")
        while True:
            try:
                if handed_back:
                    await self._store.release(claim, report)
                    log.info("#%s handed back", claim.job)
                    return None
                if self._draining or self._is_slot_waited_for() or await self._may_set_the_clock(claim):
                    await self._store.finish(claim, outcome, report)
                    following = None
                else:
                    following = await self._store.finish_and_claim(claim, outcome, report, self._own_jobs, self._run)
                self._hear_of_the_store(None)
                return following
            except OwnershipLostError as lost:
                log.warning("%s", lost)
                return None
            except StoreError as error:
                refused = await self._wait_for_the_store(error, refused)
            except Exception as error:
                if broken:
                    raise
                # What cannot be stored as it is, is stored as a failure: the child must not stay running.
                broken, handed_back, outcome, report = True, False, _internal_error(error), Report()

    async def _may_set_the_clock(self, claim: Claim) -> bool:
        """Whether it is off, and nothing is left of the job that is measured by it."""
        if not (isinstance(self._clock, SteadyClock) and self._clock.is_off):
            return False
        parents = await self._store.jobs([claim.job.parent])
        return all(child.status.is_final or child.id == claim.job for parent in parents for child in parent.children)

    async def _wait_for_the_store(self, error: StoreError, refused: int) -> int:
        """Wait before the next try; the number of tries so far. Raises `error` where that does not help."""
        if not error.is_transient or refused >= (STORE_RETRIES_AT_STOP if self._stopping else STORE_RETRIES):
            raise error
        self._hear_of_the_store(error)
        await asyncio.sleep(STORE_RETRY_INTERVAL)
        return refused + 1

    def _hear_of_the_store(self, error: StoreError | None) -> None:
        refusal = "" if error is None else str(error)
        if refusal == self._refusal:
            return
        self._refusal = refusal
        if refusal:
            store_log.warning("%s; what is done here is stored when that is over", refusal)
        else:
            store_log.warning("the store of jobs can be written again")

    async def _wake_on_changes(self) -> None:
        seen = self._store.last_change()
        while True:
            await self._store.next_change(seen)
            seen = self._store.last_change()
            self._wake_up()

    def _wake_up(self) -> None:
        self._wakes += 1
        self._wake.set()
        self._wake.clear()

    async def _deliver_cancels(self) -> None:
        seen = self._store.last_change()
        while True:
            await self._store.next_change(seen)
            seen = self._store.last_change()
            unknown = True
            while unknown:
                with suppress(StoreError):
                    asked = await self._store.cancel_requests(self._owner)  # of what is being claimed, too
                    self._asked_to_stop |= asked
                    for job in asked & self._running.keys():
                        self._running[job].set()
                    unknown = bool(asked - self._running.keys())
                await asyncio.sleep(CANCEL_CHECK_INTERVAL)


def _internal_error(error: BaseException) -> Outcome:
    return Outcome(
        status=Status.FAILED,
        reason=Reason.OPERATION_ERROR,
        error=f"internal error: {type(error).__name__}: {error} (the job's log has the details)",
    )
