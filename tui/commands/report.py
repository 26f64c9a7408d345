"""Jobs as lines for a person."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from engine import ChildJob, JobId, ParentJob, Status, run_duration
from engine.domain.humanize import NOT_BEGUN
from engine.domain.jobs import format_child_reason, never_began
from tui.commands import output
from tui.commands.naming import command, named, tell_apart
from tui.presentation.cancel_consequences import consequence_phrases
from tui.presentation.effect_summary import first_error, job_effect, status_shown
from tui.presentation.job_notes import Instructions, advice, is_unrecovered
from tui.presentation.job_status import WAITS_FOR_WORKER, ending, interruption, progress_parts, status_text
from tui.presentation.text import (
    GLYPH,
    cells,
    counted,
    duration,
    local_time,
    padded,
    plain,
    precise_duration,
    shortened_inside,
)

_LEAST: Final = 20
"""Cells that each column keeps on a narrow terminal: a time is not cut."""


def instructions(job: JobId) -> Instructions:
    """The commands with which a person acts on a child job."""
    return Instructions(
        retry=f"run {command(f'retry {job.parent}')}",
        show=f"run {command(f'show {job}')}",
        skip_recovery=f"run {command(f'cancel {job}')}",
        force=f"run {command(f'cancel {job} --force')}",
    )


def events(seen: Mapping[JobId, ChildJob], job: ParentJob) -> Iterator[str]:
    """A line for each event of the children of `job` since they were `seen`."""
    for child in job.children:
        before = seen.get(child.id)
        was = before.status if before else Status.PENDING
        name = f"#{child.id} {named(job.target)} {child.operation}"
        known = max(1, before.attempt if before else 0)
        is_again = child.attempt > known and child.started_at is not None and not child.recovering
        if is_again:  # it may have been pending in between, unseen
            yield f"{name} runs again"
        if child.status == was:
            if not is_again and before and status_text(child) != status_text(before):
                yield f"{name} {status_text(child)}"
            continue
        if was is Status.PENDING and child.started_at is not None and not is_again:
            yield f"{name} started"
        if child.status.is_final:
            yield f"{name} {ending(child)}"
        elif was is Status.RUNNING:
            yield f"{name} {status_text(child) if child.recovering else WAITS_FOR_WORKER}"


def wait_line(job: ParentJob, child: ChildJob) -> str:
    """`#42.1 sales.db vacuum: waiting for its lock: process 4711 (psql)`."""
    return f"#{child.id} {named(job.target)} {child.operation}: {plain(child.progress.phase or '')}"


def progress_line(job: ParentJob, child: ChildJob, at: int) -> str:
    """`#42.1 sales.db vacuum  0:31  50%  0:32 left  copying`."""
    return f"#{child.id} {named(job.target)} {child.operation}  {progress_text(child, at)}"


def progress_text(child: ChildJob, at: int) -> str:
    """`0:31  50%  0:32 left  copying`: the known ones of these."""
    return "  ".join(filter(None, (duration(run_duration(child, at)), *progress_parts(child, at))))


def summary(job: ParentJob, *, short: bool = False) -> str:
    """`#42 sales.db completed in 3.10 s  24.1 MB -> 14.3 MB, 9.80 MB back`.

    `short`: cuts the error.
    """
    seconds = run_duration(job, job.finished_at or 0)
    took = f" in {precise_duration(seconds)}" if job.status.is_final and seconds is not None else ""
    text = ", ".join(filter(None, (job_effect(job, short=short), caveats(job))))
    return f"#{job.id} {named(job.target)} {status_text(job)}{took}" + (f"  {text}" if text else "")


def caveats(job: ParentJob) -> str:
    """What the status of a job does not say: `vacuum: waits for a worker`, `2 skipped (past its limit), 1 warning`."""
    skipped = [child for child in job.children if child.status is Status.SKIPPED]
    reasons = dict.fromkeys(filter(None, map(format_child_reason, skipped)))
    parts = [text] if (text := interruption(job)) else []
    parts += [f"{len(skipped)} skipped ({', '.join(reasons)})"] if skipped else []
    warnings = sum(len(child.warnings) for child in job.children)
    return ", ".join([*parts, counted(warnings, "warning")] if warnings else parts)


def history_table(jobs: Sequence[ParentJob], *, short: bool = False) -> list[str]:
    """A heading, then a line for each job in the order given. `short`: cuts errors."""
    tell_apart(job.target for job in jobs)
    rows = [("JOB", "CREATED", "TARGET", "OPERATIONS", "STATUS", "TOOK", "EFFECT")]
    rows += [
        (
            f"#{job.id}",
            local_time(job.created_at),
            named(job.target),
            " ".join(child.operation for child in job.children),
            f"{GLYPH[status_shown(job)]} {status_text(job)}" + (", pinned" if job.pinned else ""),
            precise_duration(run_duration(job, job.finished_at) if job.finished_at else None),
            ", ".join(filter(None, (first_error(job, short=short) or job_effect(job), caveats(job)))),
        )
        for job in jobs
    ]
    return columns(rows)


def cancel_lines(before: ParentJob, after: ParentJob, asked: JobId, at: int) -> Iterator[str]:
    """What a cancel of a job, or of one child, leads to; `at`: the time now."""
    if asked.ordinal is None and before.status.is_final:
        yield f"#{before.id} {named(before.target)} {_nothing_to_cancel(before)}"
        return
    still_runs = False
    for was, child in zip(before.children, after.children, strict=True):
        if asked.ordinal is not None and child.id != asked:
            continue
        name = f"#{child.id} {named(after.target)} {child.operation}"
        if was.status.is_final:
            yield f"{name} {_nothing_to_cancel(was)}"
        elif child.status.is_final:
            why = NOT_BEGUN if never_began(child) else plain(child.error or "")
            yield f"{name} {child.status}" + (f": {why}" if why else "")
            if is_unrecovered(child):
                yield f"  {plain(advice(after, child, instructions(child.id)))}"
        else:
            still_runs = True
            if was.cancel_requested_at:
                yield f"{name} {child.status}, cancel was requested at {local_time(was.cancel_requested_at)}"
            else:
                yield f"{name} {child.status}, cancel requested"
            by_force = f"{command(f'cancel {child.id} --force')} kills its process"
            yield from (f"  {phrase}" for phrase in consequence_phrases(child, after.request, at, by_force=by_force))
    if still_runs:
        yield f"to see how it ends: {command(f'show {asked}')}"


def _nothing_to_cancel(job: ChildJob | ParentJob) -> str:
    return f"is already {job.status}: nothing to cancel"


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines; on a terminal the widest columns are cut until all but the last fit: one long name hides no column."""
    widths = [max(cells(text) for text in column) for column in zip(*rows, strict=True)]
    if sys.stdout.isatty() and (width := output.terminal_width()) is not None:
        while (over := sum(widths[:-1]) + 2 * len(widths) + min(widths[-1], _LEAST) - width) > 0:
            widest = max(range(len(widths) - 1), key=widths.__getitem__, default=-1)
            if widest < 0 or widths[widest] <= _LEAST:
                break
            second = max((one for at, one in enumerate(widths[:-1]) if at != widest), default=0)
            widths[widest] = max(widths[widest] - over, min(second, widths[widest] - 1), _LEAST)
        rows = [[*map(shortened_inside, row[:-1], widths), row[-1]] for row in rows]
    return ["  ".join(map(padded, row, widths)).rstrip() for row in rows]
