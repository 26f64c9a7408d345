"""Collects the result of a step from its command: sizes, damage, and what it left behind."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.statuses import Reason, Status
from engine.domain.steps import CLEANING_UP, FOLLOWED, Facts
from engine.targets.command_monitor import MOST_ATTEMPTS, gave_way
from engine.targets.postgres.connection.errors import GONE, INTERNAL, reports_damage
from engine.targets.postgres.connection.names import qualified
from engine.targets.postgres.planning.operation_steps import PAGE
from engine.targets.postgres.planning.steps import Method, PgStep
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading import xmin_horizon
from engine.targets.postgres.reading.amcheck import truncated_files
from engine.targets.postgres.reading.shapes import LEAST_PAGES
from engine.targets.postgres.running.checking import damaged_object, may_blame_table, with_truncated_files
from engine.targets.postgres.running.command_runner import CommandRun, CommandRunner, OperationParts
from engine.targets.postgres.running.effects import effects
from engine.targets.postgres.running.groups import divided
from engine.targets.postgres.running.invalid_index_cleanup import CleanupResult
from engine.targets.postgres.running.partial_effects import never_had_lock, partial_effect
from engine.targets.postgres.running.result import step_result
from engine.targets.postgres.running.statement import Answer
from engine.targets.step_execution import StepContext, StepProgress, StepResult
from engine.targets.totals import with_sizes

FEW_ROWS: Final = 50
"""Dead rows of any table that autovacuum leaves alone by default."""
FEW_OF_TABLE: Final = 0.2
"""The share of the rows of a table that may be dead, besides `FEW_ROWS`, before autovacuum starts by default."""


class ResultCollector:
    """Makes results of command runs; it asks the server where the answer does not tell enough."""

    def __init__(self, parts: OperationParts, commands: CommandRunner) -> None:
        self._parts = parts
        self._commands = commands
        self._yields: Counter[PgStep] = Counter()
        """How often each step gave way, or got no lock."""

    async def collect(self, step: PgStep, run: CommandRun, context: StepContext) -> StepResult:
        """The result of a run."""
        answer, watched = run.answer, run.watched
        is_dropped = step.method is Method.DROP_LEFTOVER and answer.error is None
        size = self._parts.sizes.dropped(step) if is_dropped else await self._parts.sizes.after(step)
        effect = with_sizes(effects(answer.notices), run.size_before, size)
        damaged = None
        if step.method is Method.CHECK:
            damaged = damaged_object(step, await self._uncompared_answer(step, answer, context))
        result = step_result(
            step,
            answer,
            effect,
            is_closed=run.is_closed,
            waited=self._parts.lock_timeout,
            wait_limits=watched.wait_limits,
            blockers=watched.blockers,
            held_by=await self._oldest_holder(step, effect.get("rows_kept", 0)),
            is_gone=await self._is_gone(step, answer),
            damaged=damaged,
        )
        is_cancelled = context.cancel.is_set()
        if step.members:
            return divided(step, answer, run.done, result, is_cancelled=is_cancelled)
        cleanup = run.cleanup or await self._clean_up(step, run, result, context)
        if cleanup.has_new_index and not watched.only_waited:
            result = StepResult(status=Status.COMPLETED, effect=effect or None)
        elif result.status is Status.CANCELLED and watched.must_yield.is_set() and not is_cancelled:
            result = self._give_way(step, result)
        elif (
            step.method in {Method.REPACK, Method.PG_REPACK}
            and result.reason is Reason.TARGET_BUSY
            and not is_cancelled
        ):
            result = self._try_again(step, result)
        if step.reads_whole_table and step.subject is not None:
            result = await self._with_truncated_files(step, step.subject.oid, result)
        if damaged is not None and (checks := self._parts.checks) is not None:
            if result.status is Status.COMPLETED and (uncompared := checks.not_compared(step)):
                result = replace(result, warnings=(*result.warnings, uncompared))
            checks.add(step, result, damaged)
        if result.status is Status.COMPLETED and step.method is Method.TEND_INDEX and step.subject is not None:
            result = replace(result, effect={"pages_covered": step.subject.table_pages})
        if result.status is Status.COMPLETED and step.is_followed:
            result = replace(result, effect={**(result.effect or {}), FOLLOWED: 1})
        if result.status is Status.COMPLETED and step.method.is_rebuild:
            result = replace(result, effect={**(result.effect or {}), **await self._rebuild_marks(step, size)})
        result = replace(result, warnings=(*result.warnings, *cleanup.warnings), failed_drops=cleanup.failed_drops)
        if cleanup.failed_drops:  # for recovery, if this process dies before it drops them: see `orphan_cleanup`
            result = replace(result, effect={**(result.effect or {}), "method": step.method})
        if told := tuple(filter(None, (answer.left, run.dropped))):
            result = replace(result, warnings=(*result.warnings, *told))
        if result.may_leave_something:
            only_waited = never_had_lock(step, answer, was_seen_waiting=watched.only_waited)
            left = answer.left or partial_effect(step, result.reason, cleanup.removals, only_waited=only_waited)
            result = replace(result, left=left)
        return result

    async def _uncompared_answer(self, step: PgStep, answer: Answer, context: StepContext) -> Answer | None:
        """The check of an index without its table, if either may be damaged; None if not needed."""
        error = answer.error
        if error is None or not reports_damage(error) or not may_blame_table(step, error):
            return None
        with contextlib.suppress(TargetError, psycopg.Error):
            return await self._commands.run_uncompared(step, context)
        return Answer()

    async def _is_gone(self, step: PgStep, answer: Answer) -> bool | None:
        """Whether the table or index was dropped: the server may report that as damage, or name another object.

        None where the error cannot mean that, or the server does not answer.
        """
        if step.subject is None or answer.error is None or answer.error.sqlstate not in {INTERNAL, *GONE}:
            return None
        with contextlib.suppress(TargetError):
            return not await self._parts.reader.rows("SELECT FROM pg_class WHERE oid = %s", [step.subject.oid], row=())
        return None

    async def _clean_up(self, step: PgStep, run: CommandRun, result: StepResult, context: StepContext) -> CleanupResult:
        """Drop the leftovers of a concurrent rebuild that did not complete."""
        if result.status is Status.COMPLETED or step.method is not Method.REINDEX_CONCURRENTLY:
            return CleanupResult()
        context.report(StepProgress(phase=CLEANING_UP))
        return await self._parts.cleanup.clean_up(step, is_lost=run.is_lost)

    def _give_way(self, step: PgStep, result: StepResult) -> StepResult:
        self._yields[step] += 1
        return gave_way(step.object, result, self._yields[step])

    def _try_again(self, step: PgStep, result: StepResult) -> StepResult:
        """The result of a step that runs again: nothing has changed, and the next moment may be a better one."""
        self._yields[step] += 1
        if self._yields[step] >= MOST_ATTEMPTS:
            return replace(result, error=f"{result.error}; so it was {MOST_ATTEMPTS} times")
        return replace(result, status=Status.SKIPPED, error=f"{result.error}; it runs again", requeue=True)

    async def _with_truncated_files(self, step: PgStep, oid: int, result: StepResult) -> StepResult:
        if result.findings or result.status is Status.COMPLETED:
            with contextlib.suppress(TargetError):
                return with_truncated_files(step, result, await truncated_files(self._parts.reader, oid))
        return result

    async def _rebuild_marks(self, step: PgStep, size: int | None) -> Facts:
        """Of a new index: its rows, if its dead space is ever estimated; the collation versions of its text, and its
        file, which changes at the next rebuild."""
        is_large = size is not None and size >= LEAST_PAGES * PAGE
        if step.subject is None or not (is_large or step.collations):
            return {}
        name = qualified(step.subject.schema, step.subject.name)
        with contextlib.suppress(TargetError):
            for file, rows in await self._parts.reader.rows(query("rebuilt_index"), [name], row=(int | None, int)):
                marks: Facts = {"rows": rows} if is_large else {}
                return {**marks, "collations": step.collations, "file": file} if step.collations else marks
        return {}

    async def _oldest_holder(self, step: PgStep, kept: int) -> str | None:
        """The session that keeps dead rows, as text; "" where none is seen.

        None where it keeps only few, and not for long: on a busy server there is always one.
        """
        if not kept:
            return None
        are_few = step.subject is not None and kept <= FEW_ROWS + FEW_OF_TABLE * step.subject.rows
        with contextlib.suppress(TargetError):
            holders = (await xmin_horizon.read(self._parts.reader)).holders
            if are_few and not any(holder.is_old for holder in holders):
                return None
            return holders[0].text if holders else ""
        return ""
