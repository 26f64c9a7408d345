"""A planned operation on a DuckDB file, and what runs its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import duckdb

from engine.domain.effects import CheckResult
from engine.domain.errors import TargetError
from engine.domain.requests import CheckLevel, Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FILE, REPLACED_FILE, SIZE_BEFORE, Facts
from engine.targets.check_results import check_result
from engine.targets.database_files import file_size
from engine.targets.duckdb import copying, files
from engine.targets.duckdb.connection import Connection, StoppedError, in_thread, is_damage, reason_of
from engine.targets.duckdb.contents import HASHES, Contents
from engine.targets.duckdb.planner import DuckDbStep, Method
from engine.targets.plans import OperationPlan, PlannedStep
from engine.targets.session import PlannedOperation
from engine.targets.step_execution import NOTHING_CHANGED, StepContext, StepResult, facts_with, past_the_limit

_REMEDY = "Restore a backup, or export the tables that can be read."


class DuckDbOperation(PlannedOperation):
    """The `PlannedOperation` of a DuckDB file."""

    def __init__(
        self,
        plan: OperationPlan,
        connection: Connection,
        contents: Contents,
        log: int,
        read_facts: Callable[[], Awaitable[Facts]],
    ) -> None:
        self.plan = plan
        self._connection = connection
        self._contents = contents
        self._log = log
        self._read_facts = read_facts
        self._did: Facts = {}
        self._findings: dict[str, str] = {}
        """By table."""
        self._checked = 0

    async def facts(self, cancel: asyncio.Event | None = None) -> Facts:
        return await facts_with(self._read_facts(), {**self._did, **self._of_check()})

    def _of_check(self) -> Facts:
        if self.plan.operation is not Operation.CHECK or not self._checked:
            return {}
        return CheckResult(
            findings=len(self._findings),
            level=CheckLevel.FULL,
            complete=self._checked == len(self.plan.steps),
            damage=next(iter(self._findings.values()), None),
            damaged_tables=tuple(self._findings),
            remedy=_REMEDY if self._findings else "",
        ).facts()

    async def find_blockers(self, *, has_window: bool) -> str:
        return ""  # to open the file is to have it

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, DuckDbStep), "a step of another engine"  # noqa: S101 - a bug
        if context.is_ending:
            return past_the_limit()
        try:
            match step.method:
                case Method.CHECK:
                    return await self._check(step, context)
                case Method.COMPACT:
                    return await self._compact(context)
                case Method.BACKUP:
                    return await self._backup(step, context)
                case Method.COMMAND:
                    await self._connection.rows(step.command, cancel=context.cancel, report=context.report)
            if self.plan.operation is Operation.CHECKPOINT:
                return StepResult(status=Status.COMPLETED, effect={"written_back": self._log})
            return StepResult(status=Status.COMPLETED)
        except StoppedError:
            return StepResult(status=Status.CANCELLED, left=step.after_cancel)
        except duckdb.Error as error:
            may_be_damage = is_damage(error) or isinstance(error, duckdb.FatalException)
            return _failed(reason_of(error), await self._damage(context) if may_be_damage else "")
        except TargetError as error:
            return _failed(error.why)
        except copying.CopyError as error:
            return _failed(str(error))
        except OSError as error:
            return _failed(error.strerror or str(error))

    async def _check(self, step: DuckDbStep, context: StepContext) -> StepResult:
        found = await self._damage_in(step.object, step.command, context)
        if found:
            self._findings[step.object] = found
        self._checked += 1
        return check_result([found] if found else [])

    async def _damage_in(self, table: str, command: str, context: StepContext) -> str:
        """Why a table cannot be read; "" if it can. Raises duckdb.Error, StoppedError."""
        try:
            await self._connection.rows(command, cancel=context.cancel, report=context.report)
        except duckdb.Error as error:
            if not is_damage(error):
                raise
            await self._connection.reopen()  # after some errors DuckDB gives no more answers
            return f"{table} cannot be read: {reason_of(error)}"
        return ""

    async def _damage(self, context: StepContext) -> str:
        """What damage of a table made a command fail; "" for none. A command that writes may fail in the same way for
        another reason, such as a full disk: so all tables are read."""
        with suppress(duckdb.Error, StoppedError):
            await self._connection.reopen()
            for table in self._contents.tables:
                command = HASHES.format(table=table.quoted(self._contents.name))
                if found := await self._damage_in(table.shown, command, context):
                    return found
        return ""

    async def _compact(self, context: StepContext) -> StepResult:
        path, key = self._connection.path, files.key_of(self._connection.path)
        with copying.workshop(path, str(Path(path).parent)) as copy:
            await copying.make_compact(self._connection, self._contents, copy, context.cancel, context.report)
            did: Facts = {REPLACED_FILE: key, FILE: files.key_of(copy)}
            effect: Facts = {**did, SIZE_BEFORE: file_size(path)}
            context.save_recovery_data(effect)
            await context.store_results()  # this process may die once the copy is in place
            if context.cancel.is_set():
                raise StoppedError
            await copying.put_in_place(self._connection, key, copy)
            self._did = did
            with suppress(duckdb.Error):  # another process may have it open by now
                await self._connection.reopen()
        return StepResult(status=Status.COMPLETED, effect=effect)

    async def _backup(self, step: DuckDbStep, context: StepContext) -> StepResult:
        path = self._connection.path
        with copying.workshop(path, str(Path(step.destination).parent)) as copy:
            await copying.make_identical(self._connection, self._contents, copy, context.cancel, context.report)
            if context.cancel.is_set():
                raise StoppedError
            size = await in_thread(lambda: copying.give_name(path, copy, step.destination))
        self._did = {"backup": step.destination, "backup_size": size, "backup_checked": True}
        return StepResult(status=Status.COMPLETED, effect=self._did)


def _failed(why: str, met_damage: str = "") -> StepResult:
    return StepResult(
        status=Status.FAILED, reason=Reason.OPERATION_ERROR, error=why, left=NOTHING_CHANGED, met_damage=met_damage
    )
