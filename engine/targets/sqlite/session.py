"""One connection to a SQLite file: look, plan, execute."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.errors import TargetRefusedError, UsageError
from engine.jobs import EngineName, Facts, Operation, Status
from engine.targets.base import PlannedStep, StepResult, TargetInfo
from engine.targets.sqlite import catalog, plans
from engine.targets.sqlite.catalog import Index, Summary, Table
from engine.targets.sqlite.errors import explain, is_busy, is_interrupt, reading_error
from engine.targets.sqlite.files import file_size, shares_file_system_with_temporary_files
from engine.targets.sqlite.names import target_url
from engine.targets.sqlite.statement import busy_timeout, fetch_all, read, wait_for_exclusive_lock

if TYPE_CHECKING:
    import aiosqlite


class SqliteSession:
    """The `Session` of a SQLite file; see engine.targets.base."""

    def __init__(self, connection: aiosqlite.Connection, path: str, lock_timeout: float) -> None:
        self._connection = connection
        self._path = path
        self._lock_timeout = lock_timeout

    async def facts(self) -> Facts:
        return asdict(await self._summary())

    async def info(self) -> TargetInfo:
        summary = await self._summary()
        return TargetInfo(
            url=target_url(self._path),
            engine=EngineName.SQLITE,
            version=sqlite3.sqlite_version,
            facts=asdict(summary),
            operations=plans.operation_infos(summary.is_wal),
        )

    async def plan(self, operation: Operation) -> tuple[PlannedStep, ...]:
        summary = await self._summary()
        match operation:
            case Operation.VACUUM:
                await self._refuse_lossy_vacuum()
                shared = shares_file_system_with_temporary_files(self._path)
                return plans.vacuum_steps(summary, shared_file_system=shared)
            case Operation.ANALYZE:
                return plans.analyze_steps(await self._tables(), wal=summary.is_wal)
            case Operation.REINDEX:
                return plans.reindex_steps(await self._indexes(), wal=summary.is_wal)
            case Operation.OPTIMIZE:
                return plans.optimize_steps(await self._tables(), wal=summary.is_wal)
            case _:
                raise UsageError(str(operation), "SQLite has no such operation")

    async def execute(self, step: PlannedStep, cancel: asyncio.Event) -> StepResult:
        is_checkpoint = step.command == plans.CHECKPOINT
        try:
            if not is_checkpoint:  # which reports by itself what kept it waiting
                await wait_for_exclusive_lock(self._connection, self._lock_timeout, cancel)
            if cancel.is_set():
                return StepResult(status=Status.CANCELLED)
            async with busy_timeout(self._connection, self._lock_timeout):
                rows = await fetch_all(self._connection, step.command, cancel)
        except sqlite3.Error as error:
            # One that still waited for its lock when it was cancelled has done nothing either.
            if cancel.is_set() and (is_interrupt(error) or is_busy(error)):
                return StepResult(status=Status.CANCELLED)
            sentence = explain(error, self._lock_timeout)
            return StepResult(status=Status.FAILED, error=sentence, busy=is_busy(error))
        return checkpoint_result(rows[0]) if is_checkpoint else StepResult(status=Status.COMPLETED)

    async def _summary(self) -> Summary:
        ((pages, page_size, free_pages, journal_mode, tables, indexes),) = await self._read(catalog.SUMMARY)
        return Summary(
            size=file_size(self._path),
            wal_size=file_size(self._path + "-wal"),
            pages=pages,
            page_size=page_size,
            free_pages=free_pages,
            journal_mode=journal_mode,
            tables=tables,
            indexes=indexes,
        )

    async def _tables(self) -> list[Table]:
        has_statistics = await self._read(catalog.HAS_STATISTICS)
        rows = dict(await self._read(catalog.STATISTICS)) if has_statistics else {}
        return [Table(name, indexes, rows.get(name)) for name, indexes in await self._read(catalog.TABLES)]

    async def _indexes(self) -> list[Index]:
        return [Index(name, table, bool(automatic)) for name, table, automatic in await self._read(catalog.INDEXES)]

    async def _refuse_lossy_vacuum(self) -> None:
        if lost := await self._read(catalog.LOST_BY_VACUUM):
            names = ", ".join(repr(name) for (name,) in lost)
            raise TargetRefusedError(
                self._path,
                f"VACUUM would silently drop {names}: the schema entry does not start with CREATE",
                "recreate it with an ordinary CREATE statement first",
            )

    async def _read(self, sql: str) -> list[Any]:
        try:
            return await read(self._connection, sql, self._lock_timeout)
        except sqlite3.Error as error:
            raise reading_error(self._path, error, self._lock_timeout) from error


def checkpoint_result(row: Sequence[int]) -> StepResult:
    """What a TRUNCATE checkpoint achieved, from its row (busy, frames in the log, frames written back)."""
    busy, frames, written = row
    if not busy:
        return StepResult(status=Status.COMPLETED)
    return StepResult(
        status=Status.SKIPPED,
        error=f"{written} of {frames} frames of the log were written back: another connection still reads from it",
        warning="the file shrinks only when the other connection is done and a checkpoint has run",
    )
