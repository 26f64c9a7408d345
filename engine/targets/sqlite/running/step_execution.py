"""How a step is carried out, for each method.

Each function runs one step to its end and says what happened. It raises what SQLite raises.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from engine.domain.humanize import counted
from engine.domain.jobs import MAX_FINDINGS, Facts, Reason, Status, format_findings
from engine.targets.protocol import StepProgress, StepResult
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import explain, is_damage, is_mismatch, is_missing_code
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.names import connection_uri, literal
from engine.targets.sqlite.planning import operation_steps
from engine.targets.sqlite.planning.backup_steps import CHECK, KEEP_WAL
from engine.targets.sqlite.planning.steps import Method
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.virtual import is_contentless, made_with
from engine.targets.sqlite.running import grouped_steps
from engine.targets.sqlite.running.checking import Findings, findings_of, not_validated, orphans_of, sentences_of
from engine.targets.sqlite.running.locating import (
    OWNERS,
    SCHEMA_PAGE,
    TREES,
    Place,
    Tree,
    names_a_page,
    pages_alone,
    places,
)
from engine.targets.sqlite.running.sampling import progress_told
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system import copying
from engine.targets.sqlite.system.files import file_size
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy

MANY_FINDINGS: Final = 100_000
"""One byte out of place can make a hundred findings: that many tell whether all are in the same page."""
FEWEST_CHANGES: Final = 2
"""A merge that changes fewer rows had nothing to do."""


async def transaction(work: Work) -> StepResult:
    await work.in_transaction(work.step.command)
    return StepResult(status=Status.COMPLETED)


def telling(run: Callable[[Work], Awaitable[StepResult]]) -> Callable[[Work], Awaitable[StepResult]]:
    """The same, which tells meanwhile how far it is."""

    async def run_telling(work: Work) -> StepResult:
        async with progress_told(work.connection, work.path, work.step, work.context, is_wal=work.is_wal):
            return await run(work)

    return run_telling


async def vacuum(work: Work) -> StepResult:
    async with progress_told(work.connection, work.path, work.step, work.context, is_wal=work.is_wal):
        await work.rows_of_whole_copy()
    return StepResult(status=Status.COMPLETED)


async def checkpoint(work: Work) -> StepResult:
    """Try until nobody is in the way; SQLite tells that in a row, and raises nothing."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + work.lock_timeout
    before = file_size(work.path + "-wal")
    while True:
        step = replace(work.step, volume=before)
        async with progress_told(work.connection, work.path, step, work.context, is_wal=work.is_wal):
            ((busy, frames, written),) = await work.rows_when_free(work.step.command)
        if not busy:
            return StepResult(status=Status.COMPLETED, effect={"written_back": before})
        if work.cancel.is_set():
            return StepResult(status=Status.CANCELLED)
        if clock() >= deadline:
            break
        await work.tell_who_waits()
        await asyncio.sleep(0.1)
    return await _log_in_use(work, frames, written)


async def _log_in_use(work: Work, frames: int, written: int) -> StepResult:
    who = await work.others.at_last() or "another connection uses it"
    error = f"{_how_far(frames, written)}: {who}"
    if work.step.mandatory_follow_up:  # the work is done; only the log is still there
        return StepResult(
            status=Status.SKIPPED,
            error=error,
            warnings=(f"{work.step.reason}: that needs a checkpoint when the other connection is done",),
        )
    return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=error)


def _how_far(frames: int, written: int) -> str:
    """By the numbers that SQLite gives; it has none where it could not look."""
    if frames <= 0:
        return "the log could not be written back"
    if written < frames:
        return f"{max(written, 0):,} of {frames:,} frames of the log were written back"
    whole = "the one frame of the log was" if frames == 1 else f"all {frames:,} frames of the log were"
    return f"{whole} written back, but the log could not be cut"


