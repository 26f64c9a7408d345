"""The steps of a check: integrity_check or quick_check, and foreign_key_check."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from engine.domain.steps import MAX_FINDINGS, WHOLE
from engine.targets.check_results import check_result
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_damage, is_mismatch, is_missing_code
from engine.targets.sqlite.connection.names import literal
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.virtual import is_contentless, made_with
from engine.targets.sqlite.running.check_findings import (
    Findings,
    indexes_with_other_rows,
    parse_findings,
    parse_orphans,
    sentences_of,
    unverified,
)
from engine.targets.sqlite.running.damage_location import (
    OWNERS,
    SCHEMA_PAGE,
    DamagedPlace,
    Tree,
    locate,
    names_a_page,
    pages_without_tree,
)
from engine.targets.sqlite.running.lost_rows import LAST_TRACE, Comparison, comparisons, unchecked_pages
from engine.targets.sqlite.running.work import Work
from engine.targets.step_execution import StepResult

MANY_FINDINGS: Final = 100_000
"""Enough findings to show whether all damage is in one page: one wrong byte can cause a hundred."""


async def check(work: Work) -> StepResult:
    """Run the commands of a check. Where a full check stops at an error, a quick one may get further."""
    found, error = Findings(), None
    commands, course, before = work.step.commands or (work.step.command,), work.step.course, work.connection.opcodes
    async with work.progress_reports():
        for number, command in enumerate(commands, 1):
            part, problem = await _run_check(work, command)
            found, error = found + part, error or problem
            if len(course) == len(commands) + 1:  # of small tables SQLite counts no opcodes
                work.connection.opcodes = max(work.connection.opcodes, before + round(course[number][0]))
    if not found.sentences and error is None and work.step.object == WHOLE and not work.step.commands:
        found += await _unchecked_pages(work)
    found = await _with_comparisons(work, found)
    if error is None or is_damage(error):
        return _result(work, found)
    if not found.sentences:
        raise error
    result = _result(work, found)
    why = explain(error, work.lock_timeout)
    return replace(result, error=f"{why}. Also found: {result.error}", error_is_finding=False)


async def _unchecked_pages(work: Work) -> Findings:
    count = partial(unchecked_pages, check=work.step.command, file=work.file)
    pages = await work.run_when_free(count)
    return Findings(sentences=(pages,), damage=pages) if pages else Findings()


async def _with_comparisons(work: Work, findings: Findings) -> Findings:
    """The findings with what indexes hold beside their tables. An index that holds more is not to be rebuilt."""
    for index in indexes_with_other_rows(findings):
        try:
            comparison = await _compared(work, index)
        except sqlite3.Error as error:  # locked or cancelled: what the check found counts all the same
            comparison = error
        if isinstance(comparison, Comparison) and not comparison.is_surplus:
            findings = replace(findings, counts=(*findings.counts, str(comparison)))
        elif comparison is not None:
            differs = isinstance(comparison, Comparison)
            text = str(comparison) if differs else f"index {index} was not compared with its table: {comparison}"
            findings = findings.without_index(index, because=f"{text}; {LAST_TRACE}")
    return findings


async def _compared(work: Work, index: str) -> Comparison | sqlite3.Error | None:
    """None for an index whose name is no text: all indexes are rebuilt at once."""
    compare = partial(comparisons, is_wanted=index.__eq__, values=True)
    return next(iter(await work.run_when_free(compare)), None)


async def _run_check(work: Work, command: str) -> tuple[Findings, sqlite3.Error | None]:
    """The findings of one command, and the error that ended it, if any: damage, or a missing function or collation."""
    rows, error = await _check_rows(work, command)
    last_rows, last_error, limit = rows, error, MAX_FINDINGS
    quick = command.replace("integrity_check", "quick_check", 1)
    if len(sentences_of(rows)) >= MAX_FINDINGS and not quick.endswith(")") and any(map(_names_a_page, rows)):
        limit = MANY_FINDINGS
        last_rows, last_error = await _check_rows(work, f"{quick}({limit})")
    elif error is not None and quick != command:
        last_rows, last_error = await _check_rows(work, quick)
    places = await _locate(work, (*sentences_of(rows), *sentences_of(last_rows)))
    found = parse_findings(rows, places)
    if last_rows is not rows:
        more = parse_findings(last_rows, places)
        found += replace(more, sentences=more.sentences[:MAX_FINDINGS], complete=True)
    damage = next((one for one in (error, last_error) if one is not None and is_damage(one)), None)
    if damage is not None:
        found += Findings(sentences=(f"the database cannot be read: {damage}",))
    if found.damage is None and places and last_error is None and len(sentences_of(last_rows)) < limit:
        found = replace(found, only_indexes=True)
    elif found.damage is None and (places or damage is not None):  # the part not reached may be worse
        found = replace(found, damage=next((place.sentence for place in places.values()), str(damage)))
    return replace(found, complete=found.complete and error is None), error


def _names_a_page(row: Sequence[Any]) -> bool:
    return any(map(names_a_page, sentences_of([row])))


async def _check_rows(work: Work, command: str) -> tuple[Sequence[Sequence[Any]], sqlite3.Error | None]:
    """The rows of `command` up to its end, or up to the error that ended it."""
    rows: list[tuple[str]] = []

    async def attempt() -> None:
        rows.clear()
        with statement.texts_noted(work.connection.aio, lambda text: rows.append((text,))):
            await work.rows(command)

    error: sqlite3.Error | None = None
    try:
        await statement.retry_while_locked(attempt, work.begin())
    except sqlite3.Error as raised:
        if not is_damage(raised) and not is_missing_code(raised):
            raise
        error = raised
    return await without_contentless(work.rows, rows), error


async def _locate(work: Work, sentences: Sequence[str]) -> dict[str, DamagedPlace]:
    """The table or index of each finding; empty where the file is too damaged to find out."""
    if not any(map(names_a_page, sentences)):
        return {}
    try:
        trees = {root: Tree(name, bool(is_index)) for root, is_index, name in await work.rows(query("trees"))}
        trees[SCHEMA_PAGE] = Tree("sqlite_schema", is_index=False)
        owners: dict[int, Tree] = {}
        if pages := pages_without_tree(sentences):
            by_name = {tree.name: tree for tree in trees.values()}
            found = await work.rows(OWNERS.format(",".join(map(str, pages))))
            owners = {page: by_name[name] for page, name in found if name in by_name}
    except sqlite3.Error:
        if work.cancel.is_set():
            raise
        return {}
    return locate(sentences, trees, owners)


async def without_contentless(
    read: Callable[[str], Awaitable[list[Any]]], rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]]:
    """The rows of a check without those about contentless full-text indexes, which SQLite cannot verify."""
    reported = unverified(rows)
    if not reported:
        return rows
    contentless = {
        name for name, sql in made_with(frozenset({"fts4"}), await read(query("virtual_tables"))) if is_contentless(sql)
    }
    dropped = {text for name, text in reported.items() if name in contentless}
    return [row for row in rows if row[0] not in dropped]


async def foreign_keys(work: Work) -> StepResult:
    """Check all foreign keys. SQLite stops at a key that does not fit its parent table: then check table by table."""
    async with work.progress_reports():
        try:
            return _result(work, await _orphans(work, work.step.command))
        except sqlite3.Error as error:
            if not is_mismatch(error):
                raise
        found = Findings()
        for table, _ in await work.rows(query("foreign_keys")):
            try:
                found += await _orphans(work, f"{work.step.command}({literal(table)})")
            except sqlite3.Error as error:
                if not is_mismatch(error):
                    raise
                mismatch = f"a foreign key of {table} can never hold: {error}"
                found += Findings(sentences=(mismatch,), broken_rule=mismatch)
    return _result(work, found)


async def _orphans(work: Work, command: str) -> Findings:
    try:
        return parse_orphans(await work.rows_when_free(command))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return Findings(sentences=(f"foreign keys cannot be checked: {error}",), unreadable=str(error), complete=False)


def _result(work: Work, found: Findings) -> StepResult:
    work.findings = found
    return replace(check_result(found.sentences), warnings=found.counts)
