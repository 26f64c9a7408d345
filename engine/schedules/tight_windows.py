"""Windows that cannot hold their work, by how long the last runs took: no target is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from engine.config.model import Config, TargetEntry
from engine.domain.due_times import next_due, stagger_offset
from engine.domain.errors import DbtendError
from engine.domain.frozen import frozen
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import Operation
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.domain.surveys import Survey
from engine.fleet.levels import may_be_needed
from engine.fleet.patterns import member_name
from engine.fleet.target_words import entries_of
from engine.history.estimates import usual_seconds
from engine.inspection.inspector import canonical_url
from engine.schedules.night import (
    PlannedNight,
    PlannedOperation,
    PlannedTarget,
    PlannedWork,
    plan_of_length,
    planned_night,
    work_at,
)
from engine.schedules.overlaps import due_beside
from engine.schedules.work import request_of
from engine.targets import resolve


@frozen
class TightWindow:
    schedule: Schedule
    opens_at: Micros
    targets: int
    """How many of its targets are known."""
    left: int
    """How many of them would not be done by then."""
    ends_at: Micros
    """When the window closes; of one that does not close: when the next schedule starts."""
    next: str | None = None
    """The schedule that starts then; None: the window closes."""


def tight_windows(
    config: Config,
    now: Micros,
    *,
    disabled: Collection[str],
    runs: Iterable[EstimatedRun],
    surveys: Mapping[str, Survey],
    workers: int,
) -> list[TightWindow]:
    """The next window of each schedule that cannot hold what is known of its work. Reads the disk.

    A window without an end lasts until the schedule is due again, or until another one starts that would find no free
    worker. Operations that never completed on a target with such options are not counted; how long others take is
    estimated as in a plan.

    Args:
        runs: the newest first.
        surveys: by target, of those that no job has changed since.
    """
    enabled = [schedule for schedule in config.schedules if schedule.name not in disabled]
    of_target: dict[str, list[EstimatedRun]] = {}
    for run in runs:
        of_target.setdefault(run.target, []).append(run)
    planned = {schedule.name: _planned_targets(schedule, config, of_target, surveys) for schedule in enabled}

    def work(schedule: Schedule, due: Micros) -> PlannedWork:
        targets = [
            replace(target, starts_at=due + stagger_offset(schedule, target.target))
            for target in planned[schedule.name]
        ]
        return work_at(schedule, due, targets)

    windows = []
    for schedule in enabled:
        if not planned[schedule.name] or (due := next_due(schedule, now)) is None:
            continue
        own = work(schedule, due)
        beside = [work(other, at) for other, dues in due_beside(schedule, due, enabled) for at in dues]
        night = planned_night(own, workers=workers, beside=beside)
        if own.closes_at is None:
            tight = _still_running(schedule, night, enabled)
        else:
            left = sum(not target.is_whole for target in night.targets)
            tight = TightWindow(schedule, due, len(night.targets), left, own.closes_at) if left else None
        if tight is not None:
            windows.append(tight)
    return windows


def _still_running(schedule: Schedule, night: PlannedNight, enabled: Iterable[Schedule]) -> TightWindow | None:
    """The next start that would find this one running: its own, else that of another one, without a free worker."""
    due = night.opens_at
    for starting in sorted(enabled, key=lambda other: other is not schedule):
        if (at := next_due(starting, due)) is not None:
            left = sum(bool(target.runs) and target.runs[-1].ends_at > at for target in night.targets)
            if left >= (1 if starting is schedule else night.workers):
                return TightWindow(schedule, due, len(night.targets), left, at, starting.name)
    return None


def _planned_targets(
    schedule: Schedule, config: Config, runs: Mapping[str, Sequence[EstimatedRun]], surveys: Mapping[str, Survey]
) -> Sequence[PlannedTarget]:
    """The targets of a schedule about which something is known."""
    places, fit = _entries(schedule, config), schedule.settings.get("fit", True)
    planned = []
    for target, past in runs.items():
        entry = next(
            (entry for entry in places if entry.url == target or member_name(entry.url, target, entry.exclude)), None
        )
        if entry is None:
            continue
        request, survey = request_of(schedule, replace(entry, url=target)), surveys.get(target)
        # What is needed is narrowed, as it was in the last run.
        options = request.options if schedule.operations is not None else None
        operations = request.operations if options is not None else _needed(request.operations, survey)
        size = None if survey is None else survey.size
        seconds = {operation: usual_seconds(operation, options, past, size) for operation in operations}
        known = [
            PlannedOperation(plan=plan_of_length(operation, usual), fit=fit)
            for operation, usual in seconds.items()
            if usual is not None
        ]
        if known:
            planned.append(PlannedTarget(target=target, operations=known, host=resolve(target).host_key))
    return planned


def _entries(schedule: Schedule, config: Config) -> list[TargetEntry]:
    """What a schedule names, by canonical URLs. Reads the disk."""
    try:
        return [
            replace(entry, url=canonical_url(entry.url), exclude=(*schedule.exclude, *entry.exclude))
            for entry in entries_of(schedule, config)
        ]
    except DbtendError:  # to fire it says why
        return []


def _needed(operations: Iterable[Operation], survey: Survey | None) -> tuple[Operation, ...]:
    return () if survey is None else tuple(operation for operation in operations if may_be_needed(operation, survey))