async def check(work: Work) -> StepResult:
    """Where the full check does not get through, a quick one may: the full one never tells less."""
    found, error = Findings(), None
    async with progress_told(work.connection, work.path, work.step, work.context, is_wal=work.is_wal):
        for command in work.step.commands or (work.step.command,):
            part, problem = await _found_by(work, command)
            found, error = found + part, error or problem
    if error is None or is_damage(error):
        return _judged(work, found)
    if not found.sentences:
        raise error
    result = _judged(work, found)
    why = explain(error, work.lock_timeout)
    return replace(result, error=f"{why}. Besides: {result.error}", error_is_finding=False)


async def _found_by(work: Work, command: str) -> tuple[Findings, sqlite3.Error | None]:
    """What a check has found, up to the error that ended it, if one did: damage, or code that is missing here."""
    rows, error = await _rows_of(work, command)
    last, stopped, most = rows, error, MAX_FINDINGS
    quick = command.replace("integrity_check", "quick_check", 1)
    if len(sentences_of(rows)) >= MAX_FINDINGS and not quick.endswith(")") and any(map(_is_of_a_page, rows)):
        most = MANY_FINDINGS
        last, stopped = await _rows_of(work, f"{quick}({most})")
    elif error is not None and quick != command:
        last, stopped = await _rows_of(work, quick)
    where = await _places(work, (*sentences_of(rows), *sentences_of(last)))
    found = findings_of(rows, where)
    if last is not rows:
        more = findings_of(last, where)
        found += replace(more, sentences=more.sentences[:MAX_FINDINGS], complete=True)
    broken = next((one for one in (error, stopped) if one is not None and is_damage(one)), None)
    if broken is not None:
        found += Findings(sentences=(f"it cannot be read: {broken}",))
    if found.damage is None and where and stopped is None and len(sentences_of(last)) < most:
        found = replace(found, only_indexes=True)
    elif found.damage is None and (where or broken is not None):  # what it did not come to may be worse
        found = replace(found, damage=next((place.sentence for place in where.values()), str(broken)))
    return replace(found, complete=found.complete and error is None), error


def _is_of_a_page(row: Sequence[Any]) -> bool:
    return any(map(names_a_page, sentences_of([row])))


async def _rows_of(work: Work, command: str) -> tuple[Sequence[Sequence[Any]], sqlite3.Error | None]:
    rows: list[tuple[str]] = []

    async def attempt() -> None:
        rows.clear()
        with statement.texts_noted(work.connection.aio, lambda text: rows.append((text,))):
            await work.rows(command)

    error: sqlite3.Error | None = None
    try:
        await statement.retry_while_locked(attempt, work.lock_timeout, work.cancel, work.tell_who_waits)
    except sqlite3.Error as raised:
        if not is_damage(raised) and not is_missing_code(raised):
            raise
        error = raised
    return await worth_telling(work.rows, rows), error


async def _places(work: Work, sentences: Sequence[str]) -> dict[str, Place]:
    """Where the damage is that these sentences tell of; nothing where the file does not let it be found out."""
    if not any(map(names_a_page, sentences)):
        return {}
    try:
        trees = {root: Tree(name, bool(is_index)) for root, is_index, name in await work.rows(TREES)}
        trees[SCHEMA_PAGE] = Tree("sqlite_schema", is_index=False)
        owners: dict[int, Tree] = {}
        if pages := pages_alone(sentences):
            by_name = {tree.name: tree for tree in trees.values()}
            found = await work.rows(OWNERS.format(",".join(map(str, pages))))
            owners = {page: by_name[name] for page, name in found if name in by_name}
    except sqlite3.Error:
        if work.cancel.is_set():
            raise
        return {}
    return places(sentences, trees, owners)


async def worth_telling(
    read: Callable[[str], Awaitable[list[Any]]], rows: Sequence[Sequence[Any]]
) -> Sequence[Sequence[Any]]:
    """The rows of a check without what SQLite says of every full-text index that holds no text."""
    unseen = not_validated(rows)
    if not unseen:
        return rows
    without_text = {
        name for name, sql in made_with(frozenset({"fts4"}), await read(catalog.VIRTUAL_TABLES)) if is_contentless(sql)
    }
    said = {text for name, text in unseen.items() if name in without_text}
    return [row for row in rows if row[0] not in said]


