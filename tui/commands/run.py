"""`dbtend run` and `dbtend retry`: maintenance watched to its end, or left to a worker process."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path

from engine import Engine, OnDuplicate, ParentJob, Request
from engine.domain.errors import StoreError, UsageError
from engine.inspection import inspector
from engine.submission.retry import retry_request
from engine.system.clock import now
from tui.commands import job_report, output, report
from tui.commands.advising import to_run
from tui.commands.confirmation import confirmed
from tui.commands.foreground import Foreground, Submit, carry_out
from tui.commands.lookup import existing_store
from tui.commands.passwords import ask_for_missing
from tui.commands.server_wait import wait_for_servers
from tui.commands.settings import Settings, one_job, requests
from tui.commands.targets import named_targets
from tui.commands.views import SilentView, View, view_for_stdout
from tui.commands.waiting import nothing_starts
from tui.presentation import json_format, typed_values
from tui.presentation.exit_codes import OK, weightiest
from tui.workers.detached import DetachedWorker


def run(args: argparse.Namespace, settings: Settings) -> int:
    entries = named_targets(args, settings.config()).targets
    wanted = requests(args, entries)
    wait_for_servers(wanted)
    ask_for_missing([request.target for request in wanted])
    asked, refused = to_run(wanted, entries, args, settings)
    if not asked:
        if args.json:
            output.document({"jobs": []})
        return refused
    code = _carried_out(_submitting(confirmed(asked)), [request.target for request in asked], args, settings)
    return weightiest({code, refused})


def retry(args: argparse.Namespace, settings: Settings) -> int:
    job = typed_values.parent_id(one_job(args))
    existing_store(settings.store, job)
    earlier = asyncio.run(_job(settings, job))
    once_more = retry_request(earlier, only_incomplete=args.failed, confirmed="confirmed" in args)
    wait_for_servers([once_more])
    ask_for_missing([earlier.target])
    (again,) = confirmed([once_more])

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        return [await engine.retry(job, only_incomplete=args.failed, confirmed=again.options.confirmed)]

    return _carried_out(submit, [earlier.target], args, settings)


async def _job(settings: Settings, job: int) -> ParentJob:
    async with settings.engine() as engine:
        return await engine.job(job)


def run_requests(store: Path, asked: Sequence[Request], *, as_json: bool = False) -> int:
    """Submit, watch, and print the result; the exit code. An open job that does the same is joined."""
    return _in_foreground(Foreground(store=store), _submitting(asked), as_json=as_json)


def _submitting(asked: Sequence[Request]) -> Submit:
    async def submit(engine: Engine) -> Sequence[ParentJob]:
        return await engine.submit(asked, on_duplicate=OnDuplicate.MERGE)

    return submit


def _carried_out(submit: Submit, targets: Sequence[str], args: argparse.Namespace, settings: Settings) -> int:
    config = settings.config()
    if args.detach:
        worker = DetachedWorker(
            settings.store, workers=args.workers, config_path=settings.given_config, grace=args.grace
        )
        for target in targets:
            if lacks := worker.lacks(inspector.canonical_url(target)):
                why = f"{lacks}, and the worker process that runs already is not told it"
                hint = "put it into ~/.pgpass (mode 0600), or leave out --detach"
                raise UsageError(inspector.canonical_url(target), why, hint)
        return asyncio.run(_detached(settings.store, submit, worker, as_json=args.json))
    workers = args.workers or config.defaults.workers
    how = Foreground(
        store=settings.store,
        workers=min(workers, len(targets)),
        max_running=max(workers, config.defaults.workers),
        grace=config.defaults.grace if args.grace is None else args.grace,
        retention=config.retention,
    )
    return _in_foreground(how, submit, as_json=args.json)


def _in_foreground(how: Foreground, submit: Submit, *, as_json: bool) -> int:
    view: View = SilentView() if as_json else view_for_stdout()
    jobs, code = carry_out(how, submit, view)
    if as_json:
        output.document({"jobs": [json_format.job(job) for job in jobs]})
    else:
        for job in jobs:
            output.line(report.summary(job, short=view.tells_errors))
            for found in job_report.follow_up_lines(job):
                output.line(f"  {found}")
    return code


async def _detached(store: Path, submit: Submit, worker: DetachedWorker, *, as_json: bool) -> int:
    """Submit, see to it that a worker process carries on, and tell the ids."""
    async with Engine.open(store) as engine:
        asked_at = now()
        jobs = [await engine.job(job.id) for job in await submit(engine)]
        for job in jobs:
            if job.created_at < asked_at:
                output.notice(f"job #{job.id} already does exactly this")
        if pause := await engine.paused():
            output.notice(nothing_starts(pause))
    try:
        worker.ensure()
    except StoreError:
        output.notice(f"waiting for a worker process: {', '.join(f'#{job.id}' for job in jobs)}")
        raise
    if as_json:
        output.document({"jobs": [json_format.job(job) for job in jobs]})
    else:
        for job in jobs:
            output.line(str(job.id))
    return OK
