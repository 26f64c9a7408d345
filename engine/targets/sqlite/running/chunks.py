"""Steps that work in chunks: other connections get their turn between two chunks, and a cancel takes effect there."""

from __future__ import annotations

import asyncio
from typing import Final

from engine.domain.humanize import counted
from engine.domain.statuses import Status
from engine.domain.steps import FREED_PAGES
from engine.system.uncancelled import wait_uncancelled
from engine.targets.progress import ALMOST_ALL
from engine.targets.sqlite.planning import operation_steps
from engine.targets.sqlite.running.work import Work
from engine.targets.step_execution import StepProgress, StepResult

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