async def foreign_keys(work: Work) -> StepResult:
    """A key that does not fit its parent table stops SQLite: then table by table, so that the others are looked at."""
    async with progress_told(work.connection, work.path, work.step, work.context, is_wal=work.is_wal):
        try:
            return _judged(work, await _orphans(work, work.step.command))
        except sqlite3.Error as error:
            if not is_mismatch(error):
                raise
        found = Findings()
        for table, _ in await work.rows(catalog.FOREIGN_KEYS):
            try:
                found += await _orphans(work, f"{work.step.command}({literal(table)})")
            except sqlite3.Error as error:
                if not is_mismatch(error):
                    raise
                misfit = f"a foreign key of {table} can never hold: {error}"
                found += Findings(sentences=(misfit,), broken_rule=misfit)
    return _judged(work, found)


async def _orphans(work: Work, command: str) -> Findings:
    try:
        return orphans_of(await work.rows_when_free(command))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        said = f"foreign keys cannot be looked at: {error}"
        return Findings(sentences=(said,), unreadable=str(error), complete=False)


def _judged(work: Work, found: Findings) -> StepResult:
    work.found = found
    number = len(found.sentences)
    if not number:
        return StepResult(status=Status.COMPLETED, effect={"findings": 0})
    more = "" if number == 1 else f", the first of {format_findings(number)}"
    return StepResult(
        status=Status.FAILED,
        error=found.sentences[0] + more,
        effect={"findings": number},
        findings=found.sentences,
        error_is_finding=True,
    )


async def incremental(work: Work) -> StepResult:
    """In chunks, so that others get their turn and a cancel needs not wait."""
    at_first = free = await _free_pages(work)
    while free and not work.cancel.is_set():
        # `execute` would free one page: it takes only the first row of a statement that says it has none.
        await work.retry_exclusive(lambda: _script(work))
        if work.is_wal:
            await work.rows_in_a_moment("PRAGMA main.wal_checkpoint(PASSIVE)")
        before, free = free, await _free_pages(work)
        if free >= before:
            break
        work.done = f"what was given back stays so; {counted(free, 'page')} free still"
        work.context.report(StepProgress(fraction=1 - free / at_first))
        await asyncio.sleep(PAUSE_BETWEEN_CHUNKS)
    status = Status.CANCELLED if free and work.cancel.is_set() else Status.COMPLETED
    warning = f"{counted(free, 'page')} are free still: others free them as fast"
    return StepResult(
        status=status,
        effect={"freed_pages": max(at_first - free, 0)},
        warnings=(warning,) if free and status is Status.COMPLETED else (),
    )


async def _script(work: Work) -> None:
    await statement.wait_uncancelled(asyncio.ensure_future(work.connection.aio.executescript(work.step.command)))


async def _free_pages(work: Work) -> int:
    ((free,),) = await work.rows_in_a_moment("PRAGMA main.freelist_count")
    return int(free)


async def merge(work: Work) -> StepResult:
    """In chunks, so that others get their turn and a cancel needs not wait."""
    connection, pages, merges = work.connection.aio, 0, 0
    command, next_command = operation_steps.merge_commands(work.step.object)
    while not work.cancel.is_set():
        before = connection.total_changes
        await work.in_transaction(command)
        if connection.total_changes - before < FEWEST_CHANGES:
            return StepResult(status=Status.COMPLETED)
        pages, merges = pages + connection.total_changes - before, merges + 1
        work.done = (
            f"{counted(merges, 'merge')} done, and {'stays' if merges == 1 else 'stay'} so; there are more to do"
        )
        if work.step.volume:
            work.context.report(StepProgress(fraction=min(pages / work.step.volume, 0.99)))
        command = next_command
        await asyncio.sleep(PAUSE_BETWEEN_CHUNKS)
    return StepResult(status=Status.CANCELLED)


