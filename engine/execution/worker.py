"""The code that executes one child job."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from engine.domain import time_limits
from engine.domain.advice import TargetHistory
from engine.domain.claims import Claim, Outcome
from engine.domain.errors import ServerUnavailableError, StoreError, TargetDamagedError, TargetError, UsageError
from engine.domain.humanize import NOT_BEGUN
from engine.domain.requests import SERVER_WAIT, Operation, Options, Speed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, LogLevel
from engine.domain.time_limits import Window
from engine.execution.plan_run import PlanRun
from engine.execution.recovery import lost, recover
from engine.execution.reporter import Reporter
from engine.history.estimates import with_past_durations
from engine.targets.protocol import OperationPlan, PlannedStep, Target

T = TypeVar("T")
PastSteps = Callable[[str, str, Speed], Awaitable[Mapping[str, float]]]
BeforeOpening = Callable[[str], Awaitable[None]]
PastOf = Callable[[str], Awaitable[TargetHistory]]
_GOES_BY_THE_PAST: Final = frozenset({Operation.OPTIMIZE, Operation.REINDEX})


class JobWorker(Protocol):
    """Executes children of one job type."""

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Do the work of one child, and say how it ended.

        What happens on the way goes to `reporter`. When `cancel` is set, stop as soon as it is safe. Whatever
        is raised makes the child `failed`.
        """
        ...


