"""The function that runs a step, for each method.

Each one runs a step to its end and returns what happened. It raises what SQLite raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from engine.domain.humanize import counted
from engine.domain.jobs import ALMOST_ALL
from engine.domain.statuses import Reason, Status
from engine.domain.steps import FREED_PAGES
from engine.system.background import wait_uncancelled
from engine.targets.database_files import file_size
from engine.targets.limits import NotBegunError
from engine.targets.sqlite.planning import operation_steps
from engine.targets.sqlite.planning.steps import Method
from engine.targets.sqlite.running import backup, checks, compared_copy, grouped_steps, swap
from engine.targets.sqlite.running.work import Work
from engine.targets.sqlite.system.machine import give_back_memory
from engine.targets.step_execution import StepProgress, StepResult


async def transaction(work: Work) -> StepResult:
    async with work.progress_reports():
        await work.in_transaction(work.step.command)
    return StepResult(status=Status.COMPLETED)


async def vacuum(work: Work) -> StepResult:
    try:
        async with work.progress_reports():
            await work.run_vacuum()
            await work.write_back_if_long()
    finally:
        if work.step.in_memory:  # the next VACUUM of this process tells its progress by the memory that it takes
            await asyncio.to_thread(give_back_memory)
    return StepResult(status=Status.COMPLETED)


async def checkpoint(work: Work) -> StepResult:
    """Try until no other connection uses the log. SQLite reports that in a row, and raises nothing."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + work.lock_timeout
    before = file_size(work.path + "-wal")
    while True:
        async with work.progress_reports(replace(work.step, volume=before)):
            busy, frames, written = await work.write_back()
        if not busy:
            return StepResult(status=Status.COMPLETED, effect={"written_back": before})
        if work.cancel.is_set():
            return StepResult(status=Status.CANCELLED)
        if work.context.is_ending and frames <= 0 and not work.step.mandatory_follow_up:
            raise NotBegunError
        if clock() >= deadline or work.context.is_ending:
            break
        await work.report_blockers()
        await work.context.pause(0.1)
    return await _log_in_use(work, frames, written)


async def _log_in_use(work: Work, frames: int, written: int) -> StepResult:
    who = await work.blockers.describe_last() or "another connection uses it"
    error = f"{_checkpoint_progress(frames, written)}: {who}"
    if work.step.mandatory_follow_up:  # the work is done; only the log is still there
        return StepResult(
            status=Status.SKIPPED,
            error=error,
            warnings=(f"{work.step.reason}: run checkpoint when the other connection is done",),
        )
    return StepResult(status=Status.FAILED, reason=Reason.TARGET_BUSY, error=error)


def _checkpoint_progress(frames: int, written: int) -> str:
    """`frames`, `written`: as SQLite reports them; 0 or less where it could not read the log."""
    if frames <= 0:
        return "the log could not be written back"
    if written < frames:
        return f"{max(written, 0):,} of {frames:,} frames of the log were written back"
    whole = "the one frame of the log was" if frames == 1 else f"all {frames:,} frames of the log were"
    return f"{whole} written back, but the log could not be truncated"


PAUSE_BETWEEN_CHUNKS: Final = 0.02
"""Seconds in which another connection can take the lock."""
FEWEST_CHANGES: Final = 2
"""A merge that changes fewer rows had nothing to do."""


async def incremental_vacuum(work: Work) -> StepResult:
    """Free pages until none is left."""
    at_start = await _free_pages(work)
    free = at_start
    while free and not work.cancel.is_set():
        # `execute` would free one page: it takes only the first row of a statement that says it has none.
        await work.retry_exclusive(lambda: _run_script(work))
        await work.write_back_if_long()
        before, free = free, await _free_pages(work)
        if free >= before:
            break
        work.partial_effect = f"pages freed so far stay freed; {counted(free, 'free page')} left"
        work.context.report(StepProgress(fraction=1 - free / at_start))
        await work.context.pause(PAUSE_BETWEEN_CHUNKS)
    status = Status.CANCELLED if free and work.cancel.is_set() else Status.COMPLETED
    warning = f"{counted(free, 'free page')} left: other connections free pages as fast as this step removes them"
    return StepResult(
        status=status,
        effect={FREED_PAGES: max(at_start - free, 0)},
        warnings=(warning,) if free and status is Status.COMPLETED else (),
    )


async def _run_script(work: Work) -> None:
    await wait_uncancelled(asyncio.ensure_future(work.connection.aio.executescript(work.step.command)))


async def _free_pages(work: Work) -> int:
    ((free,),) = await work.rows_uninterrupted("PRAGMA main.freelist_count")
    return int(free)


async def rebuild(work: Work) -> StepResult:
    """Make a full-text index anew from its text."""
    async with work.progress_reports():
        await work.write_full_text(work.step.command)
    return StepResult(status=Status.COMPLETED)


async def merge(work: Work) -> StepResult:
    """Merge the segments of a full-text index until one merge finds nothing to do."""
    connection, pages, merges = work.connection.aio, 0, 0
    command, next_command = operation_steps.merge_commands(work.step.object)
    while not work.cancel.is_set():
        before = connection.total_changes
        await work.write_full_text(command)
        if connection.total_changes - before < FEWEST_CHANGES:
            return StepResult(status=Status.COMPLETED)
        pages, merges = pages + connection.total_changes - before, merges + 1
        work.partial_effect = f"{counted(merges, 'merge')} kept; more segments are left to merge"
        if work.step.volume:
            work.context.report(StepProgress(fraction=min(pages / work.step.volume, ALMOST_ALL)))
        command = next_command
        await work.context.pause(PAUSE_BETWEEN_CHUNKS)
    return StepResult(status=Status.CANCELLED)


METHODS: Final[Mapping[Method, Callable[[Work], Awaitable[StepResult]]]] = {
    Method.TRANSACTION: transaction,
    Method.GROUPED: grouped_steps.run_grouped,
    Method.ANALYZE: grouped_steps.analyze,
    Method.OPTIMIZE: grouped_steps.optimize,
    Method.VACUUM: vacuum,
    Method.SWAP: swap.swap,
    Method.CHECKPOINT: checkpoint,
    Method.CHECK: checks.check,
    Method.FOREIGN_KEYS: checks.foreign_keys,
    Method.INCREMENTAL: incremental_vacuum,
    Method.MERGE: merge,
    Method.REBUILD: rebuild,
    Method.COPY: backup.copy,
    Method.COMPARE: compared_copy.compare,
    Method.COPY_CHECK: backup.copy_check,
    Method.REMOVE_BACKUPS: backup.remove_old,
}
