"""One connection to a SQLite file: look, plan, execute."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from engine.errors import UsageError
from engine.jobs import EngineName, Facts, Operation, Options, Reason, Status
from engine.targets.base import OperationPlan, StepContext, StepResult, TargetInfo
from engine.targets.sqlite import catalog, copying, execution, offer, plans, preflight, statement
from engine.targets.sqlite.advice import advise
from engine.targets.sqlite.catalog import Summary, Table
from engine.targets.sqlite.checking import Findings, findings_of
from engine.targets.sqlite.courtesy import Courtesy
from engine.targets.sqlite.errors import explain, is_busy, is_interrupt, reading_error
from engine.targets.sqlite.execution import Work
from engine.targets.sqlite.files import file_size, temporary_directory
from engine.targets.sqlite.holders import in_use
from engine.targets.sqlite.metered import MeteredConnection
from engine.targets.sqlite.names import connection_uri, quote, target_url
from engine.targets.sqlite.shape import read_tables, with_rows
from engine.targets.sqlite.space import shortfalls
from engine.targets.sqlite.steps import Method, SqliteStep
from engine.targets.sqlite.survey import survey

if TYPE_CHECKING:
    from engine.advice import Advice, Past
    from engine.targets.base import PlannedStep

ALWAYS_MEASURED: Final = 64_000_000
"""Bytes of database whose every page may be looked at before and after: some 20 ms."""
WRITING: Final = frozenset({Method.TRANSACTION, Method.VACUUM, Method.INCREMENTAL, Method.MERGE})


class SqliteSession:
    """The `Session` of a SQLite file; see engine.targets.base."""

    def __init__(self, connection: MeteredConnection, path: str, lock_timeout: float, *, writing: bool) -> None:
        self._connection = connection
        self._path = path
        self._lock_timeout = lock_timeout
        self._writing = writing
        self._idle = [connection]
        self._extra: list[MeteredConnection] = []
        self._courtesy = Courtesy(path)
        self._is_wal = False
        self._checked = False
        self._found = Findings()
        self._options = Options()
        self._statistics: frozenset[Any] | None = None
        self._indexes: frozenset[str] = frozenset()
        self._backup: Facts = {}
        self._unfinished_copy = ""

    async def close(self) -> None:
        """Close what was opened besides the connection of this session, and leave no unfinished copy behind."""
        for connection in self._extra:
            await connection.close()
        if self._unfinished_copy:
            copying.discard(self._unfinished_copy)

    # Looks

    async def facts(self, operation: Operation | None = None) -> Facts:
        summary = await self._summary()
        return {**_summary_facts(summary), **await self._facts_of(operation, summary)}

    async def info(self) -> TargetInfo:
        summary = await self._summary()
        return TargetInfo(
            url=target_url(self._path),
            engine=EngineName.SQLITE,
            version=sqlite3.sqlite_version,
            facts=_summary_facts(summary),
            operations=offer.operation_infos(wal=summary.is_wal),
        )

    async def advise(self, past: Past, *, budget: float | None) -> tuple[Advice, ...]:
        try:
            condition = await survey(self._connection.aio, self._path, budget=budget, lock_timeout=self._lock_timeout)
        except sqlite3.Error as error:
            raise reading_error(self._path, error, self._lock_timeout, in_use(self._path)) from error
        return advise(condition, past)

    async def remarks(self, operations: Sequence[Operation]) -> tuple[str, ...]:
        others = in_use(self._path)
        return (*offer.remarks(operations), *([f"in use: {others}"] if others else []))

    async def _summary(self) -> Summary:
        ((pages, page_size, free_pages, journal_mode, auto_vacuum, tables, indexes),) = await self._read(
            catalog.SUMMARY
        )
        return Summary(
            size=file_size(self._path),
            wal_size=file_size(self._path + "-wal"),
            pages=pages,
            page_size=page_size,
            free_pages=free_pages,
            journal_mode=journal_mode,
            auto_vacuum=auto_vacuum,
            tables=tables,
            indexes=indexes,
        )

    async def _facts_of(self, operation: Operation | None, summary: Summary) -> Facts:
        """What an operation changes, as far as it can be had in no time."""
        match operation:
            case Operation.VACUUM:
                return await self._measured("unused", catalog.UNUSED_BYTES, summary)
            case Operation.REINDEX:
                return await self._measured("index_size", catalog.INDEX_BYTES, summary)
            case Operation.ANALYZE | Operation.OPTIMIZE:
                return await self._statistics_facts()
            case Operation.CHECK if self._checked:
                return {
                    "findings": len(self._found.sentences),
                    "damaged_indexes": self._found.indexes,
                    "damage": self._found.damage,
                    "level": self._options.check_level,
                }
            case Operation.FTS_OPTIMIZE:
                return {"fts_segments": sum((await self._fts_segments()).values())}
            case Operation.BACKUP:
                return self._backup
            case _:
                return {}

    async def _measured(self, name: str, sql: str, summary: Summary) -> Facts:
        if summary.size > ALWAYS_MEASURED or not await self._read(catalog.HAS_DBSTAT):
            return {}
        try:
            ((value,),) = await statement.rows_of(self._connection.aio, sql)
        except sqlite3.Error:  # damaged, or locked: the operation itself will tell
            return {}
        return {name: value}

    async def _statistics_facts(self) -> Facts:
        rows = await self._read(catalog.STATISTICS) if await self._read(catalog.HAS_STATISTICS) else []
        now = frozenset(map(tuple, rows))
        before, self._statistics = self._statistics, now
        changed = {} if before is None else {"changed_stat_rows": len({row[:2] for row in before ^ now})}
        return {"stat_rows": len(rows), **changed}

    async def _fts_segments(self) -> dict[str, int]:
        """The segments of each full-text index; one whose tables cannot be read is left out."""
        segments: dict[str, int] = {}
        for name, _ in await self._read(catalog.FTS5_TABLES):
            with contextlib.suppress(sqlite3.Error):
                ((number,),) = await statement.rows_of(
                    self._connection.aio, f"SELECT count(DISTINCT segid) FROM main.{quote(name + '_idx')}"
                )
                segments[name] = number
        return segments

    # Plans

    async def plan(self, operation: Operation, options: Options) -> OperationPlan:
        summary = await self._summary()
        self._options, self._is_wal = options, summary.is_wal
        match operation:
            case Operation.VACUUM:
                plan = await self._plan_vacuum(summary)
            case Operation.ANALYZE:
                tables = await self._tables(options.objects)
                plan = _plan(operation, plans.analyze_steps(tables, wal=summary.is_wal, limit=options.analysis_limit))
            case Operation.REINDEX:
                tables = await self._tables(options.objects)
                indexes = plans.named_indexes(tables, options.objects)
                plan = _plan(operation, plans.reindex_steps(indexes, summary, self._path))
            case Operation.OPTIMIZE:
                plan = _plan(operation, plans.optimize_steps(await self._tables(), wal=summary.is_wal))
            case Operation.CHECK:
                plan = await self._plan_check(summary, options)
            case Operation.CHECKPOINT if not summary.is_wal:
                why = f"the journal mode is {summary.journal_mode}: there is no write-ahead log to write back"
                return OperationPlan(operation=operation, not_needed=why)
            case Operation.CHECKPOINT:
                plan = _plan(operation, plans.checkpoint_steps(summary))
            case Operation.INCREMENTAL_VACUUM if summary.auto_vacuum != catalog.INCREMENTAL:
                why = "auto_vacuum is not incremental, so pages cannot be given back one by one: VACUUM can do it"
                return OperationPlan(operation=operation, not_needed=why)
            case Operation.INCREMENTAL_VACUUM if not summary.free_pages:
                return OperationPlan(operation=operation, not_needed="no page is free")
            case Operation.INCREMENTAL_VACUUM:
                plan = _plan(operation, plans.incremental_vacuum_steps(summary))
            case Operation.FTS_OPTIMIZE:
                segments = await self._fts_segments()
                if not segments:
                    return OperationPlan(operation=operation, not_needed="there is no full-text index (FTS5)")
                plan = _plan(operation, plans.fts_optimize_steps(segments, summary))
            case Operation.BACKUP:
                plan = self._plan_backup(summary, options)
            case _:
                raise UsageError(str(operation), "SQLite has no such operation")
        return self._with_space(plan, options)

    async def _plan_vacuum(self, summary: Summary) -> OperationPlan:
        lost = preflight.lossy_schema([name for (name,) in await self._read(catalog.LOST_BY_VACUUM)])
        refused = lost or preflight.missing_collations(await self._read(catalog.MISSING_COLLATIONS))
        if refused is not None:
            return OperationPlan(operation=Operation.VACUUM, refused=refused)
        renumbered = preflight.renumbered(
            [name for (name,) in await self._read(catalog.RENUMBERED_BY_VACUUM)],
            await self._read(catalog.VIEWS_AND_TRIGGERS),
            await self._read(catalog.FTS5_TABLES),
        )
        steps = plans.vacuum_steps(
            summary, self._path, temporary_directory=temporary_directory(), fts_to_rebuild=renumbered.rebuild
        )
        return replace(_plan(Operation.VACUUM, steps), warnings=renumbered.warnings)

    async def _plan_check(self, summary: Summary, options: Options) -> OperationPlan:
        tables = await self._tables(options.objects)
        parallel = options.jobs or 2
        steps = plans.check_steps(
            tables,
            summary,
            options.check_level,
            named=bool(options.objects),
            in_parts=summary.size >= plans.CHECKED_IN_PARTS or bool(options.jobs),
        )
        return replace(_plan(Operation.CHECK, steps), parallel=parallel if len(steps) > 2 else 1)

    def _plan_backup(self, summary: Summary, options: Options) -> OperationPlan:
        destination = copying.destination(self._path, options.backup_to, datetime.now(UTC).date())
        if problem := copying.problem_with(destination):
            return OperationPlan(operation=Operation.BACKUP, refused=problem)
        return _plan(Operation.BACKUP, plans.backup_steps(summary, destination, copying.unfinished(destination)))

    async def _tables(self, objects: Sequence[str] = ()) -> list[Table]:
        """All tables, or those that were asked for, with their rows. Raises UsageError for one that is not there."""
        tables = await read_tables(self._read)
        self._indexes = frozenset(index.name for table in tables for index in table.indexes)
        if objects:
            tables, unknown = plans.named_tables(tables, objects)
            if unknown:
                raise UsageError(preflight.some(unknown), "is no table or index of the database", "check the name")
        return await with_rows(self._connection.aio, tables)

    def _with_space(self, plan: OperationPlan, options: Options) -> OperationPlan:
        """The plan, refused where the disk has no room for it; with `force` that is a warning."""
        problems = [problem for step in plan.steps for problem in _space_problems(step)]
        if not problems:
            return plan
        if options.force:
            return replace(plan, warnings=(*plan.warnings, *problems))
        hint = "Free some space, or go on with --force: a full disk does the data no harm"
        return replace(plan, steps=(), refused=f"{'; '.join(problems)}. {hint}")

    # Execution

    async def execute(self, step: PlannedStep, context: StepContext) -> StepResult:
        assert isinstance(step, SqliteStep), "a step of another engine"  # noqa: S101 - a bug of ours
        if not self._options.force and (problems := _space_problems(step)):
            return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error="; ".join(problems))
        try:
            await self._courtesy.give_way(context.cancel)
            if context.cancel.is_set():
                return StepResult(status=Status.CANCELLED)
            async with self._a_connection() as connection:
                await connection.set_up(step.settings)
                with self._courtesy.holding(step.method in WRITING):
                    return await self._carry_out(step, connection, context)
        except sqlite3.Error as error:
            return await self._failure(error, step, context)

    async def _carry_out(self, step: SqliteStep, connection: MeteredConnection, context: StepContext) -> StepResult:
        work = Work(
            connection=connection,
            path=self._path,
            step=step,
            context=context,
            lock_timeout=self._courtesy.patience(self._lock_timeout),
            is_wal=self._is_wal,
            indexes=self._indexes,
            found=Findings(),
        )
        if step.method is Method.COPY:
            self._unfinished_copy = step.destination
        result = await execution.METHODS[step.method](work)
        if step.method in {Method.CHECK, Method.FOREIGN_KEYS}:
            self._checked = True
            self._found += work.found
        if step.method is Method.COPY_CHECK and result.status is Status.COMPLETED:
            self._backup, self._unfinished_copy = result.effect or {}, ""
        return result

    async def _failure(self, error: sqlite3.Error, step: SqliteStep, context: StepContext) -> StepResult:
        if step.method in WRITING:
            await self._tidy_log()
        # One that still waited for its lock when it was cancelled has done nothing either.
        if context.cancel.is_set() and (is_interrupt(error) or is_busy(error)):
            return StepResult(status=Status.CANCELLED)
        sentence = explain(error, self._lock_timeout, in_use(self._path))
        if not is_busy(error):
            return StepResult(status=Status.FAILED, error=sentence)
        self._courtesy.was_busy()
        return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=sentence)

    async def _tidy_log(self) -> None:
        """What was rolled back has left a long write-ahead log behind."""
        with contextlib.suppress(sqlite3.Error):
            if file_size(self._path + "-wal"):
                await statement.rows_of(self._connection.aio, plans.CHECKPOINT)

    @contextlib.asynccontextmanager
    async def _a_connection(self) -> AsyncIterator[MeteredConnection]:
        """One that no other step uses: steps may run at once."""
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = await MeteredConnection.open(
                connection_uri(self._path, writing=self._writing), self._lock_timeout
            )
            self._extra.append(connection)
        try:
            yield connection
        finally:
            self._idle.append(connection)

    async def recover(self, context: StepContext) -> StepResult:
        for name in await asyncio.to_thread(copying.leftovers, self._path):
            copying.discard(name)
        try:
            rows = await statement.fetch_all(self._connection.aio, "PRAGMA main.quick_check", context.cancel)
        except sqlite3.Error as error:
            return StepResult(status=Status.FAILED, error=explain(error, self._lock_timeout))
        await self._tidy_log()
        found = findings_of(rows, ()).sentences
        if not found:
            return StepResult(status=Status.COMPLETED)
        return StepResult(status=Status.FAILED, error=f"a quick check found damage: {found[0]}", findings=found)

    async def _read(self, sql: str) -> list[Any]:
        try:
            return await statement.read(self._connection.aio, sql, self._lock_timeout)
        except sqlite3.Error as error:
            raise reading_error(self._path, error, self._lock_timeout, in_use(self._path)) from error


def _summary_facts(summary: Summary) -> Mapping[str, Any]:
    return {name: value for name, value in asdict(summary).items() if name != "auto_vacuum"}


def _plan(operation: Operation, steps: Sequence[SqliteStep]) -> OperationPlan:
    return OperationPlan(operation=operation, steps=tuple(steps))


def _space_problems(step: PlannedStep) -> list[str]:
    return shortfalls(step.needs) if isinstance(step, SqliteStep) else []
