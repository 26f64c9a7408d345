"""Runs one step of a plan and reports on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.humanize import listed
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, LogLevel
from engine.system.background import in_background
from engine.targets.step_execution import StepContext, StepResult
from engine.targets.waits import first_of

if TYPE_CHECKING:
    from engine.execution.attempt import Attempt
    from engine.execution.reporter import Reporter
    from engine.targets.plans import PlannedStep
    from engine.targets.session import PlannedOperation

STOPS_WITHIN = 0.3
"""Seconds in which an interruptible step stops."""
WATCHED_AFTER = 0.05
"""Seconds after which it is noticed that a step does not stop: most steps are over before."""


async def run_step(
    operation: PlannedOperation,
    number: int,
    step: PlannedStep,
    attempt: Attempt,
    *,
    done: Sequence[str],
    on_command_finished: Callable[[], None] = lambda: None,
) -> StepResult:
    """Run the step with this number, from 1, and report on it; a cancel stops one that may be stopped.

    `done`: the completed commands before it. `on_command_finished`: called when its command has ended, before its
    result is known.
    """
    reporter = attempt.reporter
    reporter.begin_step(number)

    def command_finished() -> None:
        reporter.command_finished(number)
        on_command_finished()

    async with attempt.for_step(step) as limits:
        context = StepContext(
            cancel=limits.cancel,
            window=limits.window,
            report=lambda progress: reporter.report_progress(number, progress),
            save_recovery_data=lambda facts: reporter.note(number, facts),
            command_finished=command_finished,
            store_results=reporter.flush,
            maintained_files=attempt.knowledge.maintained_files,
            others_work=attempt.others_work,
        )
        result = await operation.execute(step, context)
    if step.missing_effect and result.status is not Status.COMPLETED:
        why = f" ({result.error})" if result.error else ""
        result = replace(
            result, status=Status.FAILED, error=describe_missing_effect(step, done) + why, error_is_finding=False
        )
    reporter.end_step(number, result)
    for finding in result.findings:
        reporter.log(LogLevel.ERROR, finding)
    for warning in (*result.warnings, *result.failed_drops.values()):
        reporter.log(LogLevel.WARNING, warning)
    return result


def skip_step(
    number: int, reporter: Reporter, reason: Reason, *, error: str | None = None, facts: Facts | None = None
) -> StepResult:
    """Report a step as not begun."""
    result = StepResult(status=Status.SKIPPED, reason=reason, error=error, effect=facts, never_began=True)
    reporter.skip_step(number, result)
    return result


def describe_missing_effect(step: PlannedStep, done: Sequence[str]) -> str:
    """The error of a missing `step` after the commands `done`; without commands it is unknown whether they ran."""
    return f"{listed(done)} is done; {step.missing_effect}" if done else f"it may be that {step.missing_effect}"


@asynccontextmanager
async def reporting_uninterruptible(attempt: Attempt) -> AsyncIterator[None]:
    """While inside, report steps that ignore a cancel."""

    async def watch() -> None:
        await first_of(attempt.cancel)
        await asyncio.sleep(STOPS_WITHIN)
        attempt.reporter.mark_uninterruptible()

    async with in_background(watch(), "the watch for a cancel", after=WATCHED_AFTER):
        yield
