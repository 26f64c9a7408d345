"""Windows that cannot hold their work, by how long the last runs took: no target is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from engine.config.model import Config
from engine.domain.due_times import next_due, stagger_offset
from engine.domain.frozen import frozen
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import Operation
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.domain.surveys import Survey
from engine.fleet.levels import may_be_needed
from engine.fleet.patterns import member_name
from engine.schedules.night import (
    PlannedNight,
    PlannedOperation,
    PlannedTarget,
    PlannedWork,
    plan_of_length,
    planned_night,
    work_at,
)
from engine.schedules.overlaps import due_beside, places_of
from engine.targets import resolve

_Seconds = Mapping[str, Mapping[Operation, float]]
"""How long an operation usually takes, by target."""


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
    worker. Targets on which an operation never completed are not counted; what they need is known from `surveys`.
    """
    enabled = [schedule for schedule in config.schedules if schedule.name not in disabled]
    seconds = _usual_seconds(runs)
    planned = {schedule.name: _planned_targets(schedule, config, seconds, surveys) for schedule in enabled}

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


def _usual_seconds(runs: Iterable[EstimatedRun]) -> _Seconds:
    took: dict[str, dict[Operation, list[float]]] = {}
    for run in runs:
        took.setdefault(run.target, {}).setdefault(run.operation, []).append(run.seconds)
    return {
        target: {operation: median(durations) for operation, durations in by.items()} for target, by in took.items()
    }


def _planned_targets(
    schedule: Schedule, config: Config, seconds: _Seconds, surveys: Mapping[str, Survey]
) -> Sequence[PlannedTarget]:
    """The targets of a schedule about which something is known."""
    places, fit = list(places_of(schedule, config)), schedule.settings.get("fit", True)
    return [
        PlannedTarget(
            target=target,
            operations=[
                PlannedOperation(plan=plan_of_length(operation, by[operation]), fit=fit) for operation in operations
            ],
            host=resolve(target).host_key,
        )
        for target, by in seconds.items()
        if (
            operations := [operation for operation in _operations(schedule, by, surveys.get(target)) if operation in by]
        )
        and any(url == target or member_name(url, target, exclude) for url, exclude in places)
    ]


def _operations(schedule: Schedule, known: Iterable[Operation], survey: Survey | None) -> Iterable[Operation]:
    if schedule.operations is not None:
        return schedule.operations
    return () if survey is None else [operation for operation in known if may_be_needed(operation, survey)]
