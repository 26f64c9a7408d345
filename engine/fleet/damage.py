"""What is known of targets beyond their surveys: it counts before the next survey."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.fleet.levels import is_damaged
from engine.history.target_history import target_history

if TYPE_CHECKING:
    from engine.domain.overview import LastRun, Overview
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


def unreachable_since_survey(overview: Overview) -> frozenset[str]:
    """Targets that the newest job after their last survey could not open."""
    surveyed_at = {survey.target: survey.surveyed_at for survey in overview.surveys}
    newest: dict[str, LastRun] = {}
    for run in overview.runs:
        if run.target not in newest or run.finished_at > newest[run.target].finished_at:
            newest[run.target] = run
    return frozenset(
        target
        for target, run in newest.items()
        if run.reason is Reason.UNREACHABLE and run.finished_at >= surveyed_at.get(target, 0)
    )
