"""`dbtend history` and `show`: print jobs of the store. Neither creates one."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine import BatchId, Engine, HistoryFilter, JobId, ParentJob, StoreLocation, Trend
from engine.domain.errors import DbtendError, JobNotFoundError, UsageError
from engine.domain.lazy_import import lazy
from engine.domain.schedules import Firing, FiringStatus, Night
from engine.system.clock import now
from tui.commands import output, report
from tui.commands.naming import name_of
from tui.commands.run_async import run_async
from tui.commands.settings import Settings, one_job
from tui.commands.views import stdout_is_terminal
from tui.commands.waiting import notices
from tui.presentation import typed_values
from tui.presentation.exit_codes import OK
from tui.presentation.history_filter import Word, history_filter, if_not_found
from tui.presentation.target_names import TargetName, has_part

if TYPE_CHECKING:
    from engine.inspection import inspector
    from tui.commands import batches, job_report, targets
    from tui.presentation import history_csv, json_format, schedule_format
else:
    inspector = lazy("engine.inspection.inspector", "only a target that is looked for needs it")
    batches = lazy("tui.commands.batches", "only a batch needs it")
    job_report = lazy("tui.commands.job_report", "only `show` needs it")
    targets = lazy("tui.commands.targets", "only --target needs it")
    history_csv = lazy("tui.presentation.history_csv", "only --csv needs it")
    json_format = lazy("tui.presentation.json_format", "only --json needs it")
    schedule_format = lazy("tui.presentation.schedule_format", "only where schedules did not run")

_LISTED: Final = 50
"""Jobs, unless a limit is given."""
_PORTION: Final = 500
"""Jobs that are read at once."""


def existing_store(store: StoreLocation, wanted: object) -> StoreLocation:
    """Raises JobNotFoundError where there is no store, so that looking for `wanted` creates none."""
    if not store.exists():
        name = f"batch {wanted}" if isinstance(wanted, BatchId) else f"job #{wanted}"
        raise JobNotFoundError(name, "does not exist: nothing ran yet", "see dbtend --help for how to begin")
    return store


def history(args: argparse.Namespace, settings: Settings) -> int:
    settings.require_store()
    jobs: list[ParentJob] = []
    messages: list[str] = []
    unfired: list[Firing] = []
    if args.csv and args.json:
        raise UsageError("--csv", "does not go with --json", "leave one of them out")
    where = _filter(args, settings)
    if args.csv:
        return _csv(args, settings, where)
    args.limit = args.limit or _LISTED
    if settings.store.exists():
        jobs, messages, unfired = run_async(_page(settings, where, args, with_steps=args.json))
    if args.json:
        firings = [schedule_format.night_json(Night(firing=firing)) for firing in unfired]
        output.document({"jobs": [json_format.job(job) for job in jobs], "firings": firings})
    elif jobs:
        output.line("\n".join(report.history_table(jobs, short=stdout_is_terminal())))
        if len(jobs) == args.limit and jobs[-1].id > 1:
            output.notice(f"older jobs: add --before {jobs[-1].id}")
    else:
        about_text = if_not_found(map(Word, args.words), partial(_called, settings)) if where.error_words else ""
        meant = f" ({about_text})" if about_text else ""
        there = settings.store.exists()
        output.notice(f"no job matches{meant}" if there else f"there is no store yet: {settings.store}")
    if unfired and not args.json:
        output.line("\n".join(["", "Schedules that did not run:", *schedule_format.unfired_lines(unfired)]))
    output.notice(*messages)
    return OK


def _csv(args: argparse.Namespace, settings: Settings, where: HistoryFilter) -> int:
    output.write(history_csv.head())
    if settings.store.exists():
        output.notice(*run_async(_write_csv(settings, where, args)))
    return OK


async def _write_csv(settings: Settings, where: HistoryFilter, args: argparse.Namespace) -> list[str]:
    """Writes each portion at once: a history of years needs no more memory than one of a day."""
    before, left = args.before, args.limit
    async with settings.reading_engine() as engine:
        while left is None or left > 0:
            wanted = _PORTION if left is None else min(left, _PORTION)
            jobs = await engine.history(where, before=before, limit=wanted)
            output.write(await asyncio.to_thread(history_csv.lines, jobs, name_of))
            if len(jobs) < wanted:
                break
            before, left = jobs[-1].id, None if left is None else left - wanted
        return await notices(engine)


def _filter(args: argparse.Namespace, settings: Settings) -> HistoryFilter:
    """What the words and the options ask for; both may not say the same thing twice. Raises UsageError."""
    words = [Word(word) for word in args.words]
    found = history_filter(words, called=partial(_called, settings), now=datetime.now().astimezone())
    options = {"target": args.target, "status": args.status, "op": args.operation, "since": args.since}
    for name, option in {**options, "until": args.until}.items():
        if option is not None and any(word.text.startswith(f"{name}:") for word in words):
            raise UsageError(f"--{name}", f"there is also {name}: among the words", "leave one of them out")
    target, target_name = _target_or_name(args.target, settings)
    return replace(
        found,
        target=target,
        target_name=target_name,
        status=args.status or found.status,
        operation=args.operation or found.operation,
        since=found.since if args.since is None else args.since,
        until=found.until if args.until is None else args.until,
        error_words=(*([args.grep] if args.grep else []), *found.error_words),
    )


def _target_or_name(word: str | None, settings: Settings) -> tuple[str | None, str | None]:
    """The canonical URL of --target; or a name that the history shows, which is neither configured nor a file here."""
    if word is None:
        return None, None
    (entry,) = targets.target_entries([word], settings.config())
    is_place = entry.url != word or set(word) & set("/=") or word.startswith("sqlite:") or Path(word).exists()
    return (inspector.canonical_url(entry.url), None) if is_place else (None, word)


def _called(settings: Settings, part: str) -> frozenset[str]:
    """The targets of the config file with such a name or label; those that cannot be looked for never had a job."""
    urls = set()
    for entry in settings.config().targets:
        if has_part(TargetName.of(entry), part):
            with suppress(DbtendError):
                urls.add(inspector.canonical_url(entry.url))
    return frozenset(urls)


async def _page(
    settings: Settings, where: HistoryFilter, args: argparse.Namespace, *, with_steps: bool
) -> tuple[list[ParentJob], list[str], list[Firing]]:
    async with settings.reading_engine() as engine:
        jobs = await engine.history(where, before=args.before, limit=args.limit)
        whole = await engine.whole_jobs([job.id for job in jobs]) if with_steps else jobs
        messages, unfired = await asyncio.gather(notices(engine), _unfired(engine, where, jobs, args))
        return whole, messages, unfired


async def _unfired(
    engine: Engine, where: HistoryFilter, jobs: Sequence[ParentJob], args: argparse.Namespace
) -> list[Firing]:
    """The due times in the time of a page that did not fire; none where other jobs are looked for."""
    if where != HistoryFilter(schedule=where.schedule, since=where.since, until=where.until):
        return []
    has_more = len(jobs) == args.limit
    since = jobs[-1].created_at if has_more else where.since
    until = jobs[0].created_at if args.before is not None and jobs else where.until
    found = await engine.firings(where.schedule, since=since, until=until, limit=args.limit)
    return [firing for firing in found if firing.status is not FiringStatus.FIRED]


def show(args: argparse.Namespace, settings: Settings) -> int:
    wanted = typed_values.job_or_batch_id(one_job(args))
    if args.commands and args.json:
        raise UsageError("--commands", "does not go with --json, which has every command", "leave one of them out")
    if args.commands and isinstance(wanted, BatchId):
        raise UsageError("--commands", "is for one job: a batch shows no steps", "dbtend show JOB --commands")
    existing_store(settings.store, wanted)
    if isinstance(wanted, BatchId):
        return batches.show(wanted, args, settings)
    job, trends, messages = run_async(_job(settings, wanted, with_trends=not args.json))
    if args.json:
        form = json_format.job(job, with_log=True)
        if wanted.ordinal is not None:
            form["children"] = [child for child in form["children"] if child["id"] == str(wanted)]
        output.document({"jobs": [form]})
    else:
        only = wanted if wanted.ordinal is not None else None
        lines = [
            *job_report.job_lines(job, now(), only, commands=args.commands),
            *job_report.trend_lines(trends, only, job),
        ]
        output.line("\n".join(lines))
    output.notice(*messages)
    return OK


async def _job(
    settings: Settings, wanted: JobId, *, with_trends: bool
) -> tuple[ParentJob, tuple[Trend, ...], list[str]]:
    async with settings.reading_engine() as engine:
        job = await engine.job(wanted.parent)
        trends = await engine.trend(job) if with_trends else ()
        messages = [] if job.status.is_final else await notices(engine, [job.id])
    if wanted.ordinal is not None and wanted not in {child.id for child in job.children}:
        last = job.children[-1].id
        raise JobNotFoundError(
            f"job #{wanted}", "does not exist", f"the operations of this job are {job.id}.1 to {last}"
        )
    return job, trends, messages
