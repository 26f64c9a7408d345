"""One connection to a SQLite file: inspect and plan."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from engine.domain.advice import TargetHistory
from engine.domain.lazy_import import lazy
from engine.domain.requests import Operation, Options
from engine.domain.steps import FILE, Facts, Step
from engine.targets.plans import OperationPlan
from engine.targets.session import Recovery, Session
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain
from engine.targets.sqlite.connection.metered import OpenDatabase
from engine.targets.sqlite.connection.target_lock import TargetLock
from engine.targets.sqlite.inspection import SqliteInspection
from engine.targets.sqlite.planning import operation_specs, planner
from engine.targets.sqlite.reading.catalog import Summary
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.running.effects import Effects
from engine.targets.sqlite.running.operation import SqliteOperation, truncate_log
from engine.targets.sqlite.running.throttling import Contention, contention, in_use
from engine.targets.sqlite.system.files import last_change
from engine.targets.step_execution import StepContext

if TYPE_CHECKING:
    from engine.targets.sqlite.running import check_findings, checks
    from engine.targets.sqlite.system import copying
else:
    check_findings = lazy("engine.targets.sqlite.running.check_findings", "only a recovery needs it")
    checks = lazy("engine.targets.sqlite.running.checks", "only a recovery needs it")
    copying = lazy("engine.targets.sqlite.system.copying", "only a recovery needs it")

UNFINISHED: Final = "was rolled back"


class SqliteSession(SqliteInspection, Session):
    """The `Session` of a SQLite file; see engine.targets.session."""

    def __init__(self, database: OpenDatabase) -> None:
        super().__init__(database)
        self._state_read = None if database.connection.takes_locks else last_change(self._path)
        self._operations = contextlib.AsyncExitStack()
        self._lock = TargetLock(database.file, database.connection)
        self._others: str | None = None
        """Who else used the database when an operation was planned; None: not looked."""

    async def close(self) -> None:
        """Close the further connections of its operations, and let the lock go."""
        try:
            await self._operations.aclose()
        finally:
            self._lock.release()

    async def lock(self) -> tuple[str, ...]:
        return await self._lock.take(self._database.lock_timeout, self._database.blockers.report)

    async def facts(self, past: TargetHistory | None = None) -> Facts:
        return {**(await self._reader.summary()).facts, FILE: self._database.file.key}

    async def require(self, operations: Sequence[Operation], options: Options) -> None:
        """Raise UsageError for a name that is no table or index, or that an operation cannot work on."""
        if options.objects:
            await self._reader.require(options.objects)
            if Operation.REINDEX in operations:
                objects = options.objects_for(Operation.REINDEX)
                await planner.indexes_of(self._reader, await self._reader.tables_uncounted(), objects)

    async def plan(self, operation: Operation, options: Options, past: TargetHistory | None = None) -> SqliteOperation:
        effects = Effects(Reader(self._database), operation)

        def look(connection: sqlite3.Connection, summary: Summary) -> tuple[Facts, str, bool]:
            blocks = operation is Operation.CHECK and not summary.is_wal
            shared = blocks and contention(self._path) is Contention.OTHERS
            return effects.measure(connection, summary), in_use(self._path, self._lock.descriptor), shared

        commands, with_tables = planner.needs(operation, options)
        reader, summary, (measured, self._others, shared) = await self._reader.for_plan(
            look, commands=commands, with_tables=with_tables
        )
        effects.begin(summary, measured)
        plan = await planner.plan(reader, summary, operation, options, past, shared=shared)
        return self.running(plan, effects, past.damaged_pages if past is not None else ())

    def running(
        self, plan: OperationPlan, effects: Effects | None = None, damaged_pages: Collection[int] = ()
    ) -> SqliteOperation:
        """What runs the steps of a plan. It is closed with the session."""
        effects = effects or Effects(Reader(self._database), plan.operation)
        operation = SqliteOperation(
            plan, self._database, self._reader, effects, self._state_read, self._lock, damaged_pages
        )
        self._operations.push_async_callback(operation.close)
        return operation

    async def remarks(self, plans: Sequence[OperationPlan]) -> tuple[str, ...]:
        others = await self._reader.read(lambda _: in_use(self._path)) if self._others is None else self._others
        return (
            *self._as_opened,
            *operation_specs.remarks([one.operation for one in plans]),
            *([f"in use: {others}"] if others else []),
        )

    async def recover(self, earlier: Sequence[Step], options: Options, context: StepContext) -> Recovery:
        await asyncio.to_thread(copying.remove_leftovers, self._path, options.backup_to)
        database, connection = self._database, self._database.connection
        try:
            rows = await statement.retry_while_locked(
                lambda: statement.fetch_all(connection.aio, "PRAGMA main.quick_check", context.cancel),
                statement.LockWait(database.lock_timeout, context.cancel, database.blockers.describe),
            )
        except sqlite3.Error as error:
            why = explain(error, database.lock_timeout, await database.blockers.describe_last())
            return Recovery(unfinished=UNFINISHED, found=why, is_well=False)
        await truncate_log(connection, self._path)
        read = partial(statement.short, connection.aio)
        found = check_findings.parse_findings(await checks.without_contentless(read, rows)).sentences
        text = f"a quick check found damage: {found[0]}" if found else "a quick check found nothing wrong"
        return Recovery(unfinished=UNFINISHED, found=text, is_well=not found, is_damaged=bool(found))
