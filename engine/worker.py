"""The code that executes one child job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

from engine.errors import TargetError
from engine.execution import Claim, Outcome
from engine.jobs import FINISHING, Facts, LogLevel, Operation, Reason, Status
from engine.reporter import Reporter
from engine.targets.base import PlannedStep, Session, StepResult, Target

T = TypeVar("T")
LISTED = 5
STOPS_WITHIN = 0.3
"""Seconds in which a step that can be interrupted has stopped."""
StepOutcome = tuple[PlannedStep, StepResult]


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

    def __init__(self, resolve: Callable[[str], Target]) -> None:
        self._resolve = resolve

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        """Run the steps of the plan one after the other; one that fails does not stop the others."""
        if claim.operation not in list(Operation) or claim.options is None:
            return Outcome(status=Status.FAILED, reason=Reason.INVALID, error="the stored request cannot be read")
        operation, lock_timeout = Operation(claim.operation), claim.options.lock_timeout
        try:
            async with AsyncExitStack() as stack:
                target = self._resolve(claim.target)
                connecting = stack.enter_async_context(target.connect(lock_timeout=lock_timeout))
                session = await _unless(cancel, connecting)
                before = await _unless(cancel, session.facts())
                steps = await _unless(cancel, session.plan(operation))
                return await _run(session, steps, before, reporter, cancel)
        except TargetError as error:
            return Outcome(status=Status.FAILED, reason=error.reason, error=str(error))
        except _CancelledBeforehandError:
            return Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER)


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


async def _run(
    session: Session, steps: Sequence[PlannedStep], before: Facts, reporter: Reporter, cancel: asyncio.Event
) -> Outcome:
    results: list[StepOutcome] = []
    for number, step in enumerate(steps, 1):
        completes = step.completes_previous and bool(results) and results[-1][1].status is Status.COMPLETED
        if cancel.is_set() and not completes:
            break
        reporter.begin_step(number, step, of=len(steps))
        async with _telling_when_it_goes_on(reporter, cancel):
            result = await session.execute(step, asyncio.Event() if completes else cancel)
        reporter.end_step(result)
        if result.warning:
            reporter.log(LogLevel.WARNING, result.warning)
        results.append((step, result))
    try:
        after: Facts | None = await session.facts()
    except TargetError as error:  # the work is done, and stays done, where the look afterwards fails
        after = None
        reporter.log(LogLevel.WARNING, str(error))
    return outcome_of(results, planned=len(steps), before=before, after=after)


@asynccontextmanager
async def _telling_when_it_goes_on(reporter: Reporter, cancel: asyncio.Event) -> AsyncIterator[None]:
    """Tell of a step that was asked to stop and does not."""

    async def watch() -> None:
        await cancel.wait()
        await asyncio.sleep(STOPS_WITHIN)
        reporter.enter_phase(FINISHING)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def outcome_of(results: Sequence[StepOutcome], *, planned: int, before: Facts, after: Facts | None) -> Outcome:
    """How a child ended, from what happened to its steps. One failure makes it failed, with the list."""
    failed = [(step, result) for step, result in results if result.status is Status.FAILED]
    stopped = len(results) < planned or any(result.status is Status.CANCELLED for _, result in results)
    status, reason, error = Status.COMPLETED, None, None
    if failed:
        only_busy = all(result.busy for _, result in failed)
        status, reason = Status.FAILED, Reason.TARGET_BUSY if only_busy else Reason.OPERATION_ERROR
        error = failure_list(failed, planned)
    elif stopped:
        done = sum(result.status is Status.COMPLETED for _, result in results)
        status, reason = Status.CANCELLED, Reason.CANCELLED_BY_USER
        error = f"stopped after {done} of {planned} steps; what was done stays done" if done else None
    return Outcome(
        status=status,
        reason=reason,
        error=error,
        warnings=tuple(result.warning for _, result in results if result.warning),
        before=before,
        after=after,
    )


def failure_list(failed: Sequence[StepOutcome], planned: int) -> str:
    """What failed, object by object; for a child of one step just why."""
    if planned == 1:
        return failed[0][1].error or "failed"
    objects: dict[str, list[str]] = {}
    for step, result in failed:
        objects.setdefault(result.error or "failed", []).append(step.object)
    details = "; ".join(f"{_some(names)}: {error}" for error, names in objects.items())
    return f"{len(failed)} of {planned} steps failed: {details}"


def _some(names: Sequence[str]) -> str:
    """The names, or the first few of very many: the steps tell them all."""
    if len(names) <= LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:LISTED])} and {len(names) - LISTED} more"
