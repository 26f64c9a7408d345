"""A planned operation on a SQLite file, and what runs its steps."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from engine.domain.errors import TargetError
from engine.domain.humanize import NOT_BEGUN
from engine.domain.lazy_import import lazy
from engine.domain.requests import SqliteLibrary
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts
from engine.system.lock_holders import blocking_writers, format_holders, holders
from engine.targets.database_files import file_size
from engine.targets.disk_space import problems_now
from engine.targets.limits import NotBegunError
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.session import PlannedOperation
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.bundled import BundledConnection
from engine.targets.sqlite.connection.errors import explain, is_busy, is_damage, is_interrupt
from engine.targets.sqlite.connection.metered import MeteredConnection, OpenDatabase
from engine.targets.sqlite.connection.target_lock import TargetLock
from engine.targets.sqlite.planning import operation_specs
from engine.targets.sqlite.planning.steps import AFTER_COPY, CHECKING, WRITING, Method, SqliteStep
from engine.targets.sqlite.reading.readahead import Readahead
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.running import work
from engine.targets.sqlite.running.effects import Effects
from engine.targets.sqlite.running.layout import Layout
from engine.targets.sqlite.running.lost_rows import LostRowsError
from engine.targets.sqlite.running.throttling import Throttle
from engine.targets.sqlite.system.files import check_writable, last_change
from engine.targets.step_execution import (
    StepContext,
    StepProgress,
    StepResult,
    failed_by,
    past_the_limit,
    without_room,
)

if TYPE_CHECKING:
    from engine.targets.sqlite.running import methods, partial_effects, writeback
    from engine.targets.sqlite.running import work as working
    from engine.targets.sqlite.running.work import Work
    from engine.targets.sqlite.system import swapping, unfinished_backup
    from engine.targets.sqlite.system.old_backups import NewBackup
    from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy
else:
    methods = lazy("engine.targets.sqlite.running.methods", "a plan does without it")
    partial_effects = lazy("engine.targets.sqlite.running.partial_effects", "a plan does without it")
    working = lazy("engine.targets.sqlite.running.work", "a plan does without it")
    writeback = lazy("engine.targets.sqlite.running.writeback", "a plan does without it")
    swapping = lazy("engine.targets.sqlite.system.swapping", "only an exchange of the file needs it")
    unfinished_backup = lazy("engine.targets.sqlite.system.unfinished_backup", "only an exchange of the file needs it")

FOLLOW_UP_LOCK_TIMEOUT: Final = 60.0
"""Seconds that a step whose lack does harm waits for its lock at least."""


class SqliteOperation(PlannedOperation):
    """The `PlannedOperation` of a SQLite file; see engine.targets.session."""

    def __init__(
        self,
        plan: OperationPlan,
        database: OpenDatabase,
        planned_by: Reader,
        effects: Effects,
        state_read: object,
        lock: TargetLock,
        damaged_pages: Collection[int],
    ) -> None:
        """
        Args:
            planned_by: reads the database for plans; it must not remember what a step changes.
            state_read: of the file as the session opened it, where no lock can be taken; else None.
            lock: that of the session.
            damaged_pages: those that the last check names.
        """
        self.plan = plan
        self._connection = database.connection
        self._opened = database.file
        self._path = database.file.path
        self._lock_timeout = database.lock_timeout
        self._blockers = database.blockers
        self._planned_by = planned_by
        self._state_read = state_read
        self._lock = lock
        self._reader = effects.reader
        self._effects = effects
        self._layout = Layout(Reader(database), plan.operation, damaged_pages, steps=len(plan.steps))
        self._throttle = Throttle(self._path)
        self._ahead = Readahead(self._path)
        self._idle = {SqliteLibrary.SYSTEM: [database.connection], SqliteLibrary.BUNDLED: []}
        self._extra: list[MeteredConnection] = []
        self._found_damage = False
        self._copy: UnfinishedCopy | None = None
        self._as_copied: MeteredConnection | None = None
        self._contents = ""
        self._new_backup: NewBackup | None = None

    async def close(self) -> None:
        """Close its further connections, and remove an unfinished copy."""
        await self._ahead.end()
        try:
            async with contextlib.AsyncExitStack() as stack:  # each is closed, whatever the others raise
                for connection in self._extra:
                    stack.push_async_callback(connection.close)
        finally:
            await self._discard_copy()

    async def facts(self, cancel: asyncio.Event | None = None) -> Facts:
        self._reader.lock_timeout = self._throttle.timeout(self._lock_timeout)
        self._reader.cancel = cancel or asyncio.Event()
        facts = {**await self._effects.facts(), **await self._layout.facts()}
        if not self._is_exchange:
            await self._layout.before_step()  # here, so that it counts as planning, and not as the work of a step
        return facts

    @property
    def _is_exchange(self) -> bool:
        return any(isinstance(step, SqliteStep) and step.method is Method.SWAP for step in self.plan.steps)

    async def find_blockers(self, *, has_window: bool) -> str:
        if not operation_specs.SPECS[self.plan.operation].writes:
            return ""
        if self._is_exchange:
            who = await asyncio.to_thread(swapping.who_else_has_it_open, self._opened)
            return f"it would have to wait: {who}" if who else ""
        is_wal = (await self._reader.summary()).is_wal
        found = await asyncio.to_thread(holders, self._path) or ()
        blocking = tuple(blocking_writers(found, wal=is_wal))
        return f"it would have to wait: {format_holders(blocking)}" if blocking else ""

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, SqliteStep), "a step of another engine"  # noqa: S101 - a bug in dbtend
        if self._found_damage and step.method in WRITING:
            return StepResult(status=Status.SKIPPED, error="skipped: nothing more is written to a damaged database")
        if not step.ignores_space and (problems := problems_now(step.needs)):
            return without_room(problems)
        self._planned_by.forget()
        self._effects.step_begins()
        timeout = self._lock_timeout_of(step)
        work: Work | None = None
        try:
            await self._throttle.pause(context.cancel)
            if context.cancel.is_set():
                return await self._with_partial_effect(StepResult(status=Status.CANCELLED), step, work)
            if step.method in WRITING:
                check_writable(self._path)
            if step.method not in AFTER_COPY:
                self._opened.require()
            if step.method is not Method.SWAP:
                await self._layout.before_step()
            async with self._free_connection(step, context.cancel) as connection:
                await connection.set_up(step.settings)
                if step.read_ahead:
                    await self._ahead.begin()
                    # A check reads pages in random order: wait, so that the disk reads in order.
                    if step.method is Method.CHECK and self._ahead.has_begun:
                        context.report(StepProgress(phase="reading the file into memory"))
                        await self._ahead.done(context.cancel)
                if step.method in WRITING and self._throttle.has_timed_out:
                    await statement.require_exclusive_lock(connection.aio)
                written = unfinished_backup.copy_in(step.unfinished) if step.method is Method.SWAP else self._path
                writing = writeback.writing_back(written) if step.write_behind else contextlib.nullcontext()
                with self._throttle.measure(step.blocks_writers):
                    work = self._work(step, connection, context, timeout)
                    async with writing:
                        result = await self._run(work)
        except NotBegunError:
            result = past_the_limit()
        except TargetError as error:
            result = failed_by(error)
        except sqlite3.Error as error:
            result = await self._failure(error, step, context, timeout)
        self._layout.step_over(result)
        return await self._with_partial_effect(result, step, work)

    async def _with_partial_effect(self, result: StepResult, step: SqliteStep, work: Work | None) -> StepResult:
        """The result, with what remains of the step. `work`: None where it did not begin."""
        if not result.may_leave_something:
            return result
        if work is None and step.method in {Method.COMPARE, Method.COPY_CHECK} and self._copy is not None:
            await self._discard_copy()
            return replace(result, left=partial_effects.COPY_REMOVED)
        return replace(result, left=NOT_BEGUN if work is None else await partial_effects.partial_effect(work))

    def _work(self, step: SqliteStep, connection: MeteredConnection, context: StepContext, timeout: float) -> Work:
        return working.Work(
            connection=connection,
            opened=self._opened,
            step=step,
            context=context,
            lock=self._lock,
            blockers=self._blockers,
            lock_timeout=timeout,
            layout=self._layout,
            copy=self._copy,
            as_copied=self._as_copied,
            contents=self._contents,
            new_backup=self._new_backup,
        )

    async def _run(self, work: Work) -> StepResult:
        step = work.step
        if step.counts_rows:
            await work.require_no_lost_rows()
        try:
            result = await methods.METHODS[step.method](work)
        finally:
            self._copy, self._new_backup = work.copy, work.new_backup
            self._as_copied, self._contents = work.as_copied, work.contents
        if problem := self._opened.problem():
            return self._result_of_moved_file(result, step, problem)
        if (step.method not in AFTER_COPY or step.method is Method.COMPARE) and self._has_changed():
            await self._discard_copy()
            error = "the database changed while dbtend read it: no lock can be taken on this file system"
            return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=error)
        self._found_damage = self._found_damage or work.found_damage
        self._effects.record(step, result, work.findings)
        return result

    def _lock_timeout_of(self, step: SqliteStep) -> float:
        """Seconds that a step waits for its lock."""
        if step.missing_effect:
            return max(self._lock_timeout, FOLLOW_UP_LOCK_TIMEOUT)
        return self._throttle.timeout(self._lock_timeout)

    def _has_changed(self) -> bool:
        """Whether another process wrote to the database, which this session reads without locks."""
        return self._state_read is not None and self._state_read != last_change(self._path)

    def _result_of_moved_file(self, result: StepResult, step: SqliteStep, problem: str) -> StepResult:
        """The result of a step whose file is no longer at its path; `problem` says so."""
        if step.method in {Method.COPY, Method.COMPARE, Method.REMOVE_BACKUPS}:  # the copy may be the only one left
            return result
        if step.method is Method.COPY_CHECK:
            return _copy_of_moved_file(result, problem)
        if result.status is Status.FAILED and result.reason is None and not result.findings:
            return replace(result, error=f"{problem}: {result.error}" if result.error else problem)
        if result.status is not Status.COMPLETED and not result.findings:
            return result
        if step.method in CHECKING:
            error, left = f"{problem}: the check did not read the file that is there now", "a check changes nothing"
        else:
            error = f"{problem}: the step changed the opened file, not the one at this path"
            left = "the step completed in the opened file"
        if step.method is Method.VACUUM and step.has_follow_up:  # the follow-up fails, and its error says why
            return replace(result, warnings=(*result.warnings, error), effect=None)
        return replace(result, status=Status.FAILED, error=error, error_is_finding=False, effect=None, left=left)

    async def _discard_copy(self) -> None:
        if self._copy is not None:
            self._copy.discard()
            self._copy = None
        if self._as_copied is not None:
            as_copied, self._as_copied = self._as_copied, None
            await as_copied.close()

    async def _failure(
        self, error: sqlite3.Error, step: SqliteStep, context: StepContext, timeout: float
    ) -> StepResult:
        if step.method in WRITING:
            await truncate_log(self._connection, self._path)
        # A step cancelled while it waited for its lock has done nothing.
        if context.cancel.is_set() and (is_interrupt(error) or is_busy(error)):
            return StepResult(status=Status.CANCELLED)
        self._found_damage = self._found_damage or is_damage(error)
        if not is_busy(error):
            lost = error if isinstance(error, LostRowsError) else None
            why = explain(error, timeout) if lost is None else f"the database is damaged: {lost}. {lost.hint}"
            if problem := self._opened.problem():  # then SQLite says only that it cannot read, write or open something
                why = f"{problem}: {why}" if is_damage(error) else problem
            met = str(error) if is_damage(error) and not problem else ""
            failed = StepResult(status=Status.FAILED, error=why, met_damage=met)
            if lost is not None:
                failed = replace(failed, reason=Reason.DAMAGED, damaged_index=lost.index)
            return failed
        blockers = await self._blockers.describe_last(wal=working.runs_beside_readers(step))
        self._throttle.has_timed_out = True
        return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=explain(error, timeout, blockers))

    @contextlib.asynccontextmanager
    async def _free_connection(self, step: SqliteStep, cancel: asyncio.Event) -> AsyncIterator[MeteredConnection]:
        """A connection of the library of the step that no other step uses: steps may run at once."""
        idle, is_bundled, is_lost = self._idle[step.library], step.library is SqliteLibrary.BUNDLED, False
        if idle:
            connection = idle.pop()
        else:
            timeout = self._throttle.timeout(self._lock_timeout)
            wait = statement.LockWait(timeout, cancel, self._blockers.describe)
            how: dict[str, Any] = {"factory": BundledConnection} if is_bundled else {}
            connection = await MeteredConnection.open(self._connection.uri, wait, **how)
            self._extra.append(connection)
            self._opened.require()
        try:
            yield connection
        except sqlite3.Error:
            is_lost = is_bundled  # its process may have ended
            raise
        finally:
            if not is_lost:
                idle.append(connection)


async def truncate_log(connection: MeteredConnection, path: str) -> None:
    """Write back the log: a rollback leaves a long one."""
    with contextlib.suppress(sqlite3.Error):
        if file_size(path + "-wal"):
            await work.write_back(connection, statement.LockWait(0))


def _copy_of_moved_file(result: StepResult, problem: str) -> StepResult:
    if result.status is not Status.COMPLETED:
        error = f"{problem}: {result.error}" if result.error else None
        return replace(result, error=error, error_is_finding=False)
    name = (result.effect or {}).get("backup")
    error = f"{problem}: {name} is a copy of the opened file, not of the one that is there now"
    return replace(result, status=Status.FAILED, error=error, error_is_finding=False)
