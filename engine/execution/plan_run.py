"""Runs the steps of a plan, in parallel as planned."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from engine.domain.claims import Outcome
from engine.domain.errors import TargetError
from engine.domain.humanize import PAST_THE_LIMIT, counted, listed
from engine.domain.requests import OnFailure
from engine.domain.statuses import Reason, Status
from engine.domain.steps import EXPECTED, TIME_LEFT, Facts, LogLevel, object_name
from engine.execution.outcomes import StepOutcome, child_outcome
from engine.execution.preparation import Prepared
from engine.execution.recovery import completed_commands, follow_up_required
from engine.execution.step_runner import reporting_uninterruptible, run_step, skip_step
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepResult
from engine.targets.step_scheduler import StepScheduler
from engine.targets.window_fit import needed_seconds, reason_not_to_begin


class PlanRun:
    """One run of a plan. Its `StepScheduler` decides when a step begins."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared, self._planned, self._attempt = prepared, prepared.planned, prepared.attempt
        self._options, self._reporter = prepared.attempt.options, prepared.attempt.reporter
        self._plan = plan = prepared.plan
        self._steps = list(plan.steps)
        """Those of the plan, and those that take their place."""
        self._scheduler = StepScheduler(plan.steps, at_once=plan.parallel)
        self._results: dict[int, StepResult] = {}
        """By step number, from 1."""
        self._failed: list[str] = []
        """The objects of the steps that failed."""
        self._needed = needed_seconds(plan.steps)
        self._skip_reason: Reason | None = None
        """Why steps were not begun, other than a cancel."""
        self._abort_reason = ""
        """Why no further step can begin; "" while they can."""

    @property
    def results(self) -> list[StepOutcome]:
        """The steps that have ended, each with its result."""
        return [(step, self._results[n]) for n, step in enumerate(self._steps, 1) if n in self._results]

    async def outcome(self) -> Outcome:
        """Run the plan to its end. Raises OwnershipLostError once what runs has stopped."""
        self._reporter.begin(self._plan.steps, at_once=self._plan.parallel, ending=self._prepared.reading)
        for remark in self._prepared.remarks:
            self._reporter.log(LogLevel.INFO, remark)
        if self._plan.settings_reason:
            self._reporter.log(LogLevel.INFO, self._plan.settings_reason, is_settings=True)
        for warning in self._plan.warnings:
            self._reporter.log(LogLevel.WARNING, warning)
        if listed(self._plan.forbidden) != (names := ", ".join(self._plan.forbidden)):
            self._reporter.log(LogLevel.INFO, f"left out for lack of a right: {names}")
        try:
            async with reporting_uninterruptible(self._attempt):
                await self._run_steps()
                while await self._extend():
                    await self._run_steps()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # the first is enough
        return await self._summarize()

    async def _run_steps(self) -> None:
        async with asyncio.TaskGroup() as running:
            self._start_ready_steps(running)

    async def _extend(self) -> bool:
        """Add what the steps so far have shown to be needed; whether there is anything.

        This does not ask the store: without an answer, the results could not be kept before this process ends.
        """
        stops = bool(self._failed) and self._options.on_step_failure is OnFailure.STOP
        if stops or self._attempt.is_ending or self._abort_reason or self._skip_reason:
            return False
        try:
            more = await self._planned.further_plan()
        except TargetError as error:
            self._reporter.log(LogLevel.WARNING, str(error))
            return False
        if more is None:
            return False
        for warning in (new := [one for one in more.warnings if one not in self._plan.warnings]):
            self._reporter.log(LogLevel.WARNING, warning)
        self._plan = replace(
            self._plan,
            steps=(*self._plan.steps, *more.steps),
            warnings=(*self._plan.warnings, *new),
            size_estimate=None,  # it was of the first steps alone
        )
        self._needed += needed_seconds(more.steps)
        self._scheduler.extend(dict(enumerate(more.steps, len(self._steps) + 1)), at_once=more.parallel)
        self._steps += more.steps
        self._reporter.extend(more.steps, at_once=more.parallel)
        self._reporter.log(LogLevel.INFO, f"{counted(len(more.steps), 'more step')}: the completed ones show the need")
        return True

    def _start_ready_steps(self, running: asyncio.TaskGroup) -> None:
        while (turn := self._scheduler.next()) is not None:
            number, step = turn
            if not self._begin(number, step, running):
                self._scheduler.step_finished(number)

    def _begin(self, number: int, step: PlannedStep, running: asyncio.TaskGroup) -> bool:
        """Begin a step, or skip it; whether it began."""
        if self._abort_reason:
            self._leave_out(number, Reason.OPERATION_ERROR, error=f"not begun: {self._abort_reason}")
        elif step.mandatory_follow_up:
            return self._begin_follow_up(number, step, running)
        elif self._attempt.cancel.is_set():
            pass
        elif self._failed and self._options.on_step_failure is OnFailure.STOP:
            self._leave_out(number, Reason.PREVIOUS_FAILED, error=f"not begun, as {self._failed[0]} failed")
        elif self._completes_previous(number) or not self._left_out_by_the_window(number):
            running.create_task(self._run_step(number, step, running))
            return True
        return False

    def _begin_follow_up(self, number: int, step: PlannedStep, running: asyncio.TaskGroup) -> bool:
        """Begin it if a step that it must follow completed, in this attempt or an earlier one."""
        completed = [n for n, result in self._results.items() if result.status is Status.COMPLETED]
        done = [self._steps[n - 1].command for n in completed]
        if done or follow_up_required(step, self._attempt.claim):
            done = done or completed_commands(self._attempt.claim.earlier)
            running.create_task(self._run_step(number, step, running, done))
            return True
        if not self._attempt.cancel.is_set():
            self._results[number] = StepResult(status=Status.SKIPPED)
        return False

    def _completes_previous(self, number: int) -> bool:
        """Whether the effect of the previous step would be lost without this one."""
        before = self._results.get(number - 1)
        return before is not None and before.status is Status.COMPLETED and self._steps[number - 2].lost_without_next

    def _left_out_by_the_window(self, number: int) -> bool:
        """Whether the window has closed, or closes before the step would end by its estimate."""
        needed, time_left = self._needed[number - 1], self._attempt.window.time_left
        if self._attempt.window.closed.is_set():  # its timer may come a tick early
            time_left = 0.0
        reason = reason_not_to_begin(needed, time_left, fit=self._options.fit)
        if reason is Reason.TIME_LIMIT:
            self._leave_out(number, reason, error=PAST_THE_LIMIT)
        elif reason is not None:
            self._leave_out(number, reason, facts={EXPECTED: needed, TIME_LEFT: time_left})
        return reason is not None

    def _leave_out(self, number: int, reason: Reason, *, error: str | None = None, facts: Facts | None = None) -> None:
        if self._skip_reason in {None, Reason.WILL_NOT_FIT}:  # any other reason weighs more
            self._skip_reason = reason
        self._results[number] = skip_step(number, self._reporter, reason, error=error, facts=facts)

    async def _run_step(
        self, number: int, step: PlannedStep, running: asyncio.TaskGroup, done: Sequence[str] = ()
    ) -> None:
        def start_others() -> None:
            self._scheduler.command_finished(number)
            self._start_ready_steps(running)

        await self._attempt.require_owned()
        result = await run_step(
            self._planned,
            number,
            step,
            self._attempt,
            done=done,
            on_command_finished=start_others,
        )
        if result.requeue:
            self._reporter.log(LogLevel.INFO, ": ".join(filter(None, (object_name(step.object), result.error))))
        else:
            self._results[number] = result
        self._abort_reason = self._abort_reason or result.stop_reason
        if (
            result.never_began
            and self._attempt.window.closed.is_set()
            and self._skip_reason in {None, Reason.WILL_NOT_FIT}
        ):
            self._skip_reason = Reason.TIME_LIMIT
        if result.status is Status.FAILED:
            self._failed.append(object_name(step.object) or "an earlier step")
        self._scheduler.step_finished(number, again=result.requeue, instead=self._added(number, result.instead))
        self._start_ready_steps(running)

    def _added(self, number: int, steps: Sequence[PlannedStep]) -> dict[int, PlannedStep]:
        """New steps in the place of a planned one, by their numbers."""
        if not steps:
            return {}
        first = len(self._steps) + 1
        needed = self._needed[number - 1]
        follow_ups = (needed or 0.0) - (self._steps[number - 1].estimate or 0.0)
        self._needed += [None if step.estimate is None else step.estimate + follow_ups for step in steps]
        self._steps += steps
        self._reporter.add(steps)
        return dict(enumerate(steps, first))

    async def _summarize(self) -> Outcome:
        results, reporter = self._results, self._reporter
        removed = await self._planned.retry_cleanup(self._attempt.cancel)
        for name in removed:
            reporter.log(LogLevel.INFO, f"{name} was left over and is dropped now")
        after: Facts | None = None
        warnings = list(self._plan.warnings)
        failed_drops = {name: warning for result in results.values() for name, warning in result.failed_drops.items()}
        warnings += [warning for name, warning in failed_drops.items() if name not in removed]
        try:
            after = await self._planned.facts(self._attempt.cancel)
        except TargetError as error:  # the work is done even if reading the facts fails
            reported = failed_drops or any(
                result.status is Status.FAILED or result.warnings for result in results.values()
            )
            if not reported:
                warnings.append(str(error))  # unless a step has reported a problem already
            reporter.log(LogLevel.WARNING, str(error))
        outcome = child_outcome(
            self.results,
            planned=self._steps,
            after=_with_suspected(after, self._plan.suspected),
            warnings=warnings,
            skip_reason=self._skip_reason,
            stop_reason=self._abort_reason,
        )
        plan, before = self._plan, self._prepared.before
        return replace(outcome, before=before, estimate=plan.estimate, size_estimate=plan.size_estimate)


def _with_suspected(facts: Facts | None, tables: Sequence[str]) -> Facts | None:
    """The facts of an operation that has left these tables out."""
    if not facts or not tables:
        return facts
    left_out = facts.get("left_out")
    number = len(tables) + (left_out if isinstance(left_out, int) else 0)
    return {**facts, "suspected_tables": tuple(tables), "left_out": number}
