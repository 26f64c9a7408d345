"""The code that executes one child job."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from engine.domain import time_limits
from engine.domain.advice import TargetHistory
from engine.domain.claims import Claim, Outcome
from engine.domain.errors import ServerAwayError, StoreError, TargetDamagedError, TargetError, UsageError
from engine.domain.humanize import NOT_BEGUN, PAST_THE_LIMIT, counted, listed
from engine.domain.jobs import (
    SERVER_WAIT,
    Facts,
    LogLevel,
    OnFailure,
    Operation,
    Options,
    Reason,
    Speed,
    Status,
    format_findings,
    part_named,
)
from engine.domain.time_limits import Window
from engine.execution.recovery import commands_done, follow_up_required, lost, recover
from engine.execution.reporter import Reporter
from engine.execution.step_runner import leave_out, run_step, telling_when_it_goes_on
from engine.execution.step_scheduler import StepScheduler
from engine.history.estimates import with_past
from engine.targets.protocol import OperationPlan, PlannedStep, Session, StepResult, Target

T = TypeVar("T")
PastSteps = Callable[[str, str, Speed], Awaitable[Mapping[str, float]]]
BeforeOpening = Callable[[str], Awaitable[None]]
PastOf = Callable[[str], Awaitable[TargetHistory]]
_MOST_REASONS: Final = 2
"""Why steps failed that are told of an operation: each step tells its own."""
_GOES_BY_THE_PAST: Final = frozenset({Operation.OPTIMIZE, Operation.REINDEX})
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

    def __init__(
        self,
        resolve: Callable[[str], Target],
        *,
        store: str = "",
        past_steps: PastSteps | None = None,
        target_history: PastOf | None = None,
        before_opening: BeforeOpening | None = None,
    ) -> None:
        """`store`: by which a server tells our connections from those of other stores.

        `past_steps`: of a target, an operation and a speed, how many seconds their commands took before. `target_history`:
        what is known of a target. `before_opening`: raises TargetError where a target must not be opened.
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
                for line in await session.settle(claim.earlier) if claim.died else ():
                    reporter.log(LogLevel.WARNING, line)
                try:
                    before = await _unless(cancel, session.facts(operation))
                    past = await self._past(claim.target) if target.writes(operation) else None
                    goes_by = past if operation in _GOES_BY_THE_PAST else None
                    plan = await _unless(cancel, session.plan(operation, options, goes_by))
                except ServerAwayError:
                    if is_last:
                        raise
                    raise _AwayBeforehandError from None
                if plan.refused is not None:
                    return Outcome(status=Status.FAILED, reason=Reason.REFUSED, error=plan.refused, before=before)
                if plan.not_needed is not None:
                    return Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED, error=plan.not_needed)
                doubts = await session.on_damage([operation], past) if past is not None and plan.steps else ()
                plan = replace(
                    plan,
                    steps=await self._weighted(claim, plan, options.server.speed),
                    warnings=(*plan.warnings, *doubts),
                )
                reporter.begin(plan.steps, at_once=plan.parallel)
                return await _run(session, claim, options, plan, before, reporter, cancel, window)
        except (TargetError, UsageError) as error:
            if isinstance(error, ServerAwayError) and window.closed.is_set() and claim.recovering is None:
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
            return with_past(plan.steps, await self._past_steps(claim.target, claim.operation, speed))
        except StoreError:
            return plan.steps


def _server_wait(options: Options, claim: Claim, window: Window) -> float:
    """For how long a server that is down is waited for before anything has begun."""
    if claim.recovering is not None:  # nobody could cancel that
        return 0.0
    wait = SERVER_WAIT if options.server.server_wait is None else options.server.server_wait
    return wait if window.closes_at is None else min(wait, max(window.closes_at - time.monotonic(), 0.0))


def mark_of(store: Path) -> str:
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


