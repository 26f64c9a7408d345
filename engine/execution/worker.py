"""The code that executes one child job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from engine.domain import time_limits
from engine.domain.advice import TargetHistory
from engine.domain.claims import Claim, Outcome
from engine.domain.damage import NO_CHANGE, Damage, DamageChange, DamageSource, newly_seen
from engine.domain.errors import StoreError, TargetDamagedError, TargetError, UsageError
from engine.domain.frozen import frozen
from engine.domain.humanize import NOT_BEGUN, PAST_THE_LIMIT
from engine.domain.jobs import ParentJob
from engine.domain.requests import EngineName, Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, LogLevel
from engine.domain.time_limits import Window
from engine.domain.turns import NO_TURNS, Turns
from engine.execution.damage_changes import after_crash, damage_changes
from engine.execution.needed_now import NeededNow
from engine.execution.ownership import Ownership, RequireOwned, never_lost
from engine.execution.plan_run import PlanRun
from engine.execution.recovery import find_exchange, recover, recovery_outcome
from engine.execution.reporter import Reporter
from engine.history.target_history import damage_record, with_damage, with_seen
from engine.system.clock import now
from engine.targets.attempt import Attempt, NotBegunError
from engine.targets.check_results import CHECK_AGAIN, check_facts
from engine.targets.damage_gate import plan_gated
from engine.targets.outage import TEMPORARY_ERRORS
from engine.targets.plans import OperationPlan
from engine.targets.protocol import PlannedOperation, Session, Target
from engine.targets.step_execution import FilesLookup, unknown_files
from engine.targets.waits import OthersLookup, no_others

T = TypeVar("T")
EstimateLookup = Callable[[str, OperationPlan, Options, Facts, Sequence[ParentJob] | None], Awaitable[OperationPlan]]
CheckJournal = Callable[[str], Coroutine[Any, Any, None]]
HistoryLookup = Callable[[str], Awaitable[TargetHistory]]
TurnsLookup = Callable[[str], Awaitable[Turns]]
OthersWork = Callable[[Claim], Awaitable[bool]]
NameDatabase = Callable[[str, str], Awaitable[Sequence[Damage]]]
Refusal = Callable[[Claim, Target], Awaitable[str]]
OriginLookup = Callable[[int], Awaitable[bool]]
_NEEDS_HISTORY: Final = frozenset({Operation.OPTIMIZE, Operation.REINDEX, Operation.REPAIR, Operation.BACKUP})


async def unknown_origin(job: int) -> bool:
    """Nobody knows whether a person asked for a job."""
    return False


class JobWorker(Protocol):
    """Executes children of one job type."""

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Run one child; returns how it ended.

        `reporter` takes progress, steps and log. When `cancel` is set, stop at the next safe point. An exception makes
        the child `failed`.
        """


