"""Measures the effect of an operation, before and after it, if that is cheap."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from engine.domain.effects import CheckResult
from engine.domain.requests import CheckLevel, Operation
from engine.domain.statuses import Status
from engine.domain.steps import FILE, MOST_DAMAGED_PAGES, REWRITTEN, SIZE_BEFORE, Facts
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.catalog import Summary
from engine.targets.sqlite.reading.reader import Reader
from engine.targets.sqlite.running.check_findings import Findings, remedy
from engine.targets.step_execution import StepResult, facts_with

ALWAYS_MEASURED: Final = 64_000_000
"""Bytes: the largest database whose indexes are measured before and after; takes some 20 ms."""


class Effects:
    """The facts before an operation, the results of its steps, and the difference."""

    def __init__(self, reader: Reader, operation: Operation) -> None:
        self.reader = reader
        self._operation = operation
        self._statistics: frozenset[tuple[Any, ...]] | None = None
        self._findings: Findings | None = None
        self._check_level = CheckLevel.FULL
        self._checks_left = 0
        self._backup: Facts = {}
        self._freed: Facts = {}
        self._of_vacuum: Facts = {}
        self._before: Facts | None = None

    def record(self, step: SqliteStep, result: StepResult, findings: Findings | None) -> None:
        """Take in the result of a step. `findings`: of a check, None of any other step."""
        if findings is not None:
            if self._findings is None:
                self._findings, self._check_level, self._checks_left = Findings(), step.check_level, step.checks
            self._findings += findings
            self._checks_left -= step.method is Method.CHECK
        if step.method is Method.COPY_CHECK and result.status is Status.COMPLETED:
            self._backup = result.effect or {}
        if step.method is Method.REMOVE_BACKUPS:
            self._backup = {**self._backup, **(result.effect or {})}
        if step.method is Method.INCREMENTAL:
            self._freed = result.effect or {}
        if step.method is Method.VACUUM and result.status is Status.COMPLETED:
            self._of_vacuum = {REWRITTEN: True}
        if step.method is Method.SWAP:
            self._of_vacuum = {name: fact for name, fact in (result.effect or {}).items() if name != SIZE_BEFORE}

    def begin(self, summary: Summary, measured: Facts) -> None:
        """Start with the facts that `measure` read with the plan. They hold until a step begins."""
        self._before = {**summary.facts, **measured}

    def step_begins(self) -> None:
        self._before = None

    async def facts(self) -> Facts:
        """The current facts, with those of the steps. Raises TargetError, unless a check has found something out."""
        before, self._before = self._before, None
        did = self._of_steps()
        found = did if self._findings is not None else {}
        return {**await facts_with(self._read(before), found), **did, FILE: self.reader.opened.key}

    async def _read(self, before: Facts | None) -> Facts:
        if before is None:
            summary, measured = await self.reader.summary_and(self.measure)
            before = {**summary.facts, **measured}
        if self._operation is not Operation.FTS_OPTIMIZE:
            return before
        segments = (await self.reader.fts_segments()).values()
        return {**before, "fts_segments": sum(known.number for known in segments if known is not None)}

    def measure(self, connection: sqlite3.Connection, summary: Summary) -> Facts:
        match self._operation:
            case Operation.REINDEX:
                return _index_size(connection, summary)
            case Operation.ANALYZE | Operation.OPTIMIZE:
                return self._statistics_facts(connection)
            case _:
                return {}

    def _of_steps(self) -> Facts:
        match self._operation:
            case Operation.VACUUM:
                return self._of_vacuum
            case Operation.CHECK if self._findings is not None:
                return self._result_of_check(self._findings).facts()
            case Operation.BACKUP:
                return self._backup
            case Operation.INCREMENTAL_VACUUM:
                return self._freed
            case _:
                return {}

    def _result_of_check(self, found: Findings) -> CheckResult:
        return CheckResult(
            findings=len(found.sentences),
            level=self._check_level,
            complete=found.complete and not self._checks_left,
            damage=found.lost,
            broken_rule=found.broken_rule,
            remedy=remedy(found),
            damaged_indexes=found.indexes,
            damaged_pages=found.pages[:MOST_DAMAGED_PAGES],
            orphans=found.orphans,
        )

    def _statistics_facts(self, connection: sqlite3.Connection) -> Facts:
        has_any = connection.execute(query("has_statistics")).fetchall()
        now = frozenset(connection.execute(query("statistics")).fetchall() if has_any else ())
        before, self._statistics = self._statistics, now
        changed = {} if before is None else {"changed_stat_rows": len({row[:2] for row in before ^ now})}
        return {"stat_rows": len(now), **changed}


def _index_size(connection: sqlite3.Connection, summary: Summary) -> Facts:
    """The bytes of all indexes, if they are quick to find."""
    if summary.size > ALWAYS_MEASURED or not catalog.has_dbstat():
        return {}
    try:
        are_few = summary.indexes <= catalog.FEW_INDEXES
        asked = query("bytes_of_few_indexes" if are_few else "index_bytes")
        ((size,),) = connection.execute(asked).fetchall()
    except sqlite3.Error:  # damaged, or locked: the operation itself will tell
        return {}
    return {"index_size": int(size)}