async def copy(work: Work) -> StepResult:
    """Nothing with the final name exists before the copy is complete; nothing at all is left of one that is not."""
    step = work.step
    if problem := copying.problem_with(_name_now(work)):
        return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error=problem)
    place = str(Path(step.destination).parent) if step.numbered else step.destination
    await asyncio.to_thread(copying.remove_leftovers, work.path, place)
    try:
        begun = UnfinishedCopy.begin(step.unfinished)
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"the copy cannot be written: {error.strerror or error}")
    work.began_copy = True
    try:
        async with progress_told(work.connection, work.path, step, work.context, is_wal=work.is_wal):
            await work.rows_of_whole_copy()
    except BaseException:
        begun.discard()
        raise
    work.copy = begun
    return StepResult(status=Status.COMPLETED, effect={"backup_size": file_size(begun.path)})


def _name_now(work: Work) -> str:
    """What the backup is to be called: where its name has a number, one that is free now."""
    if not work.step.numbered:
        return work.step.destination
    return copying.free_name(work.path, str(Path(work.step.destination).parent), datetime.now(UTC).date())


async def copy_check(work: Work) -> StepResult:
    """The copy gets its name only when it has been checked, and is on the disk."""
    copied, work.copy = work.copy, None
    work.began_copy = copied is not None
    if copied is None:
        return StepResult(status=Status.SKIPPED, error="there is no copy to check")
    try:
        copied.require()
        warnings: tuple[str, ...] = ()
        try:
            found = findings_of(await worth_telling(work.rows, await _rows_of_check(work, copied.path)))
        except sqlite3.Error as error:
            if not is_missing_code(error):
                raise
            found, warnings = Findings(), (f"the copy could not be checked: {explain(error, work.lock_timeout)}",)
        if found.damage is not None:
            return StepResult(status=Status.FAILED, error=f"the copy is damaged: {found.damage}")
        if found.sentences:  # as in the database itself: no reason to be without a backup
            warnings = (f"the copy is complete, and has what a check of the database would find: {found.sentences[0]}",)
        naming = asyncio.to_thread(
            copying.complete, copied, work.opened.source, work.step.destination, lambda: _name_now(work)
        )
        name, written = await statement.wait_uncancelled(asyncio.ensure_future(naming))
    except FileExistsError as error:
        refusal = copying.problem_with(_name_now(work)) or str(error)
        return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error=refusal)
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"the copy cannot be completed: {error.strerror or error}")
    finally:
        copied.discard()
    effect: Facts = {"backup": name, "backup_size": written, **_kept(work)}
    return StepResult(status=Status.COMPLETED, effect=effect, warnings=warnings)


def _kept(work: Work) -> Facts:
    return {"backup_journal_mode": "wal"} if work.is_wal else {}


async def _rows_of_check(work: Work, path: str) -> list[Any]:
    """What a check of the copy says, which gets the journal mode of the database where VACUUM does not keep it."""
    connection = await MeteredConnection.open(connection_uri(path), work.lock_timeout, work.cancel)
    try:
        async with progress_told(connection, path, work.step, work.context, is_wal=False):
            try:
                return await statement.fetch_all(connection.aio, CHECK, work.cancel)
            finally:
                if work.is_wal and not work.cancel.is_set():
                    await statement.short(connection.aio, KEEP_WAL)
    finally:
        await connection.close()


PAUSE_BETWEEN_CHUNKS: Final = 0.02
"""Seconds in which others can have the lock, whose turn it would not be otherwise."""

METHODS: Final[Mapping[Method, Callable[[Work], Awaitable[StepResult]]]] = {
    Method.TRANSACTION: telling(transaction),
    Method.TOGETHER: telling(grouped_steps.run_grouped),
    Method.ANALYZE: telling(grouped_steps.analyze),
    Method.OPTIMIZE: telling(grouped_steps.optimize),
    Method.VACUUM: vacuum,
    Method.CHECKPOINT: checkpoint,
    Method.CHECK: check,
    Method.FOREIGN_KEYS: foreign_keys,
    Method.INCREMENTAL: incremental,
    Method.MERGE: merge,
    Method.COPY: copy,
    Method.COPY_CHECK: copy_check,
}