class DatabaseMaintenanceWorker:
    """Executes exactly one operation: opens the target, runs the planned steps, reports what happened."""

    def __init__(
        self,
        resolve: Callable[[str], Target],
        *,
        store: str = "",
        with_estimates: EstimateLookup | None = None,
        target_history: HistoryLookup | None = None,
        is_of_person: OriginLookup = unknown_origin,
        turns: TurnsLookup | None = None,
        maintained_files: FilesLookup = unknown_files,
        others_work: OthersWork | None = None,
        check_journal: CheckJournal | None = None,
        needed_now: NeededNow | None = None,
        require_owned: RequireOwned = never_lost,
        refusal: Refusal | None = None,
        name_database: NameDatabase | None = None,
    ) -> None:
        """
        Args:
            resolve: returns the target of a URL.
            store: marks the connections of this store on a server.
            with_estimates: by target, plan, options, facts of the database and the jobs that are known: the plan with
                estimates.
            target_history: looks up the history of a target.
            is_of_person: whether a person asked for a parent as it is: it is no retry, and of no schedule.
            turns: looks up which of its objects come first.
            maintained_files: see `StepContext`.
            others_work: whether other jobs work on the server of a claim.
            check_journal: raises TargetError if the journal beside a target is of another file.
            needed_now: looks whether an operation is needed.
            require_owned: raises OwnershipLostError if a claim no longer owns its child.
            name_database: keeps which database on a server a URL names; see `Store.name_database`.
            refusal: why this process does not carry out a claim on a target; "" if it does.
        """
        self._resolve = resolve
        self._store = store
        self._estimates_of = with_estimates
        self._history_of = target_history
        self._is_of_person_lookup = is_of_person
        self._turns_of = turns
        self._maintained_files = maintained_files
        self._others_work = others_work
        self._check_journal = check_journal
        self._needed_now = needed_now
        self._require_owned = require_owned
        self._refusal = refusal
        self._name_database = name_database

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Plan the operation and run its steps."""
        if claim.operation not in list(Operation) or claim.options is None:
            return Outcome(status=Status.FAILED, reason=Reason.INVALID, error="the stored request cannot be read")
        operation, options = Operation(claim.operation), claim.options
        with time_limits.window(claim.time_left, claim.received_at) as window:
            attempt = Attempt(cancel=cancel, window=window)
            for is_last in (False, False, True):
                with suppress(_ServerLostBeforeStartError):
                    return await self._execute(claim, operation, options, attempt, reporter, is_last=is_last)
        raise AssertionError("unreachable")

    async def _execute(
        self,
        claim: Claim,
        operation: Operation,
        options: Options,
        attempt: Attempt,
        reporter: Reporter,
        *,
        is_last: bool,
    ) -> Outcome:
        """Raises _ServerLostBeforeStartError but for the last time."""
        ownership = Ownership(claim, self._require_owned)
        try:
            target = self._resolve(claim.target)
            if self._refusal is not None and (why := await self._refusal(claim, target)):
                if claim.recovering is not None:
                    return recovery_outcome(claim, why)
                return Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=why)
            # What a dead process left is put right at any time.
            in_window = claim.recovering is None and not claim.deaths
            async with AsyncExitStack() as stack:
                opening = self._open(stack, target, claim, options, attempt, reporter)
                session = await attempt.unless_cancelled(opening, until_closed=in_window)
                claim = await self._with_other_names(claim, target)
                exchange = await find_exchange(target, claim.earlier)
                if claim.recovering is not None or exchange is not None:
                    past = await self._past(claim, options)
                    writes = target.operations[operation].writes
                    outcome = await recover(
                        session, claim, options, reporter, attempt, ownership, past=_damaged_tables(past),
                        writes=writes, exchange=exchange,
                    )  # fmt: skip
                    written = after_crash(damage_record(past) if writes else (), claim, target.engine)
                    return replace(outcome, damage=written + outcome.damage)
                await ownership.require()
                if claim.deaths:
                    for line in await attempt.unless_cancelled(session.cleanup_orphans(claim.earlier)):
                        reporter.log(LogLevel.WARNING, line)
                try:
                    preparing = self._prepare(session, target, claim, operation, options, reporter)
                    prepared = await attempt.unless_cancelled(preparing, until_closed=in_window)
                except TEMPORARY_ERRORS:
                    if is_last:
                        raise
                    raise _ServerLostBeforeStartError from None
                if isinstance(prepared, Outcome):
                    return prepared
                planned, plan, options, before = prepared.planned, prepared.plan, prepared.options, prepared.before
                if plan.refused is not None:
                    refused = Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=plan.refused, before=before)
                    return replace(refused, damage=prepared.seen)
                if plan.not_needed is not None:
                    return Outcome(
                        status=Status.SKIPPED, reason=Reason.NOT_NEEDED, error=plan.not_needed,
                        warnings=plan.warnings, damage=prepared.seen,
                    )  # fmt: skip
                plan = await self._with_estimates(claim.target, plan, options, before, prepared.jobs)
                reporter.begin(plan.steps, at_once=plan.parallel, ending=prepared.reading)
                for remark in await session.remarks([plan]):
                    reporter.log(LogLevel.INFO, remark)
                run = PlanRun(
                    planned, claim, options, plan, reporter, attempt, ownership, self._maintained_files,
                    self._others_of(claim, attempt),
                )  # fmt: skip
                outcome = await run.outcome(before)
                changes = damage_changes(
                    prepared.known, run.results, outcome, claim, options, target.engine,
                    writes=target.operations[operation].writes, at=now(),
                )  # fmt: skip
                return replace(outcome, damage=prepared.seen + changes)
        except (TargetError, UsageError) as error:
            if isinstance(error, TEMPORARY_ERRORS) and attempt.window.closed.is_set() and claim.recovering is None:
                return Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT, error=str(error))
            if claim.recovering is not None:
                met = _met(claim, error) if isinstance(error, TargetDamagedError) else NO_CHANGE
                return replace(recovery_outcome(claim, str(error)), damage=met)
            # A named object may have been dropped since the submit.
            reason = error.reason if isinstance(error, TargetError) else Reason.INVALID
            if operation is Operation.CHECK and isinstance(error, TargetDamagedError):
                reporter.log(LogLevel.ERROR, error.why)
                found = _damage_facts(error, options)
                text = f"{error.what}: {error.why}"
                return Outcome(status=Status.FAILED, reason=reason, error=text, after=found, damage=_met(claim, error))
            # Both front ends say what to do about a busy target.
            text = f"{error.what}: {error.why}" if reason is Reason.TARGET_BUSY else str(error)
            met = _met(claim, error) if isinstance(error, TargetDamagedError) else NO_CHANGE
            return Outcome(status=Status.FAILED, reason=reason, error=text, damage=met)
        except NotBegunError:
            if attempt.window.closed.is_set() and not attempt.cancel.is_set() and claim.recovering is None:
                return Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT, error=PAST_THE_LIMIT)
            reason = Reason.SHUTDOWN if claim.recovering else Reason.CANCELLED_BY_USER
            return Outcome(status=Status.CANCELLED, reason=reason, error=NOT_BEGUN)

    async def _open(
        self,
        stack: AsyncExitStack,
        target: Target,
        claim: Claim,
        options: Options,
        attempt: Attempt,
        reporter: Reporter,
    ) -> Session:
        """A session that `stack` closes. Raises TargetError."""
        connecting = target.connect(
            lock_timeout=options.lock_timeout,
            writing=target.operations[Operation(claim.operation)].writes,
            name=f"{self._store} {claim.job}/{claim.attempt}",
            waiting=reporter.wait,
            server_wait=_server_wait(options, claim, attempt.window),
            others_work=self._others_of(claim, attempt),
            journal_check=partial(self._check_journal, target.url) if self._check_journal is not None else None,
        )
        return await stack.enter_async_context(connecting)

    async def _with_other_names(self, claim: Claim, target: Target) -> Claim:
        """With the damage that is known by all names of its database, once it is open."""
        if self._name_database is None or target.engine is EngineName.SQLITE:
            return claim
        with suppress(StoreError, TargetError):  # then only what is known by its URL counts
            return replace(claim, damage=tuple(await self._name_database(claim.target, await target.identify())))
        return claim

    def _others_of(self, claim: Claim, attempt: Attempt) -> OthersLookup:
        """See `StepContext`. Once the window has closed, they are no reason to wait."""
        others_work = self._others_work
        if others_work is None:
            return no_others

        async def look() -> bool:
            return not attempt.is_ending and await others_work(claim)

        return look

    async def _prepare(
        self,
        session: Session,
        target: Target,
        claim: Claim,
        operation: Operation,
        options: Options,
        reporter: Reporter,
    ) -> _Prepared | Outcome:
        """All that comes before the first step; or how the child ends, if it is not needed. Raises TargetError."""
        for line in await session.lock():
            reporter.log(LogLevel.WARNING, line)
        if self._needed_now is not None and (limits := options.if_needed) is not None:
            chosen = await self._needed_now.options_or_end(claim, options, limits, session)
            if isinstance(chosen, Outcome):
                return chosen
            options = chosen
        past = await self._past(claim, options)
        seen = newly_seen(damage_record(past), await session.seen_damage())
        past = with_seen(past, seen.found)
        goes_by = past if operation in _NEEDS_HISTORY else _damaged_tables(past)
        if goes_by is not None and not _is_first(claim, past) and await target.goes_in_turns(operation, options):
            goes_by = replace(goes_by, turns=await self._turns(claim.target))
        is_named = bool(options.objects) and await self._is_of_person(claim)
        gated = await plan_gated(session, target, operation, options, past, goes_by, is_named=is_named)
        known = damage_record(past)
        if gated.planned is None:
            of_job = [one for one in known if one.job == claim.job.parent and one.accepted_at is None]
            was_told = bool(of_job)  # by a check of the same job
            status = Status.SKIPPED if was_told else Status.FAILED
            return Outcome(status=status, reason=Reason.DAMAGED, error=gated.plan.refused, damage=seen)
        begin = time.monotonic()
        before = await gated.planned.facts()
        jobs = past.jobs if past is not None else None
        return _Prepared(gated.planned, gated.plan, options, known, seen, jobs, before, time.monotonic() - begin)

    async def _is_of_person(self, claim: Claim) -> bool:
        with suppress(StoreError):
            return await self._is_of_person_lookup(claim.job.parent)
        return False

    async def _past(self, claim: Claim, options: Options) -> TargetHistory | None:
        past = TargetHistory(now=claim.started_at, jobs=()) if claim.is_first else None
        if past is None and self._history_of is not None:
            with suppress(StoreError):
                past = await self._history_of(claim.target)
        if claim.damage and (claim.is_first or past is None):
            past = with_damage(past or TargetHistory(now=claim.started_at), claim.damage)
        if past is None or options.keep is None:
            return past
        return replace(past, maintained_files=await self._maintained_files())

    async def _turns(self, target: str) -> Turns:
        with suppress(StoreError):
            return await self._turns_of(target) if self._turns_of is not None else NO_TURNS
        return NO_TURNS

    async def _with_estimates(
        self, target: str, plan: OperationPlan, options: Options, before: Facts, jobs: Sequence[ParentJob] | None
    ) -> OperationPlan:
        if self._estimates_of is None:
            return plan
        with suppress(StoreError):
            return await self._estimates_of(target, plan, options, before, jobs)
        return plan


def _is_first(claim: Claim, past: TargetHistory | None) -> bool:
    """Whether no other attempt has begun on its target so far."""
    if past is None or past.jobs is None or claim.attempt > 1:
        return False
    return not any(child.attempt and child.id != claim.job for job in past.jobs for child in job.children)


def _damaged_tables(past: TargetHistory | None) -> TargetHistory:
    """What of the history counts where the operation does not go by it: tables that must not be read, and damage of
    which a person has taken note."""
    known = past or TargetHistory(now=0)
    return TargetHistory(now=0, damaged_tables=known.damaged_tables, accepted_damage=known.accepted_damage)


def _server_wait(options: Options, claim: Claim, window: Window) -> float:
    """Seconds to wait for a server that is down before the first step."""
    if claim.recovering is not None:  # a recovery cannot be cancelled
        return 0.0
    wait = options.server.longest_wait
    return wait if window.time_left is None else min(wait, max(window.time_left, 0.0))


def _damage_facts(error: TargetDamagedError, options: Options) -> Facts:
    """The facts of a check that could not open the damaged database."""
    remedy = f"{error.hint[:1].upper()}{error.hint[1:]}. {CHECK_AGAIN}"
    return check_facts(level=options.check_level, findings=1, damage=error.why, remedy=remedy, complete=False)


def _met(claim: Claim, error: TargetDamagedError) -> DamageChange:
    """The damage that kept a database from being opened."""
    source = DamageSource.CHECK if claim.operation == Operation.CHECK else DamageSource.OPERATION
    return DamageChange(found=(Damage.of_error(error, source=source, at=now(), job=claim.job.parent),))


@frozen
class _Prepared:
    """An operation that can begin."""

    planned: PlannedOperation
    plan: OperationPlan
    options: Options
    known: Sequence[Damage]
    """What is known to be damaged in its database."""
    seen: DamageChange
    """What of that was not on record."""
    jobs: Sequence[ParentJob] | None
    """As `TargetHistory.jobs`."""
    before: Facts
    reading: float
    """Seconds that reading these facts took: after the last step they are read again."""


class _ServerLostBeforeStartError(Exception):
    """The server went down, or gave no connection, before the first step: the operation can start again."""