class DatabaseMaintenanceWorker:
    """Executes exactly one operation: opens the target, runs the planned steps, tells what really happened."""

    def __init__(
        self,
        resolve: Callable[[str], Target],
        *,
        store: str = "",
        past_steps: PastSteps | None = None,
        target_history: PastOf | None = None,
        before_opening: BeforeOpening | None = None,
    ) -> None:
        """
        Args:
            resolve: gives the target with a URL.
            store: by which a server tells our connections from those of other stores.
            past_steps: of a target, an operation and a speed, how many seconds their commands took before.
            target_history: what is known of a target.
            before_opening: raises TargetError where a target must not be opened.
        """
        self._resolve = resolve
        self._store = store
        self._past_steps = past_steps
        self._past_of = target_history
        self._before_opening = before_opening

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Run the steps of the plan, in order; one that fails does not stop the others, unless that was asked for."""
        if claim.operation not in list(Operation) or claim.options is None:
            return Outcome(status=Status.FAILED, reason=Reason.INVALID, error="the stored request cannot be read")
        operation, options = Operation(claim.operation), claim.options
        with time_limits.window(claim.time_left) as window:
            for is_last in (False, False, True):
                with suppress(_AwayBeforehandError):
                    return await self._execute(claim, operation, options, window, reporter, cancel, is_last=is_last)
        raise AssertionError("unreachable")

    async def _execute(
        self,
        claim: Claim,
        operation: Operation,
        options: Options,
        window: Window,
        reporter: Reporter,
        cancel: asyncio.Event,
        *,
        is_last: bool,
    ) -> Outcome:
        """Raises _AwayBeforehandError but for the last time."""
        try:
            async with AsyncExitStack() as stack:
                target = self._resolve(claim.target)
                if self._before_opening is not None:
                    await self._before_opening(target.url)
                connecting = stack.enter_async_context(
                    target.connect(
                        lock_timeout=options.lock_timeout,
                        writing=target.writes(operation),
                        name=f"{self._store} {claim.job}/{claim.attempt}",
                        waiting=reporter.wait,
                        server_wait=_server_wait(options, claim, window),
                    )
                )
                if claim.recovering is not None:
                    return await recover(
                        await connecting, claim, options, reporter, cancel, writes=target.writes(operation)
                    )
                session = await _unless(cancel, connecting)
                for line in await session.cleanup_orphans(claim.earlier) if claim.died else ():
                    reporter.log(LogLevel.WARNING, line)
                try:
                    before = await _unless(cancel, session.facts(operation))
                    past = await self._past(claim.target) if target.writes(operation) else None
                    goes_by = past if operation in _GOES_BY_THE_PAST else None
                    plan = await _unless(cancel, session.plan(operation, options, goes_by))
                except ServerUnavailableError:
                    if is_last:
                        raise
                    raise _AwayBeforehandError from None
                if plan.refused is not None:
                    return Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=plan.refused, before=before)
                if plan.not_needed is not None:
                    return Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED, error=plan.not_needed)
                doubts = await session.damage_warnings([operation], past) if past is not None and plan.steps else ()
                plan = replace(
                    plan,
                    steps=await self._weighted(claim, plan, options.server.speed),
                    warnings=(*plan.warnings, *doubts),
                )
                reporter.begin(plan.steps, at_once=plan.parallel)
                run = PlanRun(session, claim, options, plan, reporter, cancel, window)
                return await run.outcome(before)
        except (TargetError, UsageError) as error:
            if isinstance(error, ServerUnavailableError) and window.closed.is_set() and claim.recovering is None:
                return Outcome(status=Status.SKIPPED, reason=Reason.TIME_LIMIT, error=str(error))
            if claim.recovering is not None:
                return lost(claim, str(error))
            # What the request names may be gone by now.
            reason = error.reason if isinstance(error, TargetError) else Reason.INVALID
            if operation is Operation.CHECK and isinstance(error, TargetDamagedError):
                reporter.log(LogLevel.ERROR, error.why)
                found = _found(error, options)
                return Outcome(status=Status.FAILED, reason=reason, error=f"{error.what}: {error.why}", after=found)
            return Outcome(status=Status.FAILED, reason=reason, error=str(error))
        except _CancelledBeforehandError:
            return Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER, error=NOT_BEGUN)

    async def _past(self, target: str) -> TargetHistory | None:
        if self._past_of is None:
            return None
        try:
            return await self._past_of(target)
        except StoreError:
            return None

    async def _weighted(self, claim: Claim, plan: OperationPlan, speed: Speed) -> tuple[PlannedStep, ...]:
        """The steps, with how long they took before as far as history knows."""
        if self._past_steps is None:
            return plan.steps
        try:
            return with_past_durations(plan.steps, await self._past_steps(claim.target, claim.operation, speed))
        except StoreError:
            return plan.steps


def _server_wait(options: Options, claim: Claim, window: Window) -> float:
    """For how long a server that is down is waited for before anything has begun."""
    if claim.recovering is not None:  # nobody could cancel that
        return 0.0
    wait = SERVER_WAIT if options.server.server_wait is None else options.server.server_wait
    return wait if window.closes_at is None else min(wait, max(window.closes_at - time.monotonic(), 0.0))


def store_fingerprint(store: Path) -> str:
    """A short word for a store on this machine, which no other store has."""
    return hashlib.sha256(f"{socket.gethostname()}:{store.resolve()}".encode()).hexdigest()[:8]


def _found(error: TargetDamagedError, options: Options) -> Facts:
    """What a check has found that got no further than this."""
    return {
        "findings": 1,
        "damaged_indexes": (),
        "damage": error.why,
        "remedy": f"{error.hint[:1].upper()}{error.hint[1:]}. Then check again.",
        "level": options.check_level,
        "complete": False,
    }


class _AwayBeforehandError(Exception):
    """The server went away before the first step: the operation can begin anew, as nothing is done yet."""


class _CancelledBeforehandError(Exception):
    """The cancel came before the first step."""


async def _unless(cancel: asyncio.Event, look: Coroutine[Any, Any, T]) -> T:
    """The result of `look`, which may wait for a lock, unless `cancel` is set before it is there."""
    looking, asked = asyncio.create_task(look), asyncio.create_task(cancel.wait())
    try:
        await asyncio.wait({looking, asked}, return_when=asyncio.FIRST_COMPLETED)
        if looking.done():
            return looking.result()
        raise _CancelledBeforehandError
    finally:
        asked.cancel()
        if not looking.done():
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
