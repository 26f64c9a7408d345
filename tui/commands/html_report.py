"""`dbtend report`: what happened in the last days, as one page of HTML."""

from __future__ import annotations

import argparse
import asyncio
import socket
from dataclasses import replace
from typing import Final

from engine import Engine
from engine.config.model import Config
from engine.domain.errors import UsageError
from engine.domain.overview import Overview
from engine.domain.steps import Micros
from engine.domain.surveys import FleetLevel, Survey, SurveyCause, SurveyReason
from engine.fleet.target_words import configured_entries
from engine.inspection import inspector
from engine.system.clock import now
from tui.commands import output
from tui.commands.metrics import chosen
from tui.commands.naming import target_name_of, tell_apart
from tui.commands.output_file import replace_file
from tui.commands.report import instructions
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.presentation import typed_values
from tui.presentation.exit_codes import OK
from tui.presentation.page.layouts import layouts_of, may_have_maps
from tui.presentation.page.period import Period
from tui.presentation.page.report import report_page
from tui.presentation.page.runs import Run, run_of
from tui.presentation.schedule_format import ScheduleRow

_DAYS: Final = "7d"
_MOST_JOBS: Final = 50_000
_PORTION: Final = 500
"""Jobs that are read at once."""
_MOST_FIRINGS: Final = 10_000
_MODE: Final = 0o640
"""The mode of the file: it names databases and their problems."""


def report(args: argparse.Namespace, settings: Settings) -> int:
    settings.require_store()
    if args.html is None:
        raise UsageError("report", "needs --html FILE", "such as: dbtend report --since 7d --html report.html")
    config = settings.config()
    since = typed_values.since(_DAYS) if args.since is None else args.since
    page = run_async(_page(settings, config, since))
    replace_file(args.html, page.encode(), _MODE, settings)
    output.remark(f"report: {args.html}")
    return OK


async def _page(settings: Settings, config: Config, since: int) -> str:
    """Made in here: asyncio.run makes a text of what it returns, which of many thousand jobs takes seconds."""
    found = await _period(settings, config, since)
    tell_apart(sorted({*found.surveys, *(job.target for job in found.jobs)}))
    host, version = socket.gethostname(), typed_values.version()
    return report_page(found, named=target_name_of, host=host, store=str(settings.store), version=version)


async def _period(settings: Settings, config: Config, since: int) -> Period:
    at = now()
    if since > at:
        raise UsageError("--since", "is in the future: nothing has happened yet", "give a date or an age such as 7d")
    async with settings.reading_engine() as engine:
        jobs = await _jobs(engine, since)
        overview = await engine.overview()
        states = await engine.schedule_states()
        rows = [
            ScheduleRow(
                schedule=schedule,
                state=states.get(schedule.name),
                nights=await engine.nights(schedule.name, limit=1),
                config=str(settings.config_path.absolute()),
            )
            for schedule in config.schedules
        ]
        surveys = await asyncio.to_thread(_told, overview, config)
        targets = {*surveys, *(job.target for job in jobs)}
        return Period(
            since=since,
            until=at,
            jobs=jobs[:_MOST_JOBS],
            is_cut=len(jobs) > _MOST_JOBS,
            surveys=surveys,
            firings=await engine.firings(since=since, limit=_MOST_FIRINGS),
            schedules=rows,
            next_due=await engine.next_due(targets, config),
            is_served=await engine.fires_schedules(settings.config_path),
            layouts=layouts_of(await engine.jobs(may_have_maps(jobs))),
        )


async def _jobs(engine: Engine, since: Micros) -> list[Run]:
    """The jobs of the period, newest first; at most one more than the page lists."""
    found = {job.id: run_of(job, instructions) for job in await engine.open_jobs()}
    ids = await engine.ended_jobs(since, limit=_MOST_JOBS + 1)
    for begin in range(0, len(ids), _PORTION):
        jobs = await engine.jobs(ids[begin : begin + _PORTION])
        found |= {job.id: run_of(job, instructions) for job in jobs}
    return sorted(found.values(), key=lambda job: -job.id)[: _MOST_JOBS + 1]


def _told(overview: Overview, config: Config) -> dict[str, Survey]:
    """With targets in the config file, its schedules included, only those of them."""
    surveys = {survey.target: survey for survey in overview.surveys}
    surveys |= {target: _damaged(target, surveys.get(target), overview) for target in overview.damaged}
    return {target: surveys[target] for target in chosen(surveys, configured_entries(config))}


def _damaged(target: str, survey: Survey | None, overview: Overview) -> Survey:
    """Its survey, if there is one, with what a job found since."""
    reason = SurveyReason(FleetLevel.CRITICAL, SurveyCause.DAMAGE)
    at = max(run.finished_at for run in overview.runs if run.target == target)
    found = survey or Survey(
        target=target, engine=inspector.engine_named_by(target), surveyed_at=at, level=reason.level
    )
    return replace(found, surveyed_at=at, level=reason.level, reasons=(reason, *found.reasons))
