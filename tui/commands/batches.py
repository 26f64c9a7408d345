"""`dbtend show` and `cancel` of a batch: all its jobs as one."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from engine import Batch, BatchId, Engine, ParentJob, Status
from engine.domain.errors import UsageError
from engine.domain.job_outcomes import outcome_of
from tui.commands import output, report
from tui.commands.batch_views import error_lines
from tui.commands.naming import command
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.views import stdout_is_terminal
from tui.commands.waiting import notices
from tui.presentation import json_format
from tui.presentation.batch_summary import TROUBLE, batch_summary, not_submitted
from tui.presentation.effect_summary import status_shown
from tui.presentation.exit_codes import OK
from tui.presentation.text import GLYPH, counted, local_time


def show(wanted: BatchId, args: argparse.Namespace, settings: Settings) -> int:
    batch, jobs, said = run_async(_batch(settings, wanted, with_steps=args.json))
    if args.json:
        output.document(_form(batch, jobs))
    else:
        output.line("\n".join(batch_lines(batch, jobs)))
    output.notice(*said)
    return OK


async def _batch(
    settings: Settings, wanted: BatchId, *, with_steps: bool
) -> tuple[Batch, Sequence[ParentJob], list[str]]:
    async with settings.engine() as engine:
        batch, jobs = await engine.batch(wanted.number), await engine.batch_jobs(wanted.number)
        whole = await engine.whole_jobs([job.id for job in jobs]) if with_steps else jobs
        return batch, whole, [] if batch.is_over else await notices(engine, [job.id for job in jobs])


def cancel(wanted: BatchId, args: argparse.Namespace, settings: Settings) -> int:
    if args.force or args.confirm is not None:
        why, hint = "ends one operation by force, and no batch", f"{command(f'show {wanted}')} names those that run"
        raise UsageError("--force" if args.force else "--confirm", why, hint)
    before, batch, jobs = run_async(_cancel(settings, wanted))
    if args.json:
        output.document(_form(batch, jobs))
    else:
        for line in cancel_lines(before, jobs, wanted):
            output.line(line)
    return OK


async def _cancel(settings: Settings, wanted: BatchId) -> tuple[Sequence[ParentJob], Batch, Sequence[ParentJob]]:
    async with Engine.open(settings.store) as engine:
        before = await engine.batch_jobs(wanted.number)
        batch = await engine.cancel_batch(wanted.number)
        return before, batch, await engine.whole_jobs([job.id for job in before])


def batch_lines(batch: Batch, jobs: Sequence[ParentJob]) -> Iterator[str]:
    """The sum of a batch, then a line for each job: first those that failed, with their errors."""
    yield f"{BatchId(batch.id)}  {batch_summary(jobs)}"
    repeats = f", retry of {BatchId(batch.retry_of)}" if batch.retry_of else ""
    yield f"  created  {local_time(batch.created_at)}{repeats}"
    if batch.unsubmitted:
        yield f"  missing  {not_submitted(batch, lambda of: command(f'retry {of}'))}"
    if options := batch_options(batch):
        yield f"  options  {', '.join(options)}"
    yield ""
    for job in sorted(jobs, key=lambda job: outcome_of(job) not in TROUBLE):
        lines = error_lines(job) if outcome_of(job) in TROUBLE else [report.summary(job, short=stdout_is_terminal())]
        yield from (f"{GLYPH[status_shown(job)]} {line}" for line in lines)


def batch_options(batch: Batch) -> list[str]:
    """`canary 2`, `max failures 3`."""
    options = batch.options
    numbers = {"max failures": options.max_failures, "canary": options.canary, "max per host": options.max_per_host}
    return [f"{name} {number:,}" for name, number in numbers.items() if number is not None]


def cancel_lines(before: Sequence[ParentJob], jobs: Sequence[ParentJob], wanted: BatchId) -> Iterator[str]:
    was_open = {job.id for job in before if not job.status.is_final}
    if not was_open:
        yield f"{wanted} is over: nothing to cancel"
        return
    ended = sum(job.id in was_open and job.status is Status.CANCELLED for job in jobs)
    runs = sum(not job.status.is_final for job in jobs)
    over = len(jobs) - len(was_open)
    parts = [
        f"{counted(ended, 'job')} cancelled" if ended else "",
        f"{counted(runs, 'running job')} asked to end" if runs else "",
        f"{over:,} already over" if over else "",
    ]
    yield f"{wanted} {', '.join(filter(None, parts))}"
    if runs:
        yield f"to see how it ends: {command(f'show {wanted}')}"


def _form(batch: Batch, jobs: Sequence[ParentJob]) -> json_format.Json:
    return {**json_format.batch(batch), "jobs": [json_format.job(job) for job in jobs]}
