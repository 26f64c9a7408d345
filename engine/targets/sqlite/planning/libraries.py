"""Which steps the bundled SQLite library runs, and what can be done where a collation or function is missing that only
the application has.

Of the latter SQLite is asked, by EXPLAIN, which prepares a statement and runs nothing of it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from engine.domain.humanize import listed
from engine.domain.requests import CheckLevel, SqliteLibrary
from engine.targets.plans import OperationPlan
from engine.targets.sqlite.connection.bundled import Library
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.planning.check_steps import IGNORE_CHECKS, WITH_CHECKS, Part, check_command
from engine.targets.sqlite.planning.steps import REBUILDING, SqliteStep
from engine.targets.sqlite.reading.catalog import Table
from engine.targets.sqlite.reading.reader import Reader

NOT_INSTALLED: Final = (
    "the package apsw, which brings the bundled SQLite, is not installed"
    " (pip install '.[bundled]' in the directory of its source)"
)
OVERWRITES_NOTHING: Final = (
    "the bundled SQLite does not overwrite deleted data with zeros; that of the system does (secure_delete)"
)


def by_bundled(
    plan: OperationPlan,
    bundled: Library,
    system: Library,
    settings: Sequence[str],
    computed: Collection[str],
    *,
    overwrites_deleted: bool,
) -> OperationPlan:
    """The plan, with the steps that rebuild indexes run by the bundled library.

    `settings`: commands that set up its connection as those of the system are. `computed`: see that query.
    `overwrites_deleted`: whether the system's library overwrites deleted data with zeros.
    """
    staying = frozenset(computed)
    steps = [
        replace(step, library=SqliteLibrary.BUNDLED, settings=(*settings, *step.settings))
        if isinstance(step, SqliteStep) and step.method in REBUILDING and not _objects(step, staying)
        else step
        for step in plan.steps
    ]
    if not any(isinstance(step, SqliteStep) and step.library is SqliteLibrary.BUNDLED for step in steps):
        why = "every index has a WHERE, or is on expressions or generated columns, which it may compute differently"
        return replace(plan, warnings=(*plan.warnings, f"the bundled SQLite rebuilds nothing: {why}"))
    reason = f"SQLite {bundled.version} of apsw instead of {system.version} of the system"
    if left := sorted(name for step in plan.steps for name in _objects(step, staying)):
        reason += f", but not for {listed(left)}: a WHERE, an expression or a generated column may differ there"
    warnings = plan.warnings
    if overwrites_deleted and "SECURE_DELETE" not in bundled.options:
        warnings += (OVERWRITES_NOTHING,)
    return replace(plan, steps=tuple(steps), warnings=warnings, settings_reason=reason)


def _objects(step: object, computed: frozenset[str]) -> frozenset[str]:
    """The computed indexes that a step rebuilds; one that names none rebuilds all."""
    if not isinstance(step, SqliteStep) or step.method not in REBUILDING:
        return frozenset()
    named = frozenset(step.all_objects)
    return computed if step.command == "REINDEX" else computed & named


WOULD_OPTIMIZE: Final = "PRAGMA main.optimize=0x10013"
"""Lists the statements that optimize would run, and runs none."""


async def parts_to_check(reader: Reader, tables: Sequence[Table], level: CheckLevel) -> list[Part]:
    """The most that can be checked of each table, and of the pages of the whole file; none where all of it can be."""
    if await reader.missing_code(check_command(level)) is None:
        return []
    levels = [CheckLevel.FULL, CheckLevel.QUICK] if level is CheckLevel.FULL else [CheckLevel.QUICK]
    parts = [await _part(reader, table, levels) for table in tables]
    whole = await _part(reader, None, [CheckLevel.QUICK])
    return parts if whole.level is None else [*parts, whole]


async def _part(reader: Reader, table: Table | None, levels: Sequence[CheckLevel]) -> Part:
    problem = ""
    for constraints in (True, False):
        await reader.rows(WITH_CHECKS if constraints else IGNORE_CHECKS)
        try:
            for level in levels:
                missing = await reader.missing_code(check_command(level, table.name if table else None))
                if missing is None:
                    return Part(table=table, level=level, constraints=constraints, problem=problem)
                problem = problem or missing
        finally:
            await reader.rows(WITH_CHECKS)
    return Part(table=table, level=None, problem=problem)


async def cannot_be_analyzed(reader: Reader, tables: Sequence[Table]) -> dict[str, str]:
    """The tables whose ANALYZE would fail here, and why."""
    if await reader.missing_code("ANALYZE main") is None:
        return {}
    missing = [(table.name, await reader.missing_code(f"ANALYZE main.{quote(table.name)}")) for table in tables]
    return {name: why for name, why in missing if why is not None}


async def would_optimize(reader: Reader, tables: Sequence[Table]) -> list[Table]:
    """The tables that optimize would analyze."""
    if await reader.problem_with(WOULD_OPTIMIZE) is not None:
        return [t for t in tables if (t.indexes or t.without_rowid) and t.known_rows is None]
    statements = {str(statement).rstrip(";") for (statement,) in await reader.rows(WOULD_OPTIMIZE)}
    return [table for table in tables if f'ANALYZE "main".{quote(table.name)}' in statements]
