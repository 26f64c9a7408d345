"""`dbtend run` and `dbtend retry`: maintenance in the foreground, watched to its end."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

from engine import Change, Engine, JobId, Lagged, OnDuplicate, ParentJob, Request
from engine.clock import now
from tui import json_form
from tui.commands import output, report, values
from tui.commands.exit_codes import CANCELLED, exit_code
from tui.commands.lookup import existing_store
from tui.commands.settings import Settings, one_job, requests
from tui.commands.signals import stop_signals
from tui.commands.tasks import first_of
from tui.commands.views import SilentView, View, view_for_stdout

Submit = Callable[[Engine], Awaitable[Sequence[ParentJob]]]


def run(args: argparse.Namespace, settings: Settings) -> int:
    config = settings.config()
    return run_requests(
        settings.store, requests(args, config), workers=args.workers or config.defaults.workers, as_json=args.json
    )


def retry(args: argparse.Namespace, settings: Settings) -> int:
    job = values.parent_id(one_job(args))
    workers = args.workers or settings.config().defaults.workers
    existing_store(settings.store, job)

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        return [await engine.retry(job, only_incomplete=args.failed)]

    return _foreground(settings.store, submit, workers, as_json=args.json)


def run_requests(store: Path, asked: Sequence[Request], *, workers: int = 1, as_json: bool = False) -> int:
    """Submit, watch, and print the result; the exit code. An open job that does the same is joined."""

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        return await engine.submit(asked, on_duplicate=OnDuplicate.MERGE)

    return _foreground(store, submit, workers, as_json=as_json)


def _foreground(store: Path, submit: Submit, workers: int, *, as_json: bool) -> int:
    view: View = SilentView() if as_json else view_for_stdout()
    jobs, interrupted = asyncio.run(_carry_out(store, submit, workers, view))
    if as_json:
        output.document({"jobs": [json_form.job(job) for job in jobs]})
    else:
        for job in jobs:
            output.line(report.summary(job))
    return CANCELLED if interrupted else exit_code(jobs)


async def _carry_out(store: Path, submit: Submit, workers: int, view: View) -> tuple[list[ParentJob], bool]:
    with stop_signals(view.announce) as stop:
        async with Engine.open(store, workers=workers, own_jobs_only=True) as engine:
            asked_at = now()
            changes = engine.changes()
            jobs = await submit(engine)
            own = [job.id for job in jobs if job.created_at >= asked_at]
            for job in jobs:
                if job.id not in own:
                    output.notice(f"job #{job.id} already does exactly this: waiting for it")
            wake = asyncio.Event()
            ids = [job.id for job in jobs]
            await first_of(_wake_on_changes(changes, wake), _watch(engine, ids, own, view, stop, wake))
            return [await engine.job(job_id) for job_id in ids], stop.is_set()


async def _watch(
    engine: Engine, ids: Collection[int], own: Collection[int], view: View, stop: asyncio.Event, wake: asyncio.Event
) -> None:
    """Show the jobs until all are over; after `stop`, cancel our `own` and wait for no others."""
    stopping = asyncio.create_task(_set_after(stop, wake))
    cancelled = False
    try:
        while True:
            wake.clear()
            jobs = await engine.jobs(ids)
            view.show(jobs)
            if stop.is_set() and not cancelled:
                cancelled = True
                for job_id in own:
                    await engine.cancel(JobId(job_id))
                continue
            awaited = own if cancelled else ids
            if all(job.status.is_final for job in jobs if job.id in awaited):
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(wake.wait(), view.interval)
    finally:
        stopping.cancel()


async def _wake_on_changes(changes: AsyncIterator[Change | Lagged], wake: asyncio.Event) -> None:
    async for _ in changes:
        wake.set()


async def _set_after(first: asyncio.Event, then: asyncio.Event) -> None:
    await first.wait()
    then.set()
