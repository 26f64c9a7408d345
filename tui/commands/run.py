"""`dbtend run` and `dbtend retry`: maintenance watched to its end, or left to a worker process."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from engine import Batch, BatchId, Engine, OnDuplicate, ParentJob, Request, StoreLocation
from engine.config.model import Config
from engine.domain.batches import NO_BATCH_OPTIONS, BatchOptions, FailedRequest, Retries
from engine.domain.errors import StoreError, UsageError
from engine.domain.events import other_host, unattended
from engine.domain.frozen import frozen
from engine.domain.humanize import counted
from engine.domain.job_outcomes import outcome_of
from engine.inspection import inspector
from engine.submission.retry import is_complete, is_rest, repeatable, retry_request
from engine.system.clock import now
from tui.commands import job_report, output, report, terminal_question
from tui.commands.advising import not_begun, to_run
from tui.commands.batch_views import trouble_lines, view_of_many
from tui.commands.confirmation import confirmed, tell_before_writing, tell_unchecked
from tui.commands.foreground import Foreground, Submit, carry_out
from tui.commands.lookup import existing_store
from tui.commands.naming import named
from tui.commands.notify import for_runs, telling_people
from tui.commands.options import typed_options
from tui.commands.passwords import ask_for_missing
from tui.commands.run_async import run_async
from tui.commands.run_order import in_run_order
from tui.commands.server_wait import wait_for_servers
from tui.commands.settings import Settings, one_job, requests
from tui.commands.targets import entries_of, named_targets, refuse_for_one_target
from tui.commands.views import QuietView, View, view_for_stdout
from tui.commands.waiting import nothing_starts, unserved_jobs
from tui.presentation import json_format, typed_values
from tui.presentation.batch_summary import TROUBLE, batch_summary
from tui.presentation.exit_codes import OK, weightiest
from tui.workers.detached import DetachedWorker


@frozen
class Printing:
    """How jobs are reported."""

    view: View
    """What shows the jobs while they run."""
    print_result: Callable[[Sequence[ParentJob]], None]
    """What prints the jobs when they have ended."""


def run(args: argparse.Namespace, settings: Settings) -> int:
    entries = entries_of(args, settings.config())
    wait_for_servers(requests(args, entries))  # before their databases are listed
    expansion = named_targets(entries, args, settings)
    if args.strict and expansion.unlisted:
        raise expansion.unlisted[0].error
    wanted = requests(args, expansion.targets)
    refuse_for_one_target(args, expansion)
    ask_for_missing([request.target for request in wanted])
    chosen = to_run(wanted, expansion.targets, args, settings, can_confirm=terminal_question.can_ask())
    if args.strict and chosen.failed:
        raise chosen.failed[0].error
    unlisted = zip(requests(args, [one.entry for one in expansion.unlisted]), expansion.unlisted, strict=True)
    failed = [
        *chosen.failed,
        *(replace(not_begun(request, one.error, args), is_pattern=one.is_pattern) for request, one in unlisted),
    ]
    if not (chosen.requests or failed):
        if args.json:
            output.document({"batch": None, "jobs": []})
        return chosen.code
    asked = run_async(in_run_order(chosen.requests, expansion.targets, args, Engine.open(settings.store)))
    allowed = confirmed(asked, settings)
    if args.strict and allowed.unplanned:
        raise allowed.unplanned[0][1]
    failed += [FailedRequest(request, error) for request, error in allowed.unplanned]
    targets = [request.target for request in allowed.requests]
    batch = settings.config().defaults.batch_options(targets, _batch_options(args))
    submit = _submitting(
        allowed.requests, failed, batch, strict=args.strict, tell=partial(tell_before_writing, needed=args.needed)
    )
    many = len(wanted) + len(expansion.unlisted) > 1
    return weightiest({_carried_out(submit, targets, args, settings, many=many), chosen.code})


def _batch_options(args: argparse.Namespace) -> BatchOptions:
    return BatchOptions(max_failures=args.max_failures, canary=args.canary, max_per_host=args.max_per_host)


def retry(args: argparse.Namespace, settings: Settings) -> int:
    wanted = typed_values.job_or_batch_id(one_job(args))
    if isinstance(wanted, BatchId):
        return _retry_batch(wanted, args, settings)
    job = typed_values.parent_id(one_job(args))
    existing_store(settings.store, job)
    earlier, known = run_async(_job(settings, job))
    if earlier.is_pattern:
        raise UsageError(
            f"job #{job}", "its pattern could not be listed, so it ran on nothing", "run the pattern again"
        )
    if args.failed and is_complete([earlier]):
        return _nothing_to_retry(f"job #{job}", args)
    changes = _changes(args)
    once_more = retry_request(earlier, only_incomplete=args.failed, confirmed="confirmed" in args, changes=changes)
    wait_for_servers([once_more])
    ask_for_missing([earlier.target])
    (again,) = confirmed([once_more], settings).requests

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        is_confirmed = again.options.confirmed
        await tell_before_writing([again], engine)
        return [
            await engine.retry(job, only_incomplete=args.failed, confirmed=is_confirmed, changes=changes, known=known)
        ]

    return _carried_out(submit, [earlier.target], args, settings)


def _retry_batch(wanted: BatchId, args: argparse.Namespace, settings: Settings) -> int:
    existing_store(settings.store, wanted)
    batch, parents, known = run_async(_batch(settings, wanted))
    if args.failed and is_complete(parents):
        return _nothing_to_retry(f"batch {wanted}", args)
    repeated, patterns = repeatable(batch, parents, only_incomplete=args.failed, repeated=known.of_last)
    if is_rest(repeated, known.of_last):
        rest = counted(len(repeated), "job")
        output.notice(f"the last retry of {wanted} ended before all were submitted: this one submits the other {rest}")
    for parent in patterns:
        output.notice(f"{named(parent.target)} is not repeated: what it stands for could not be listed; run it again")
    changes = _changes(args)
    repeat = partial(retry_request, only_incomplete=args.failed, confirmed="confirmed" in args, changes=changes)
    once_more = [repeat(parent) for parent in repeated]
    targets = [request.target for request in once_more]
    wait_for_servers(once_more)
    ask_for_missing(targets)
    allowed = confirmed(once_more, settings).requests
    is_confirmed = any(request.options.confirmed for request in allowed)

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        await tell_before_writing(allowed, engine)
        return await engine.retry_batch(
            wanted.number, only_incomplete=args.failed, confirmed=is_confirmed, changes=changes, known=known
        )

    return _carried_out(submit, targets, args, settings, many=True)


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in typed_options(args).items() if name != "confirmed"}


def _nothing_to_retry(what: str, args: argparse.Namespace) -> int:
    if args.json:
        output.document({"batch": None, "jobs": []})
    else:
        output.line(f"{what}: nothing is left, every operation completed")
    return OK


async def _job(settings: Settings, wanted: int) -> tuple[ParentJob, int]:
    """A job, and the newest one so far."""
    async with settings.engine() as engine:
        return await engine.job(wanted), await engine.newest_job()


async def _batch(settings: Settings, wanted: BatchId) -> tuple[Batch, Sequence[ParentJob], Retries]:
    """A batch, its jobs, and those that repeat them so far."""
    async with settings.engine() as engine:
        of, parents = await engine.batch(wanted.number), await engine.batch_jobs(wanted.number)
        return of, parents, await engine.retries(wanted.number)


def run_requests(store: StoreLocation, asked: Sequence[Request], *, as_json: bool) -> int:
    """Submit, watch, and print the result of jobs on a sample; the exit code."""
    how = Foreground(store=store)
    return in_foreground(how, _submitting(asked), printing(as_json=as_json), Config(), tells_unchecked=False)


def _submitting(
    asked: Sequence[Request],
    failed: Sequence[FailedRequest] = (),
    batch: BatchOptions = NO_BATCH_OPTIONS,
    *,
    strict: bool = False,
    tell: Callable[[Sequence[Request], Engine], Awaitable[None]] | None = None,
) -> Submit:
    """`tell`: called before they are submitted."""

    async def submit(engine: Engine) -> Sequence[ParentJob]:
        if tell is not None:
            await tell(asked, engine)
        return await engine.submit(
            asked,
            on_duplicate=OnDuplicate.MERGE,
            batch=batch,
            failed=failed,
            strict=strict,
            on_dropped=lambda error: output.error(error, as_json=False),
        )

    return submit


def _carried_out(
    submit: Submit, targets: Sequence[str], args: argparse.Namespace, settings: Settings, *, many: bool = False
) -> int:
    config = settings.config()
    if args.detach:
        worker = DetachedWorker(
            settings.store, workers=args.workers, config_path=settings.given_config, grace=args.grace
        )
        for target in targets:
            if lacks := worker.lacks(inspector.canonical_url(target)):
                why = f"{lacks}, and the worker process that runs already is not told it"
                hint = "put it into ~/.pgpass or ~/.my.cnf (mode 0600), or leave out --detach"
                raise UsageError(inspector.canonical_url(target), why, hint)
        recipients = [recipient.name for recipient in for_runs(config).notify]
        return run_async(_detached(settings.store, submit, worker, recipients, as_json=args.json))
    workers = args.workers or config.defaults.workers
    how = Foreground(
        store=settings.store,
        workers=max(min(workers, len(targets)), 1),
        max_running=max(workers, config.defaults.workers),
        grace=config.defaults.grace if args.grace is None else args.grace,
        retention=config.retention,
        config=settings.config_path,
    )
    how_told = printing(as_json=args.json, quiet=args.quiet, many=many)
    return in_foreground(how, submit, how_told, config, tells_unchecked=not vars(args).get("needed"))


def printing(*, as_json: bool, quiet: bool = False, many: bool = False) -> Printing:
    if as_json:
        return Printing(View(), partial(_print_json, since=now()))
    view: View = QuietView() if quiet else view_of_many() if many else view_for_stdout()
    return Printing(view, _print_batch if many else _print_each)


def in_foreground(
    how: Foreground, submit: Submit, how_told: Printing, config: Config, *, tells_unchecked: bool = True
) -> int:
    """Carry out jobs, print how they ended, and tell the recipients in the config that a run tells; the exit code.

    `tells_unchecked`: whether nobody was told before which databases were never checked.
    """
    with telling_people(how.store, for_runs(config)):
        jobs, code = carry_out(how, submit, how_told.view)
        how_told.print_result(jobs)
        if tells_unchecked:
            tell_unchecked(jobs)
    return code


def _print_json(jobs: Sequence[ParentJob], *, since: int) -> None:
    output.document({"batch": _batch_of(jobs, since), "jobs": [json_format.job(job) for job in jobs]})


def _batch_of(jobs: Sequence[ParentJob], since: int) -> int | None:
    """The batch that was made since then: jobs that were joined may belong to older ones."""
    newest = max(jobs, key=lambda job: job.id, default=None)
    return newest.batch if newest is not None and newest.created_at >= since else None


def _print_batch(jobs: Sequence[ParentJob]) -> None:
    """The sum of it, then what failed and why."""
    if jobs:
        output.line(batch_summary(jobs))
    for job in jobs:
        if outcome_of(job) in TROUBLE:
            output.line("\n".join(trouble_lines(job)))


def _print_each(jobs: Sequence[ParentJob]) -> None:
    for job in jobs:
        output.line(report.summary(job))
        for found in job_report.follow_up_lines(job):
            output.line(f"  {found}")


async def _detached(
    store: StoreLocation, submit: Submit, worker: DetachedWorker, recipients: Sequence[str], *, as_json: bool
) -> int:
    """Submit, see to it that a worker process carries on, and tell the ids.

    `recipients`: those that the worker process tells of what happened.
    """
    async with Engine.open(store) as engine:
        await engine.register_recipients(recipients)
        asked_at = now()
        jobs = await engine.whole_jobs([job.id for job in await submit(engine)])
        left = unattended(jobs, await engine.workers(), here=engine.host)
        wants_worker = engine.host is None or any(other_host(job, engine.host) is None for job in left)
        for job in jobs:
            if job.created_at < asked_at:
                output.notice(f"job #{job.id} already does exactly this")
        if pause := await engine.paused():
            output.notice(nothing_starts(pause))
        output.notice(*await unserved_jobs(engine, [job.id for job in jobs]))
    try:
        if wants_worker:
            worker.ensure()
    except StoreError:
        output.notice(f"waiting for a worker process: {', '.join(f'#{job.id}' for job in jobs)}")
        raise
    if as_json:
        _print_json(jobs, since=asked_at)
        return OK
    for job in jobs:
        output.line(str(job.id))
    if (batch := _batch_of(jobs, asked_at)) is not None:
        output.notice(f"these jobs are batch {BatchId(batch)}")
    return OK
