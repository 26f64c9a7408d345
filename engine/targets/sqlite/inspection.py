"""Inspects a SQLite file: facts and advice. A session adds planning and execution."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from engine.domain.advice import Advice, Measurement, TargetHistory
from engine.domain.engines import EngineName
from engine.domain.lazy_import import lazy
from engine.domain.requests import Operation
from engine.domain.thresholds import DEFAULT_THRESHOLDS, Thresholds
from engine.targets.operation_specs import TargetInfo, operation_infos
from engine.targets.session import Inspection
from engine.targets.sqlite.connection.metered import OpenDatabase
from engine.targets.sqlite.connection.names import target_url
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.planning.operation_specs import ROLLBACK_JOURNAL_LOCKS, SPECS
from engine.targets.sqlite.reading.catalog import Summary
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.system.files import state_of, why_read_only

if TYPE_CHECKING:
    from engine.domain.page_map import NotMapped, PageMap, ReadTimes
    from engine.targets.sqlite.advising import advice as advisor
    from engine.targets.sqlite.advising import collect, kept_measurements
    from engine.targets.sqlite.planning import obstacles
else:
    advisor = lazy("engine.targets.sqlite.advising.advice", "the console shows a database before its advice")
    collect = lazy("engine.targets.sqlite.advising.collect", "only advice needs it")
    kept_measurements = lazy("engine.targets.sqlite.advising.kept_measurements", "only advice needs it")
    obstacles = lazy("engine.targets.sqlite.planning.obstacles", "it imports all of planning")

ROLLED_BACK: Final = "opening the database rolled back the unfinished transaction of an earlier crash"


class SqliteInspection(Inspection):
    """The `Inspection` of a SQLite file; see engine.targets.session."""

    def __init__(self, database: OpenDatabase) -> None:
        self._database = database
        self._as_opened = (ROLLED_BACK,) if database.rolled_back else ()
        self._path = database.file.path
        self._reader = Reader(database)
        self._summary: Summary | None = None

    async def info(self, past: TargetHistory | None = None) -> TargetInfo:
        summary = self._summary = await self._reader.summary()
        return TargetInfo(
            url=target_url(self._path),
            engine=EngineName.SQLITE,
            version=sqlite3.sqlite_version,
            facts=summary.facts,
            operations=operation_infos(SPECS, {} if summary.is_wal else ROLLBACK_JOURNAL_LOCKS),
            remarks=self._as_opened,
            read_only=await asyncio.to_thread(why_read_only, self._path),
        )

    async def page_map(self) -> PageMap | NotMapped:
        return await self._reader.page_map()

    async def read_times(self) -> ReadTimes | None:
        return await self._reader.read_times()

    async def advise(
        self, past: TargetHistory, *, budget: float | None, limits: Thresholds = DEFAULT_THRESHOLDS
    ) -> tuple[tuple[Advice, ...], Measurement | None]:
        measured, summary = None, self._summary or await self._reader.summary()
        try:
            before = await asyncio.to_thread(state_of, self._path)
            is_known = past.measured is not None and past.measured.state == before != ""
            may_use_kept = is_known and budget is not None
            kept = kept_measurements.kept_in(past.measured.found) if past.measured and may_use_kept else None
            condition = await collect.survey(
                self._database.connection.aio,
                self._path,
                budget=budget,
                wait=LockWait(self._database.lock_timeout, waiting=self._database.blockers.describe),
                summary=summary,
                tables=await self._reader.tables_uncounted(),
                kept=kept,
            )
        except sqlite3.Error as error:
            raise await self._reader.error(error) from error
        if budget is None and before and before == await asyncio.to_thread(state_of, self._path):
            found = kept_measurements.found_in(condition)
            measured = None if found is None else Measurement(state=before, found=found)
        advice = advisor.advise(condition, past, limits)
        if needed := {item.operation for item in advice if item.is_needed}:
            many = [item.objects for item in advice if item.operation is Operation.REINDEX and item.is_needed]
            found_obstacles = await obstacles.find_obstacles(
                self._reader,
                needed,
                damaged=many[0] if many else (),
                full_text=advisor.many_segments(condition) if Operation.FTS_OPTIMIZE in needed else (),
            )
            advice = advisor.advise(replace(condition, obstacles=found_obstacles), past, limits)
        told = (
            replace(item, reason="; ".join([*self._as_opened, item.reason]))
            if item.operation is Operation.CHECK
            else item
            for item in advice
        )
        return tuple(told), measured
