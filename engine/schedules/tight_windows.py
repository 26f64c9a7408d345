"""Windows that cannot hold their work, by how long the last runs took: no target is opened."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from statistics import median

from engine.config.model import Config
from engine.domain.due_times import next_due, stagger_offset
from engine.domain.frozen import frozen
from engine.domain.past_runs import EstimatedRun
from engine.domain.requests import Operation
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.fleet.patterns import member_name
from engine.schedules.night import PlannedOperation, PlannedTarget, PlannedWork, planned_night, work_at
from engine.schedules.overlaps import due_beside, places_of
from engine.targets import resolve
from engine.targets.lock_impact import Lock, LockImpact
from engine.targets.plans import OperationPlan, PlannedStep

_Seconds = Mapping[str, Mapping[Operation, float]]
"""How long an operation usually takes, by target."""


@frozen
class TightWindow:
    schedule: Schedule
    opens_at: Micros
    targets: int
    """How many of its targets are known."""
    left: int
    """How many of them would not be done."""


def tight_windows(
    config: Config, now: Micros, *, disabled: Collection[str], runs: Iterable[EstimatedRun], workers: int
) -> list[TightWindow]:
    """The next window of each schedule that cannot hold what is known of its work. Reads the disk.

    Nothing is known of targets on which an operation never completed, and of a schedule that does what is needed.
    """
    enabled = [one for one in config.schedules if one.name not in disabled and one.operations is not None]
    seconds = _usual_seconds(runs)
    targets = {one.name: _targets_of(one, config, seconds) for one in enabled}

    def work(schedule: Schedule, due: Micros) -> PlannedWork:
        return work_at(schedule, due, [_planned(one, schedule, seconds[one], due) for one in targets[schedule.name]])

    found = []
    for one in enabled:
        if not targets[one.name] or one.until is None or (due := next_due(one, now)) is None:
            continue
        own = work(one, due)
        night = planned_night(
            own.targets,
            opens_at=due,
            closes_at=own.closes_at,
            workers=workers,
            max_per_host=own.max_per_host,
            canary=own.canary,
            beside=[work(other, at) for other, dues in due_beside(one, due, enabled) for at in dues],
        )
        if left := sum(not target.is_whole for target in night.targets):
            found.append(TightWindow(one, due, len(night.targets), left))
    return found


def _usual_seconds(runs: Iterable[EstimatedRun]) -> _Seconds:
    took: dict[str, dict[Operation, list[float]]] = {}
    for run in runs:
        took.setdefault(run.target, {}).setdefault(run.operation, []).append(run.seconds)
    return {target: {one: median(those) for one, those in by.items()} for target, by in took.items()}


def _targets_of(schedule: Schedule, config: Config, seconds: _Seconds) -> Sequence[str]:
    """Those of its targets of which something is known."""
    places = list(places_of(schedule, config))
    return [
        target
        for target, by in seconds.items()
        if not by.keys().isdisjoint(schedule.operations or ())
        and any(url == target or member_name(url, target, exclude) for url, exclude in places)
    ]


def _planned(target: str, schedule: Schedule, seconds: Mapping[Operation, float], due: Micros) -> PlannedTarget:
    return PlannedTarget(
        target=target,
        operations=[
            PlannedOperation(plan=_plan(one, seconds[one]), fit=schedule.settings.get("fit", True))
            for one in schedule.operations or ()
            if one in seconds
        ],
        host=resolve(target).host_key,
        starts_at=due + stagger_offset(schedule, target),
    )


def _plan(operation: Operation, seconds: float) -> OperationPlan:
    step = PlannedStep(object="", command="", reason="", lock=Lock(LockImpact.NONE), estimate=seconds)
    return OperationPlan(operation=operation, steps=(step,))
