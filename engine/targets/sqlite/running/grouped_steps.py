"""Steps for many small tables or indexes: one transaction, split into smaller ones where an object fails."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from engine.domain.humanize import listed
from engine.domain.statuses import Status
from engine.domain.steps import Facts
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_damage, is_of_object
from engine.targets.sqlite.connection.names import literal
from engine.targets.sqlite.planning import operation_steps
from engine.targets.sqlite.queries import query
from engine.targets.step_execution import StepResult

if TYPE_CHECKING:
    from engine.targets.sqlite.running.work import Work

_ANALYZE: Final = "ANALYZE main"
_TO_ANALYZE: Final = re.compile(r'ANALYZE "main"\."((?:[^"]|"")*)"', re.DOTALL)


async def run_grouped(work: Work) -> StepResult:
    """Run the commands of all objects."""
    commands = dict(zip(work.step.objects, work.step.commands, strict=True))

    async def run(objects: Sequence[str]) -> None:
        await work.in_transaction(*(commands[name] for name in objects))

    async with work.progress_reports():
        return await _by_halves(work, work.step.objects, run)


async def analyze(work: Work) -> StepResult:
    """Run one ANALYZE for the objects of the step, or for all tables where it names none."""
    async with work.progress_reports():
        return await _analyze(work)


async def _analyze(work: Work) -> StepResult:
    objects = work.step.objects
    if not objects:
        try:
            await work.in_transaction(_ANALYZE)
        except sqlite3.Error as error:
            if not is_of_object(error):
                raise
            objects = tuple(name for name, *_ in await work.rows(query("tables")))
        else:
            return StepResult(status=Status.COMPLETED)

    async def run(objects: Sequence[str]) -> None:
        async with work.transaction():
            await _analyze_only(work, objects)

    return await _by_halves(work, objects, run)


async def optimize(work: Work) -> StepResult:
    """Run PRAGMA optimize. Where it would analyze many tables, run one ANALYZE of the same tables with the same limit:
    optimize reads the statistics of all tables again after each one."""
    async with work.progress_reports(), work.transaction():
        rows = [str(sql) for (sql,) in await work.rows(operation_steps.OPTIMIZE_DRY)]
        found = [match for sql in rows if (match := _TO_ANALYZE.fullmatch(sql))]
        if (
            len(found) <= operation_steps.OPTIMIZED_AT_ONCE
            or len(found) < len(rows)
            or not await _all_can_be_named(work)
        ):
            await work.rows(work.step.command)
        else:
            ((btrees,),) = await work.rows(query("btrees"))
            await work.rows(f"PRAGMA analysis_limit = {operation_steps.optimize_limit(btrees)}")
            try:
                await _analyze_only(work, [match[1].replace('""', '"') for match in found])
            finally:
                await statement.short(work.connection.aio, "PRAGMA analysis_limit = 0")
    return StepResult(status=Status.COMPLETED)


async def _all_can_be_named(work: Work) -> bool:
    """Whether every table name is valid UTF-8: Python gets no other name."""
    try:
        return all(raw.decode() for (raw,) in await work.rows(query("names_as_bytes")) if raw)
    except UnicodeDecodeError:
        return False


async def _analyze_only(work: Work, tables: Collection[str]) -> None:
    """Run one ANALYZE that skips all other tables, and restore their statistics, which it removes. In a transaction."""
    kept = [name for (name,) in await work.rows(query("statistics_tables"))]
    others = f"tbl NOT IN ({', '.join(map(literal, tables))})"
    for name in kept:
        await work.rows(f"CREATE TEMP TABLE kept_{name} AS SELECT * FROM main.{name} WHERE ({others}) IS NOT FALSE")
    async with _skipping_all_but(work, frozenset(tables)):
        await work.rows(_ANALYZE)
    for name in kept:
        await work.rows(f"INSERT INTO main.{name} SELECT * FROM temp.kept_{name}")
        await work.rows(f"DROP TABLE temp.kept_{name}")


@asynccontextmanager
async def _skipping_all_but(work: Work, tables: frozenset[str]) -> AsyncIterator[None]:
    """SQLite asks the authorizer for each table, and skips those to ignore."""

    def authorize(action: int, table: str | None, *_: str | None) -> int:
        skipped = action == sqlite3.SQLITE_ANALYZE and table not in tables
        return sqlite3.SQLITE_IGNORE if skipped else sqlite3.SQLITE_OK

    await work.connection.aio.set_authorizer(authorize)
    try:
        yield
    finally:
        await work.connection.aio.set_authorizer(None)


async def _by_halves(work: Work, objects: Sequence[str], run: Callable[[Sequence[str]], Awaitable[None]]) -> StepResult:
    """Run all at once. Where one of the objects fails, halve until the failing object is known.

    Stop once damage is found.
    """
    waiting, done = [tuple(objects)], list[str]()
    failed: dict[str, list[str]] = {}
    while waiting and not work.found_damage:
        if work.cancel.is_set():
            return StepResult(status=Status.CANCELLED, effect=_effect(done))
        part = waiting.pop()
        try:
            await run(part)
        except sqlite3.Error as error:
            if not is_of_object(error):
                raise
            if len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            failed.setdefault(explain(error, work.lock_timeout), []).append(part[0])
            work.found_damage = is_damage(error)
        else:
            done += part
            work.partial_effect = f"{len(done):,} of {len(objects):,} done; they stay done"
    if not failed:
        return StepResult(status=Status.COMPLETED, effect=_effect(done))
    not_begun = sum(map(len, waiting))
    failures = "; ".join(f"{listed(names)}: {why}" for why, names in failed.items())
    rest = f"{len(done):,} done, {not_begun:,} not begun" if not_begun else f"The other {len(done):,} are done"
    met = next(reversed(failed)) if work.found_damage else ""
    text = f"{failures}. {rest}"
    return StepResult(status=Status.FAILED, error=text, effect=_effect(done), met_damage=met)


def _effect(done: Sequence[str]) -> Facts:
    return {"objects": tuple(done)}
