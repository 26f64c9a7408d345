"""What is known of targets beyond their surveys: it counts before the next survey."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.domain.surveys import NOT_INSPECTED, FleetLevel, Survey
from engine.fleet.levels import is_damaged
from engine.history.target_history import target_history

if TYPE_CHECKING:
    from engine.domain.overview import Overview
    from engine.domain.steps import Micros
    from engine.store.protocol import JobReader


async def damaged_since_survey(store: JobReader, overview: Overview) -> frozenset[str]:
    """The targets on record that are known to be damaged; opens none. `overview`: as the store made it."""
    surveyed_at = {survey.target: survey.surveyed_at for survey in overview.surveys}
    failed = {
        run.target
        for run in overview.runs
        if run.operation is Operation.CHECK
        and run.status is Status.FAILED
        and run.finished_at >= surveyed_at.get(run.target, 0)
    }
    known = overview.damaged & (surveyed_at.keys() | {run.target for run in overview.runs})
    of_checks = [url for url in failed - known if is_damaged(await target_history(store, url, overview.at))]
    return known | frozenset(of_checks)


def surveys_since_jobs(overview: Overview) -> tuple[Survey, ...]:
    """The surveys; the level of a target that could not be inspected is unknown once an operation has completed."""
    completed: dict[str, Micros] = {}
    for run in overview.runs:
        completed[run.target] = max(run.completed_at or 0, completed.get(run.target, 0))
    return tuple(
        replace(survey, level=FleetLevel.UNKNOWN, reasons=())
        if completed.get(survey.target, 0) > survey.surveyed_at
        and survey.reason is not None
        and survey.reason.cause in NOT_INSPECTED
        else survey
        for survey in overview.surveys
    )