async def _run(
    session: Session,
    claim: Claim,
    options: Options,
    plan: OperationPlan,
    before: Facts,
    reporter: Reporter,
    cancel: asyncio.Event,
    window: Window,
) -> Outcome:
    """Run the steps of a plan. No step begins that is not to begin after `window`."""
    for remark in filter(None, (*await session.remarks([plan.operation]), plan.tuned)):
        reporter.log(LogLevel.INFO, remark)
    for warning in plan.warnings:
        reporter.log(LogLevel.WARNING, warning)
    results: dict[int, StepResult] = {}
    turns = StepScheduler(plan.steps, at_once=plan.parallel)
    failed: list[str] = []
    left_for: Reason | None = None
    no_more = ""

    async def see_to_its_end(number: int, step: PlannedStep, done: Sequence[str] = ()) -> None:
        nonlocal left_for, no_more

        def command_is_over() -> None:
            turns.command_is_over(number)
            go_on()

        result = await run_step(session, number, step, reporter, cancel, window=window, done=done, over=command_is_over)
        if result.again:
            reporter.log(LogLevel.INFO, ": ".join(filter(None, (part_named(step.object), result.error))))
        else:
            results[number] = result
        no_more = no_more or result.no_more
        if result.never_began and window.closed.is_set():
            left_for = left_for or Reason.TIME_LIMIT
        if result.status is Status.FAILED:
            failed.append(part_named(step.object) or "an earlier step")
        turns.is_over(number, again=result.again)
        go_on()

    def left_out(number: int, reason: Reason, why: str) -> None:
        nonlocal left_for
        left_for = left_for or reason
        results[number] = leave_out(number, reporter, why)

    def is_second_half(number: int) -> bool:
        """Whether what the step before did would be lost without this one."""
        before = results.get(number - 1)
        return before is not None and before.status is Status.COMPLETED and plan.steps[number - 2].lost_without_next

    def go_on() -> None:
        """Begin all that may begin now."""
        while (turn := turns.next()) is not None:
            number, step = turn
            if no_more:
                left_out(number, Reason.OPERATION_ERROR, f"not begun: {no_more}")
            elif step.mandatory_follow_up:
                done = [plan.steps[n - 1].command for n, r in results.items() if r.status is Status.COMPLETED]
                if done or follow_up_required(step, claim):
                    running.create_task(see_to_its_end(number, step, done or commands_done(claim.earlier)))
                    continue
                if not cancel.is_set():
                    results[number] = StepResult(status=Status.SKIPPED)
            elif cancel.is_set():
                pass
            elif failed and options.on_step_failure is OnFailure.STOP:
                left_out(number, Reason.PREVIOUS_FAILED, f"not begun, as {failed[0]} failed")
            elif window.closed.is_set() and not is_second_half(number):
                left_out(number, Reason.TIME_LIMIT, PAST_THE_LIMIT)
            else:
                running.create_task(see_to_its_end(number, step))
                continue
            turns.is_over(number)

    try:
        async with telling_when_it_goes_on(reporter, cancel), asyncio.TaskGroup() as running:
            go_on()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None  # a defect of ours: the first says it all
    removed = await session.tidy_up(cancel)
    for name in removed:
        reporter.log(LogLevel.INFO, f"{name}, which was left over, is dropped now")
    after: Facts | None = None
    warnings = list(plan.warnings)
    left_over = {name: warning for result in results.values() for name, warning in result.left_over.items()}
    warnings += [warning for name, warning in left_over.items() if name not in removed]
    try:
        after = {**await session.facts(plan.operation, cancel), **reporter.waited}
    except TargetError as error:  # the work is done, and stays done, where the look afterwards fails
        if not left_over and not any(result.status is Status.FAILED or result.warnings for result in results.values()):
            warnings.append(str(error))  # where a step has told of nothing, nobody would know
        reporter.log(LogLevel.WARNING, str(error))
    return outcome_of(
        [(step, results[number]) for number, step in enumerate(plan.steps, 1) if number in results],
        planned=plan.steps,
        before=before,
        after=after,
        warnings=warnings,
        left_for=left_for,
        no_more=no_more,
    )


