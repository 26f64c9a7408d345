"""The steps of a backup: write the copy, check it and give it its name, remove the oldest backups."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.domain.humanize import by_reason, listed
from engine.domain.requests import CheckLevel
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts
from engine.system.background import wait_uncancelled
from engine.targets.database_files import file_size
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.errors import is_missing_code
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.planning.backup_steps import CHECK, KEEP_WAL
from engine.targets.sqlite.planning.check_steps import check_command
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.running.check_findings import FOUND_NOTHING, parse_findings
from engine.targets.sqlite.running.checks import without_contentless
from engine.targets.sqlite.running.compared_copy import copy_pages, copy_with_reader
from engine.targets.sqlite.running.sampling import progress_reports
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system import copying, old_backups
from engine.targets.sqlite.system.unfinished_backup import UnfinishedCopy
from engine.targets.step_execution import StepResult


async def copy(work: Work) -> StepResult:
    """Write the copy under a temporary name; remove it if that fails."""
    step = work.step
    if problem := copying.problem_with(_current_name(work), numbered=step.numbered):
        return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error=problem)
    place = str(Path(step.destination).parent) if step.numbered else step.destination
    await asyncio.to_thread(copying.remove_leftovers, work.path, place)
    try:
        unfinished = UnfinishedCopy.begin(step.unfinished)
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"cannot write the copy: {error.strerror or error}")
    work.copy_begun = True
    try:
        async with work.progress_reports():
            await _make(work)
    except BaseException:
        unfinished.discard()
        raise
    work.copy = unfinished
    return StepResult(status=Status.COMPLETED, effect={"backup_size": file_size(unfinished.path)})


async def _make(work: Work) -> None:
    if work.step.by_pages:
        await copy_pages(work)
    elif work.step.compared:
        await copy_with_reader(work)
    else:
        await work.run_vacuum()


def _current_name(work: Work) -> str:
    """The path of the backup; where its name is numbered, with a number that is free now."""
    if not work.step.numbered:
        return work.step.destination
    return copying.free_name(work.path, str(Path(work.step.destination).parent), datetime.now(UTC).date())


async def copy_check(work: Work) -> StepResult:
    """Check the copy, sync it to the disk, and only then give it its name."""
    copied, work.copy = work.copy, None
    work.copy_begun = copied is not None
    if copied is None:
        return StepResult(status=Status.SKIPPED, error="there is no copy to check")
    try:
        copied.require()
        rows, warnings = await _check_rows(work, copied.path)
        found = parse_findings(await without_contentless(work.rows, rows))
        if found.damage is not None:
            why = f"the copy is damaged: {found.damage}"
            return StepResult(status=Status.FAILED, error=why, met_damage=why)
        if found.sentences:  # the database has the same problem: keep the backup
            warnings += (f"the copy is complete, with a problem that the database has too: {found.sentences[0]}",)
        naming = asyncio.to_thread(
            copying.complete, copied, work.opened.source, work.step.destination, lambda: _current_name(work)
        )
        is_checked = not (warnings or work.step.is_known_damaged)
        name, status = await wait_uncancelled(asyncio.ensure_future(naming))
    except FileExistsError as error:
        refusal = copying.problem_with(_current_name(work)) or str(error)
        return StepResult(status=Status.FAILED, reason=Reason.REFUSED, error=refusal)
    except OSError as error:
        return StepResult(status=Status.FAILED, error=f"cannot complete the copy: {error.strerror or error}")
    finally:
        copied.discard()
    work.new_backup = old_backups.NewBackup(path=name, status=status, is_checked=is_checked)
    effect: Facts = {
        "backup": name,
        "backup_size": status.st_size,
        "backup_checked": is_checked,
        "backup_file": old_backups.file_identity(status),
        "backup_source": work.opened.number,
    }
    if work.contents:
        effect = {**effect, "backup_contents": work.contents}
    if work.step.is_wal:
        effect = {**effect, "backup_journal_mode": "wal"}
    met = found.sentences[0] if found.indexes else ""
    return StepResult(status=Status.COMPLETED, effect=effect, warnings=warnings, met_damage=met)


async def remove_old(work: Work) -> StepResult:
    """Remove the oldest backups after a new one that is sound."""
    step, new = work.step, work.new_backup
    if new is None or step.series is None:
        return StepResult(status=Status.SKIPPED, error="there is no new backup")
    if not new.is_checked:
        return _none_removed("the new one was not found sound")
    if problem := work.opened.problem():
        return _none_removed(problem)
    if not await work.context.store_results():  # a later run could not know the new one
        return _none_removed("the job history cannot be written")
    maintained = await work.context.maintained_files()
    if maintained is None:
        return _none_removed("the targets of the config file cannot be read")
    removing = asyncio.to_thread(
        old_backups.remove, step.series, step.keep, step.objects, new, maintained, work.cancel.is_set
    )
    try:
        done = await wait_uncancelled(asyncio.ensure_future(removing))
    except OSError as error:
        return _none_removed(error.strerror or str(error))
    names = [old_backups.name_of(backup) for backup in done.removed]
    return StepResult(
        status=Status.COMPLETED if done.is_whole else Status.CANCELLED,
        effect={"backups_removed": names, "backups_removed_bytes": sum(backup.size or 0 for backup in done.removed)},
        warnings=old_backups.describe_staying(done.staying),
        left="" if done.is_whole else f"{len(names)} of {step.object} removed",
    )


def _none_removed(why: str) -> StepResult:
    """The new backup is there, so that is no failure."""
    text = f"no old backup is removed: {why}"
    return StepResult(status=Status.SKIPPED, error=text, warnings=(text,))


async def _check_rows(work: Work, path: str) -> tuple[list[Any], tuple[str, ...]]:
    """The rows of a check of the copy, and warnings of what cannot be checked here. Also sets its journal mode to WAL
    if the database has it: the copy begins without."""
    connection = await MeteredConnection.open(connection_uri(path), statement.LockWait(work.lock_timeout, work.cancel))
    try:
        async with progress_reports(connection, path, work.step, work.context, is_wal=False):
            try:
                return await statement.fetch_all(connection.aio, CHECK, work.cancel), ()
            except sqlite3.Error as error:
                if not is_missing_code(error):
                    raise
                return await _check_tables(connection, work.cancel)
            finally:
                if work.step.is_wal and not work.cancel.is_set():
                    await statement.short(connection.aio, KEEP_WAL)
    finally:
        await connection.close()


async def _check_tables(connection: MeteredConnection, cancel: asyncio.Event) -> tuple[list[Any], tuple[str, ...]]:
    """The same, of one table after the other: one that needs code of its application keeps no other from its check."""
    found: list[Any] = []
    left_out: list[tuple[str, str]] = []
    for (name,) in await statement.fetch_all(connection.aio, query("all_table_names"), cancel):
        try:
            found += await statement.fetch_all(connection.aio, check_command(CheckLevel.QUICK, name), cancel)
        except sqlite3.Error as error:
            if not is_missing_code(error):
                raise
            left_out.append((name, str(error)))
    warnings = tuple(
        f"the copy has every page, but {listed(names)} in it cannot be checked here: {why}, which only its"
        " application has"
        for why, names in by_reason(left_out).items()
    )
    return [row for row in found if row != (FOUND_NOTHING,)] or [(FOUND_NOTHING,)], warnings
