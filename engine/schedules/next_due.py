"""When each target is due next, by all schedules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from engine.config.model import Config
from engine.domain.due_times import next_due
from engine.domain.errors import DbtendError
from engine.domain.schedules import Schedule, ScheduleState
from engine.domain.steps import Micros
from engine.fleet.patterns import member_name
from engine.fleet.target_words import entries_of
from engine.inspection import inspector


def next_due_of(
    targets: Collection[str], config: Config, states: Mapping[str, ScheduleState], now: Micros
) -> dict[str, Micros]:
    """The next due time of targets that an enabled schedule names, by canonical URL.

    Reads the disk; no target is opened.
    """
    found: dict[str, Micros] = {}
    for schedule in config.schedules:
        state = states.get(schedule.name)
        due = next_due(schedule, now) if state is None or state.disabled_at is None else None
        if due is None:
            continue
        for target in _named_by(schedule, targets, config):
            found[target] = min(due, found.get(target, due))
    return found


def _named_by(schedule: Schedule, targets: Collection[str], config: Config) -> Iterator[str]:
    try:
        entries = entries_of(schedule, config)
        places = [(inspector.canonical_url(entry.url), (*schedule.exclude, *entry.exclude)) for entry in entries]
    except DbtendError:  # to fire it says why
        return
    single = {url for url, _ in places}
    for target in targets:
        if target in single or any(member_name(url, target, exclude) for url, exclude in places):
            yield target
