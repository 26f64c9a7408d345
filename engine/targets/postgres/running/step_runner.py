"""Runs the steps of a plan: repeats what a server restart interrupted, and turns errors into results."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import psycopg

from engine.domain.errors import TargetError
from engine.domain.humanize import NOT_BEGUN, PAST_THE_LIMIT, listed
from engine.domain.statuses import Status
from engine.targets.postgres.connection.errors import explain
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.running.command_runner import CommandRunner
from engine.targets.postgres.running.connection_pool import ConnectionPool, NotBegunError
from engine.targets.postgres.running.effects import Totals
from engine.targets.postgres.running.invalid_index_cleanup import InvalidIndexCleanup
from engine.targets.postgres.running.invalid_indexes import NoLeftoverError
from engine.targets.postgres.running.result_collector import ResultCollector
from engine.targets.step_execution import StepContext, StepResult, failed_by


class StepRunner:
    """Runs steps one by one, several at once where the plan allows it."""

    def __init__(
        self,
        reader: Reader,
        pool: ConnectionPool,
        commands: CommandRunner,
        results: ResultCollector,
        cleanup: InvalidIndexCleanup,
        lock_timeout: float,
    ) -> None:
        self._reader = reader
        self._pool = pool
        self._commands = commands
        self._results = results
        self._cleanup = cleanup
        self._lock_timeout = lock_timeout
        self._rebuilt: set[str] = set()
        """Names of the indexes whose rebuild completed."""
        self.totals = Totals()

    async def run(self, step: PgStep, context: StepContext) -> StepResult:
        """Run one step; an error of the database becomes a result."""
        if missing := [name for name in step.required_objects if name not in self._rebuilt]:
            why = f"not everything that comes before is completed: {listed(missing, 3)}"
            return StepResult(status=Status.SKIPPED, error=why)
        if step.method is Method.REINDEX_CONCURRENTLY:
            context.save_recovery_data({"method": step.method})
        try:
            result = await self._run_and_repeat(step, context)
        except NotBegunError:
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED, left=NOT_BEGUN, never_began=True)
            return StepResult(status=Status.SKIPPED, error=PAST_THE_LIMIT, never_began=True)
        except NoLeftoverError:
            why = "no longer left over: another session works on it, or has rebuilt or dropped it"
            result = StepResult(status=Status.SKIPPED, error=why)
        except TargetError as error:
            if self._pool.error is not None and not context.cancel.is_set():
                return _not_begun(self._pool.error)
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED, left=NOT_BEGUN)
            result = failed_by(error)
        except psycopg.Error as error:
            why = explain(error, is_closed=True, waited=self._lock_timeout)
            result = StepResult(status=Status.FAILED, error=why)
        if refusal := self._pool.take_refusal():
            result = replace(result, warnings=(*result.warnings, refusal))
        if result.status is Status.COMPLETED and step.method.is_rebuild:
            self._rebuilt.add(step.object)
        if not result.requeue and step.method not in {Method.STATISTICS, Method.RECORD_VERSION}:
            self.totals.add(result)
        return result

    async def _run_and_repeat(self, step: PgStep, context: StepContext) -> StepResult:
        """Run the step; once more if the server restarted and the step may be repeated."""
        run = await self._commands.run(step, context)
        if not (run.is_lost and step.is_repeatable):
            return await self._results.collect(step, run, context)
        try:
            server = await self._pool.reconnect(context)
        except NotBegunError:
            return await self._results.collect(step, run, context)
        except TargetError as gone:
            return replace(await self._results.collect(step, run, context), stop_reason=gone.why)
        with contextlib.suppress(TargetError):
            await self._reader.row("SELECT 1", row=(int,))  # so that a reader whose connection is lost reconnects
        cleanup = await self._cleanup.clean_up(step, is_lost=True)
        if cleanup.has_new_index or cleanup.problem or not run.may_be_repeated(server):
            return await self._results.collect(step, run, context, cleanup)
        try:
            second = await self._commands.run(step, context)
        except NotBegunError:  # report the first run
            return await self._results.collect(step, run, context, cleanup)
        except TargetError as gone:
            stop_reason = "" if self._pool.error is None else gone.why
            return replace(await self._results.collect(step, run, context, cleanup), stop_reason=stop_reason)
        result = await self._results.collect(step, second, context)
        return replace(result, warnings=(*result.warnings, f"{step.object}: begun twice, because the server went away"))


def _not_begun(error: TargetError) -> StepResult:
    return StepResult(status=Status.SKIPPED, error=f"not begun: {error.why}", never_began=True, stop_reason=error.why)
