"""One connection to a SQLite file: look, plan, execute."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.domain.errors import TargetError
from engine.domain.humanize import NOT_BEGUN
from engine.domain.jobs import Facts, Operation, Options, Reason, Status, Step
from engine.system.lock_holders import blocking_writers, holders, in_use, in_words
from engine.targets.protocol import OperationPlan, Recovery, StepContext, StepProgress, StepResult
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_busy, is_damage, is_interrupt
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.inspection import SqliteInspection
from engine.targets.sqlite.planning import operation_specs, operation_steps, planner
from engine.targets.sqlite.planning.steps import WRITING, Method, SqliteStep
from engine.targets.sqlite.reading.readahead import Readahead
from engine.targets.sqlite.running import step_execution
from engine.targets.sqlite.running.checking import Findings, findings_of
from engine.targets.sqlite.running.effects import Effects
from engine.targets.sqlite.running.partial_effects import COPY_REMOVED, NOTHING_CHANGED, left_by
from engine.targets.sqlite.running.throttling import Contention, Throttle, company
from engine.targets.sqlite.running.work import Work, readers_are_welcome
from engine.targets.sqlite.running.writeback import written_behind
from engine.targets.sqlite.system import copying
from engine.targets.sqlite.system.files import check_writable, file_size, last_change
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy

if TYPE_CHECKING:
    from engine.domain.advice import TargetHistory
    from engine.targets.protocol import PlannedStep
    from engine.targets.sqlite.system.blockers import BlockerFinder
    from engine.targets.sqlite.system.opened_file import OpenedFile

CHECKING: Final = frozenset({Method.CHECK, Method.FOREIGN_KEYS})

PATIENCE_TO_COMPLETE: Final = 60.0
"""Seconds that a step whose lack does harm waits for its lock at least."""

UNFINISHED: Final = "was rolled back"


class SqliteSession(SqliteInspection):
    """The `Session` of a SQLite file; see engine.targets.protocol."""

    def __init__(
        self,
        connection: MeteredConnection,
        opened: OpenedFile,
        lock_timeout: float,
        others: BlockerFinder,
        *,
        rolled_back: bool = False,
    ) -> None:
        """`rolled_back`: as it was opened, what an earlier crash had left."""
        super().__init__(connection, opened, lock_timeout, others, rolled_back=rolled_back)
        self._opened = opened
        self._must_stay = None if connection.takes_locks else last_change(opened.path)
        self._effects = Effects(self._reader)
        self._courtesy = Throttle(opened.path)
        self._ahead = Readahead(opened.path)
        self._idle = [connection]
        self._extra: list[MeteredConnection] = []
        self._is_wal = self._force = self._reads_at_once = False
        self._damaged = self._has_to_follow = False
        self._copy: UnfinishedCopy | None = None

    async def close(self) -> None:
        """Close what was opened besides the connection of this session, and leave no unfinished copy behind."""
        await self._ahead.end()
        try:
            async with contextlib.AsyncExitStack() as stack:  # each is closed, whatever the others raise
                for connection in self._extra:
                    stack.push_async_callback(connection.close)
        finally:
            self._discard_copy()

    async def facts(self, operation: Operation | None = None, cancel: asyncio.Event | None = None) -> Facts:
        self._reader.lock_timeout, self._reader.cancel = self._courtesy.patience(self._lock_timeout), cancel
        return await self._effects.facts(operation)

    async def require(self, operations: Sequence[Operation], options: Options) -> None:
        """Raise UsageError for a name that is no table or index of the database, or to which nothing can be done."""
        if options.objects:
            await self._reader.require(options.objects)
            if Operation.REINDEX in operations:
                objects = options.objects_for(Operation.REINDEX)
                await planner.indexes_of(self._reader, await self._reader.tables_uncounted(), objects)

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> OperationPlan:
        summary = await self._reader.summary()
        self._is_wal, self._force = summary.is_wal, options.force
        self._effects.check_level = options.check_level
        shared = await self._is_shared(operation)
        planned = await planner.plan(self._reader, summary, operation, options, shared=shared)
        self._reads_at_once = planned.parallel > 1
        self._has_to_follow = any(step.missing_effect for step in planned.steps)
        self._effects.unchecked = sum(
            isinstance(step, SqliteStep) and step.method is Method.CHECK for step in planned.steps
        )
        return planned

    async def _is_shared(self, operation: Operation) -> bool:
        """Whether there is somebody who cannot write while a check reads."""
        blocks = operation is Operation.CHECK and not self._is_wal
        return blocks and await asyncio.to_thread(company, self._path) is Contention.OTHERS

    async def remarks(self, operations: Sequence[Operation], past: TargetHistory | None = None) -> tuple[str, ...]:
        others = await asyncio.to_thread(in_use, self._path)
        return (
            *self._as_opened,
            *await self._on_operations(operations, past),
            *([f"in use: {others}"] if others else []),
        )

    async def _on_operations(self, operations: Sequence[Operation], past: TargetHistory | None) -> tuple[str, ...]:
        if past is None:
            return operation_specs.remarks(operations)
        if past.damage is not None:
            return await self.on_damage(operations, past)
        return operation_specs.remarks(operations, await self._damaged_indexes(past))

    async def on_damage(self, operations: Sequence[Operation], past: TargetHistory) -> tuple[str, ...]:
        if past.damage is not None:
            return operation_specs.on_damage(operations, past.damage_found)
        damaged = await self._damaged_indexes(past)
        return operation_specs.remarks(operations, damaged) if damaged else ()

    async def _damaged_indexes(self, past: TargetHistory) -> list[str]:
        """The indexes that are known to be damaged and are there still."""
        if not past.damaged_indexes:
            return []
        there = {index.name for table in await self._reader.tables_uncounted() for index in table.indexes}
        return [name for name in past.damaged_indexes if name in there]

    async def in_the_way(self, operation: Operation) -> str:
        if not operation_specs.OFFERS[operation].writes:
            return ""
        journal_mode = (await self._reader.summary()).journal_mode
        found = await asyncio.to_thread(holders, self._path) or ()
        blocking = tuple(blocking_writers(found, wal=journal_mode == "wal"))
        return f"it would have to wait: {in_words(blocking)}" if blocking else ""

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, SqliteStep), "a step of another engine"  # noqa: S101 - a bug of ours
        if self._damaged and step.method in WRITING:
            return StepResult(status=Status.SKIPPED, error="not done: nothing more is written to a damaged database")
        if not self._force and (problems := planner.space_problems(step)):
            return StepResult(
                status=Status.FAILED, reason=Reason.REFUSED, error="; ".join(problems), left=NOTHING_CHANGED
            )
        self._reader.forget()
        patience = self._patience(step)
        work: Work | None = None
        try:
            await self._courtesy.give_way(context.cancel)
            if context.cancel.is_set():
                return await self._with_what_is_left(StepResult(status=Status.CANCELLED), step, work)
            if step.method in WRITING:
                check_writable(self._path)
            if step.method is not Method.COPY_CHECK:
                self._opened.require()
            async with self._a_connection(context.cancel) as connection:
                await connection.set_up(step.settings)
                if step.read_ahead:
                    await self._ahead.begin()
                    # A check would ask the disk for pages everywhere meanwhile.
                    if step.method is Method.CHECK and self._ahead.has_begun:
                        context.report(StepProgress(phase="reading the file ahead"))
                        await self._ahead.done(context.cancel)
                if step.method in WRITING and self._courtesy.waited_in_vain:
                    await statement.nobody_else_uses(connection.aio)
                behind = written_behind(self._path) if step.write_behind else contextlib.nullcontext()
                with self._courtesy.holding(self._keeps_others_from_writing(step)):
                    work = self._work(step, connection, context, patience)
                    async with behind:
                        result = await self._carry_out(work)
        except TargetError as error:
            result = StepResult(status=Status.FAILED, reason=error.reason, error=error.why)
        except sqlite3.Error as error:
            result = await self._failure(error, step, context, patience)
        return await self._with_what_is_left(result, step, work)

    async def _with_what_is_left(self, result: StepResult, step: SqliteStep, work: Work | None) -> StepResult:
        """The result of a step, with what there is of it where it did not complete.

        `work`: None where it did not begin. What a check found is all there is to say of it.
        """
        if result.status not in {Status.CANCELLED, Status.FAILED} or result.findings or result.left:
            return result
        if work is None and step.method is Method.COPY_CHECK and self._copy is not None:
            self._discard_copy()
            return replace(result, left=COPY_REMOVED)
        return replace(result, left=NOT_BEGUN if work is None else await left_by(work))

    def _keeps_others_from_writing(self, step: SqliteStep) -> bool:
        if step.method in WRITING:
            return True
        # Of several readers at once one always goes on: a pause of another would be of use to nobody.
        return step.method in CHECKING and not self._is_wal and not self._reads_at_once

    def _work(self, step: SqliteStep, connection: MeteredConnection, context: StepContext, patience: float) -> Work:
        return Work(
            connection=connection,
            opened=self._opened,
            step=step,
            context=context,
            others=self._others,
            lock_timeout=patience,
            is_wal=self._is_wal,
            copy=self._copy,
        )

    async def _carry_out(self, work: Work) -> StepResult:
        step = work.step
        try:
            result = await step_execution.METHODS[step.method](work)
        finally:
            self._copy = work.copy
        if problem := self._opened.problem():
            return self._elsewhere(result, step, problem)
        if step.method is not Method.COPY_CHECK and self._was_changed_meanwhile():
            self._discard_copy()
            error = "the database was changed while it was read without locks, which cannot be taken here. Try again"
            return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=error)
        self._damaged = self._damaged or work.damaged
        if work.found is not None:
            self._effects.findings = (self._effects.findings or Findings()) + work.found
            self._effects.unchecked -= step.method is Method.CHECK
        if step.method is Method.COPY_CHECK and result.status is Status.COMPLETED:
            self._effects.backup = result.effect or {}
        if step.method is Method.INCREMENTAL:
            self._effects.freed = result.effect or {}
        return result

    def _patience(self, step: SqliteStep) -> float:
        """Seconds that a step waits for its lock."""
        if step.missing_effect:
            return max(self._lock_timeout, PATIENCE_TO_COMPLETE)
        return self._courtesy.patience(self._lock_timeout)

    def _was_changed_meanwhile(self) -> bool:
        """Whether somebody has written to a database that is read without locks."""
        return self._must_stay is not None and self._must_stay != last_change(self._path)

    def _elsewhere(self, result: StepResult, step: SqliteStep, problem: str) -> StepResult:
        """What is to be said of a step when the file that it has worked on does not lie at its path any more."""
        if step.method is Method.COPY:  # it may be the only one that there is by now
            return result
        if step.method is Method.COPY_CHECK:
            return _copied_from_elsewhere(result, problem)
        if result.status is not Status.COMPLETED and not result.findings:
            return result
        if step.method in CHECKING:
            said, left = f"{problem}: what was looked at says nothing of what lies there now", "a check changes nothing"
        else:
            said = f"{problem}: what was done is not to be found at its path"
            left = "it was done in the file that was opened"
        if step.method is Method.VACUUM and self._has_to_follow:  # which fails, and tells what is wrong without it
            return replace(result, warnings=(*result.warnings, said), effect=None)
        return replace(result, status=Status.FAILED, error=said, error_is_finding=False, effect=None, left=left)

    def _discard_copy(self) -> None:
        if self._copy is not None:
            self._copy.discard()
            self._copy = None

    async def _failure(
        self, error: sqlite3.Error, step: SqliteStep, context: StepContext, patience: float
    ) -> StepResult:
        if step.method in WRITING:
            await self._tidy_log()
        # One that still waited for its lock when it was cancelled has done nothing either.
        if context.cancel.is_set() and (is_interrupt(error) or is_busy(error)):
            return StepResult(status=Status.CANCELLED)
        self._damaged = self._damaged or is_damage(error)
        if not is_busy(error):
            return StepResult(status=Status.FAILED, error=explain(error, patience))
        others = await self._others.at_last(wal=readers_are_welcome(step, is_wal=self._is_wal))
        self._courtesy.was_busy()
        return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=explain(error, patience, others))

    async def _tidy_log(self) -> None:
        """What was rolled back has left a long write-ahead log behind."""
        with contextlib.suppress(sqlite3.Error):
            if file_size(self._path + "-wal"):
                await statement.rows_of(self._connection.aio, operation_steps.CHECKPOINT)

    @contextlib.asynccontextmanager
    async def _a_connection(self, cancel: asyncio.Event) -> AsyncIterator[MeteredConnection]:
        """One that no other step uses: steps may run at once."""
        if self._idle:
            connection = self._idle.pop()
        else:
            patience = self._courtesy.patience(self._lock_timeout)
            connection = await MeteredConnection.open(self._connection.uri, patience, cancel, self._others.look)
            self._extra.append(connection)
        try:
            yield connection
        finally:
            self._idle.append(connection)

    async def tidy_up(self, cancel: asyncio.Event) -> Collection[str]:
        return ()  # what a step leaves it removes itself

    async def settle(self, earlier: Sequence[Step]) -> tuple[str, ...]:
        return ()  # what died with its process was rolled back as the database was opened

    async def recover(self, options: Options, context: StepContext) -> Recovery:
        await asyncio.to_thread(copying.remove_leftovers, self._path, options.backup_to)
        try:
            rows = await statement.retry_while_locked(
                lambda: statement.fetch_all(self._connection.aio, "PRAGMA main.quick_check", context.cancel),
                self._lock_timeout,
                context.cancel,
                self._others.look,
            )
        except sqlite3.Error as error:
            why = explain(error, self._lock_timeout, await self._others.at_last())
            return Recovery(unfinished=UNFINISHED, found=why, is_well=False)
        await self._tidy_log()
        read = partial(statement.short, self._connection.aio)
        found = findings_of(await step_execution.worth_telling(read, rows)).sentences
        said = f"a quick check found damage: {found[0]}" if found else "a quick check found nothing wrong"
        return Recovery(unfinished=UNFINISHED, found=said, is_well=not found, is_damaged=bool(found))


def _copied_from_elsewhere(result: StepResult, problem: str) -> StepResult:
    if result.status is not Status.COMPLETED:
        error = f"{problem}: {result.error}" if result.error else None
        return replace(result, error=error, error_is_finding=False)
    name = (result.effect or {}).get("backup")
    warning = f"{problem}: {name} is a copy of what was opened, and not of what lies there now"
    return replace(result, warnings=(*result.warnings, warning))
