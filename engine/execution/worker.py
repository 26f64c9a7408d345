"""The code that executes one child job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Protocol

from engine.domain import time_limits
from engine.domain.claims import Claim, Outcome
from engine.domain.damage import NO_CHANGE, Damage, DamageChange, DamageSource
from engine.domain.effects import CheckResult
from engine.domain.errors import TargetDamagedError, TargetError, UsageError
from engine.domain.humanize import NOT_BEGUN, PAST_THE_LIMIT
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import LogLevel
from engine.execution.attempt import Attempt
from engine.execution.damage_changes import damage_changes
from engine.execution.knowledge import Knowledge
from engine.execution.plan_run import PlanRun
from engine.execution.preparation import open_and_prepare
from engine.execution.recovery import find_exchange, recover, recovery_outcome
from engine.execution.reporter import Reporter
from engine.system.clock import now
from engine.targets.check_results import CHECK_AGAIN
from engine.targets.limits import NotBegunError
from engine.targets.outage import TEMPORARY_ERRORS
from engine.targets.target import Target


class JobWorker(Protocol):
    """Executes children of one job type."""

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Run one child; returns how it ended.

        `reporter` takes progress, steps and log. When `cancel` is set, stop at the next safe point. An exception makes
        the child `failed`.
        """


class DatabaseMaintenanceWorker:
    """Executes exactly one operation: opens the target, runs the planned steps, reports what happened."""

    def __init__(self, resolve: Callable[[str], Target], knowledge: Knowledge | None = None) -> None:
        """`resolve`: returns the target of a URL."""
        self._resolve = resolve
        self._knowledge = knowledge or Knowledge()

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Plan the operation and run its steps."""
        if claim.operation not in list(Operation) or claim.options is None:
            return Outcome(status=Status.FAILED, reason=Reason.INVALID, error="the stored request cannot be read")
        with time_limits.window(claim.time_left, claim.received_at) as window:
            attempt = Attempt(
                cancel=cancel,
                window=window,
                claim=claim,
                operation=Operation(claim.operation),
                options=claim.options,
                knowledge=self._knowledge,
                reporter=reporter,
            )
            try:
                return await self._carry_out(attempt)
            except (TargetError, UsageError) as error:
                return _ended_by(error, attempt)
            except NotBegunError:
                return _not_begun(attempt)

    async def _carry_out(self, attempt: Attempt) -> Outcome:
        """Raises TargetError, UsageError, NotBegunError, OwnershipLostError."""
        claim = attempt.claim
        target = self._resolve(claim.target)
        if refusal := await self._knowledge.refusal(claim, target):
            if claim.recovering is not None:
                return recovery_outcome(claim, refusal)
            return Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=refusal)
        exchange = await find_exchange(target, claim.earlier)
        if claim.recovering is not None or exchange is not None:
            return await recover(attempt, target, exchange)
        async with AsyncExitStack() as stack:
            prepared = await open_and_prepare(attempt, target, stack)
            if isinstance(prepared, Outcome):
                return prepared
            run = PlanRun(prepared)
            outcome = await run.outcome()
        writes = target.operations[attempt.operation].writes
        changes = damage_changes(prepared, run.results, outcome, target.engine, writes=writes, at=now())
        return replace(outcome, damage=prepared.seen + changes)


def _ended_by(error: TargetError | UsageError, attempt: Attempt) -> Outcome:
    """How a child ends by an error before its first step."""
    claim = attempt.claim
    if isinstance(error, TEMPORARY_ERRORS) and attempt.window.closed.is_set() and claim.recovering is None:
        return Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT, error=str(error))
    damage = _damage_met(error, attempt) if isinstance(error, TargetDamagedError) else NO_CHANGE
    if claim.recovering is not None:
        return replace(recovery_outcome(claim, str(error)), damage=damage)
    # A named object may have been dropped since the submit.
    reason = error.reason if isinstance(error, TargetError) else Reason.INVALID
    after = None
    text = str(error)
    if attempt.operation is Operation.CHECK and isinstance(error, TargetDamagedError):
        attempt.reporter.log(LogLevel.ERROR, error.why)
        text, after = f"{error.what}: {error.why}", _result_of_check(error, attempt).facts()
    elif reason is Reason.TARGET_BUSY:  # both front ends say what to do about it
        text = f"{error.what}: {error.why}"
    return Outcome(status=Status.FAILED, reason=reason, error=text, after=after, damage=damage)


def _not_begun(attempt: Attempt) -> Outcome:
    recovering = attempt.claim.recovering
    if attempt.window.closed.is_set() and not attempt.cancel.is_set() and recovering is None:
        return Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT, error=PAST_THE_LIMIT)
    reason = Reason.SHUTDOWN if recovering else Reason.CANCELLED_BY_USER
    return Outcome(status=Status.CANCELLED, reason=reason, error=NOT_BEGUN)


def _result_of_check(error: TargetDamagedError, attempt: Attempt) -> CheckResult:
    """What a check found that could not open the damaged database."""
    remedy = f"{error.hint[:1].upper()}{error.hint[1:]}. {CHECK_AGAIN}"
    return CheckResult(findings=1, level=attempt.options.check_level, damage=error.why, remedy=remedy)


def _damage_met(error: TargetDamagedError, attempt: Attempt) -> DamageChange:
    """The damage that kept a database from being opened."""
    source = DamageSource.CHECK if attempt.operation is Operation.CHECK else DamageSource.OPERATION
    return DamageChange(found=(Damage.of_error(error, source=source, at=now(), job=attempt.claim.job.parent),))
