"""What can be done of an operation where a collation or function is missing that only the application has.

SQLite is asked, by EXPLAIN, which prepares a statement and runs nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from engine.domain.requests import CheckLevel
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.planning.check_steps import IGNORE_CHECKS, WITH_CHECKS, Part, check_command
from engine.targets.sqlite.reading.catalog import Table
from engine.targets.sqlite.reading.reader import Reader

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
