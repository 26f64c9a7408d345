"""Runs the steps of a plan on a server: the part that is the same for all servers."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from engine.domain.errors import TargetError
from engine.domain.humanize import NOT_BEGUN, listed
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.targets.command_monitor import WatchedCommand
from engine.targets.connection_pool import ConnectionPool, PooledConnection
from engine.targets.disk_space import problems_now
from engine.targets.limits import NotBegunError
from engine.targets.outage import TEMPORARY_ERRORS
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.session import PlannedOperation
from engine.targets.step_execution import StepContext, StepProgress, StepResult, failed_by, past_the_limit, without_room
from engine.targets.throttling import wait_while_throttled
from engine.targets.waits import no_lock


class Run(Protocol):
    """How the command of a step ended."""

    @property
    def answer(self) -> Any:
        """Its `error` is None where the command succeeded."""

    @property
    def watched(self) -> WatchedCommand: ...


_Step = TypeVar("_Step", bound=PlannedStep)
_Run = TypeVar("_Run", bound=Run)
_Pooled = TypeVar("_Pooled", bound=PooledConnection[Any, Any])


class ServerOperation(PlannedOperation, Generic[_Step, _Run, _Pooled]):
    """An operation on a server; see `PlannedOperation` in `engine.targets.session`."""

    def __init__(
        self,
        plan: OperationPlan,
        options: Options,
        pool: ConnectionPool[_Pooled],
        throttled_by: Callable[[], Awaitable[str]],
    ) -> None:
        """`throttled_by`: see `wait_while_throttled`."""
        self.plan = plan
        self._options = options
        self._pool = pool
        self._throttled_by = throttled_by

    @abstractmethod
    async def _run_on(self, pooled: _Pooled, step: _Step, context: StepContext) -> _Run:
        """Run the command of a step to its end. Raises TargetError where it was not sent."""

    @abstractmethod
    async def _result(self, step: _Step, run: _Run, context: StepContext) -> StepResult: ...

    @abstractmethod
    def _is_in_doubt(self, step: _Step, run: _Run) -> bool:
        """Whether only the server tells what it did: the connection was lost."""

    @abstractmethod
    async def _look_again(self, step: _Step, run: _Run, pooled: _Pooled, context: StepContext) -> tuple[_Run, bool]:
        """The run, with what the server tells now that it is up, and whether the step may run again.

        Raises TargetError.
        """

    @abstractmethod
    async def _has_died(
        self, step: _Step, run: _Run, context: StepContext, pooled: _Pooled | None, *, is_second: bool = False
    ) -> bool:
        """Whether the server went down under the command, and was not shut down.

        `pooled`: a connection to the server as it is up again; None: to ask whatever connection there is. `is_second`:
        whether the connection was lost under the first run, too.
        """

    def _with_first(self, result: StepResult, first: _Run) -> StepResult:
        """The result of a step that ran again, with what its first run left."""
        return result

    @abstractmethod
    def _note(self, step: _Step, result: StepResult) -> None:
        """Called with the result of each step that began."""

    async def _execute(self, step: _Step, context: StepContext) -> StepResult:
        """See `PlannedOperation.execute`."""
        if not self._options.force and (problems := problems_now(step.needs)):
            return without_room(problems)
        try:
            result = await self._run_and_repeat(step, context)
        except NotBegunError:
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED, left=NOT_BEGUN, never_began=True)
            return past_the_limit()
        except TargetError as error:
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED, left=NOT_BEGUN)
            if (gone := self._pool.error) is not None:
                reason, why = _why_none_begins(gone)
                text = f"not begun: {why}"
                return StepResult(status=Status.SKIPPED, reason=reason, error=text, never_began=True, stop_reason=why)
            result = failed_by(error)
        if refusal := self._pool.take_refusal():
            result = replace(result, warnings=(*result.warnings, refusal))
        self._note(step, result)
        return result

    async def _run_and_repeat(self, step: _Step, context: StepContext) -> StepResult:
        """Run the step; once more if the server restarted and the step may be repeated.

        What a server died under is not begun again: a page that is damaged would end it once more.
        """
        run = await self._run(step, context)
        if not self._is_in_doubt(step, run):
            result = await self._result(step, run, context)
            if run.watched.is_late.is_set() and result.status is Status.CANCELLED and not context.cancel.is_set():
                return _late(result, run.watched)
            return self._died_under(step, result) if await self._has_died(step, run, context, None) else result
        second, is_up, stop_reason, has_died = None, False, "", None
        try:
            pooled = await self._pool.reconnect(context)
            has_died = await self._has_died(step, run, context, pooled)
            run, may_repeat = await self._look_again(step, run, pooled, context)
            is_up = True
            if may_repeat and not has_died:
                second = await self._run(step, context)
        except NotBegunError:
            pass  # the first run is reported
        except TargetError as gone:
            stop_reason = "" if is_up and self._pool.error is None else gone.why
        if second is None:
            result = replace(await self._result(step, run, context), stop_reason=stop_reason)
            has_died = await self._has_died(step, run, context, None) if has_died is None else has_died
            return self._died_under(step, result) if has_died else result
        result = self._with_first(await self._result(step, second, context), run)
        if await self._has_died(step, second, context, None, is_second=True):
            return self._died_under(step, result)
        warning = f"{step.object}: begun twice, because the server went away"
        return replace(result, warnings=(*result.warnings, warning))

    def _died_under(self, step: _Step, result: StepResult) -> StepResult:
        """The result of a step under which its server died."""
        doing = "checking" if (step.operation or self.plan.operation) is Operation.CHECK else "working on"
        why = f"the server died while {doing} {listed(step.all_objects, 3)}: read its error log"
        return replace(result, status=Status.FAILED, reason=Reason.SERVER_DIED, error=why, instead=(), requeue=False)

    async def _run(self, step: _Step, context: StepContext) -> _Run:
        """Run the command to its end. Raises NotBegunError, TargetError: then it was not sent.

        Where the connection is lost before it is sent, once more when the server is up.
        """
        try:
            return await self._run_once(step, context)
        except TEMPORARY_ERRORS:
            await self._pool.reconnect(context)
            return await self._run_once(step, context)

    async def _run_once(self, step: _Step, context: StepContext) -> _Run:
        await wait_while_throttled(self._throttled_by, context)
        if context.is_ending:
            raise NotBegunError
        async with self._pool.connection(context) as pooled:
            run = await self._run_on(pooled, step, context)
        if run.answer.error is None:
            context.command_finished()
            await asyncio.sleep(0)  # let the next step begin before this one is measured
        else:
            context.report(StepProgress())  # it waits for its lock no more
        return run


def _late(result: StepResult, watched: WatchedCommand) -> StepResult:
    """The result of a command that waited for a lock past its window, or for too long: it did not begin, or in vain."""
    if watched.only_waited and watched.closed.is_set():
        return past_the_limit()
    why = no_lock(watched.most_wait, watched.holders)
    if watched.closed.is_set():
        why = f"the time limit passed while it waited for its lock: {watched.holders or 'held by another session'}"
    return replace(result, status=Status.FAILED, reason=Reason.TARGET_BUSY, error=why)


def _why_none_begins(error: TargetError) -> tuple[Reason, str]:
    """Why no step can have a connection: the server is down, or it lets none be opened."""
    is_lost = isinstance(error, TEMPORARY_ERRORS)
    return (Reason.SERVER_LOST, error.why) if is_lost else (error.reason, error.why_and_hint)