def outcome_of(
    results: Sequence[StepOutcome],
    *,
    planned: Sequence[PlannedStep],
    before: Facts,
    after: Facts | None,
    warnings: Sequence[str] = (),
    left_for: Reason | None = None,
    no_more: str = "",
) -> Outcome:
    """How a child ended, from what happened to its steps. One failure makes it failed, with the list.

    `left_for`: why the first step that was not begun was not, where that is no cancel. `no_more`: why none could be
    begun any more.
    """
    failed = [(step, result) for step, result in results if result.status is Status.FAILED]
    # By identity: there may be thousands, of which some are alike.
    over = {id(step) for step, result in results if result.status is not Status.CANCELLED}
    begun = {id(step) for step, result in results if not result.never_began}
    cut_short = [step for step in planned if id(step) not in over]
    not_begun = [step for step, result in results if result.never_began and result.status is Status.SKIPPED]
    status, reason, error = Status.COMPLETED, None, None
    if no_more:
        status, reason = Status.FAILED, Reason.OPERATION_ERROR
        error = _cut_off(failed, not_begun, len(planned), no_more)
    elif failed:
        reasons = {result.reason or Reason.OPERATION_ERROR for _, result in failed}
        status, reason = Status.FAILED, reasons.pop() if len(reasons) == 1 else Reason.OPERATION_ERROR
        if reason is Reason.REFUSED and any(result.status is Status.COMPLETED for _, result in results):
            reason = Reason.OPERATION_ERROR  # what is refused has not begun
        error = failure_list(failed, len(planned))
        if cut_short:
            error = (
                f"stopped after {len(over)} of {len(planned)} steps. By then: {error}. "
                f"Not through: {listed([step.command for step in cut_short], most=1)}"
            )
        elif not_begun:
            when = "By the time limit" if left_for is Reason.TIME_LIMIT else "After that"
            number = len(not_begun)
            error += f". {when} {counted(number, 'step')} of it {'was' if number == 1 else 'were'} not begun"
    elif cut_short:
        status, reason = Status.CANCELLED, Reason.CANCELLED_BY_USER
        error = what_is_left(results, len(planned))
    elif not_begun:
        status, error = done_in_part(results, len(planned))
        reason = Reason.TIME_LIMIT
    if after is not None and "findings" in after and (cut_short or not_begun):
        after = {**after, "complete": False}
    return Outcome(
        status=status,
        reason=reason,
        error=error,
        warnings=(*warnings, *(warning for _, result in results for warning in result.warnings)),
        before=before,
        after=after,
        left=sum(id(step) not in begun and not step.mandatory_follow_up for step in planned),
    )


def _cut_off(failed: Sequence[StepOutcome], not_begun: Sequence[PlannedStep], planned: int, no_more: str) -> str:
    """That an operation could not go on, what had failed before, and what was not begun."""
    names = listed(list(dict.fromkeys(filter(None, (part_named(step.object) for step in not_begun)))))
    left = f"{len(not_begun):,} of {counted(planned, 'step')} not begun" if not_begun else ""
    said = "; ".join(filter(None, (no_more, ": ".join(filter(None, (left, names))))))
    return f"{said}. {failure_list(failed, planned)}" if failed else said


def done_in_part(results: Sequence[StepOutcome], planned: int) -> tuple[Status, str | None]:
    """How a child ended that came to its time limit before all of its steps had begun."""
    done = sum(result.status is Status.COMPLETED for _, result in results)
    if not done and not any(result.error for _, result in results if not result.never_began):
        return Status.SKIPPED, None
    left = [part_named(step.object) for step, result in results if result.never_began]
    names = listed(list(dict.fromkeys(filter(None, left))))
    return Status.COMPLETED, f"{done:,} of {counted(planned, 'step')} done by the time limit; " + ": ".join(
        filter(None, (f"{len(left):,} not begun", names))
    )


def what_is_left(results: Sequence[StepOutcome], planned: int) -> str | None:
    """What there is of a child that was stopped; None where its engine does not tell."""
    done = [step for step, result in results if result.status is Status.COMPLETED]
    how_far = f"stopped after {len(done)} of {planned} steps"
    if not all(step.lost_without_next for step in done):
        return f"{how_far}; what was done stays done"
    left = {result.left: None for _, result in results if result.status is Status.CANCELLED}
    if said := "; ".join(filter(None, left)):
        return said
    if done:
        return f"{how_far}; nothing of it stays"
    return None if left else NOT_BEGUN


def failure_list(failed: Sequence[StepOutcome], planned: int) -> str:
    """What failed, object by object; for a child of one step just why. To find something is no failure of a step."""
    if planned == 1:
        return failed[0][1].error or "failed"
    finds: list[StepResult] = []
    objects: dict[str, list[str]] = {}
    for step, result in failed:
        error = result.error or "failed"
        if error.startswith(result.findings):
            finds.append(result)
        else:
            objects.setdefault(error, []).append(part_named(step.object))
    parts = {error: listed(list(filter(None, names))) for error, names in objects.items()}
    told = [f"{names}: {error}" if names else error for error, names in list(parts.items())[:_MOST_REASONS]]
    if others := list(filter(None, (name for names in list(objects.values())[_MOST_REASONS:] for name in names))):
        told.append(f"{listed(others)} failed, too")
    details = "; ".join(told)
    number = sum(map(len, objects.values()))
    failures = f"{number} of {planned} steps failed: {details}" if objects else ""
    return ". Found: ".join(filter(None, [failures, what_was_found(finds)]))


def what_was_found(finds: Sequence[StepResult]) -> str:
    """The first finding, and how many there are; "" where there is none."""
    if len(finds) < 2:
        return finds[0].error or "" if finds else ""
    found = list(dict.fromkeys(finding for result in finds for finding in result.findings))
    return found[0] if len(found) == 1 else f"{found[0]}, the first of {format_findings(len(found))}"
