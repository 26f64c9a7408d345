"""Fires one schedule as a permanent worker would, for those who let systemd or cron start it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from engine.config.model import Config
from engine.domain.due_times import due_times_until
from engine.domain.schedules import Firing, FiringStatus, Schedule, ScheduleState, other_config
from engine.domain.steps import Micros
from engine.schedules.config_names import config_name, fired_by
from engine.schedules.decisions import IN_TIME, decide
from engine.schedules.firing import fire_and_record
from engine.store.protocol import Store
from engine.submission.manager import DatabaseMaintenanceManager

MOST: Final = 1_000
"""Due times that are recorded: the newest."""


async def fire_as_due(
    store: Store,
    manager: DatabaseMaintenanceManager,
    schedule: Schedule,
    config: Config,
    file: Path,
    clock: Callable[[], Micros],
) -> Firing | None:
    """Fire a schedule if it is due and its window is open, and record its missed due times.

    Returns the record of its last due time; None if nothing was left to do. `file`: the absolute path of `config`.

    Raises UsageError: another config file has a schedule of this name, or its targets cannot be listed; the latter is
    recorded, too. A defect is recorded and raised unchanged.
    """
    now = clock()
    states = await store.schedule_states()
    name = config_name(file, store)
    other = other_config(states.get(schedule.name), name)
    if other and (error := await fired_by(other, schedule.name, store)) is not None:
        raise error
    since = await _known_since(store, schedule, states, name, now)
    handled = await store.last_handled(schedule.name, now)
    due = [*deque(due_times_until(schedule, max(since, handled or 0), now), maxlen=MOST)]
    if schedule.name not in states:  # older due times are unknown
        due = due[-1:]
    if not due or _is_disabled(schedule, states):
        return None
    decision = decide(schedule, due, now, clock_changed=False)
    missed = await store.record_firings(decision.missed)
    if decision.fires is None:
        return missed[-1] if missed else None
    firing = Firing(schedule=schedule.name, due_at=decision.fires, status=FiringStatus.FIRED, recorded_at=now)
    recorded = await fire_and_record(store, manager, schedule, config, firing, clock)
    if recorded.error is not None:
        raise recorded.error
    return recorded.firing


def _is_disabled(schedule: Schedule, states: Mapping[str, ScheduleState]) -> bool:
    state = states.get(schedule.name)
    return state is not None and state.disabled_at is not None


async def _known_since(
    store: Store, schedule: Schedule, states: Mapping[str, ScheduleState], config: str, now: Micros
) -> Micros:
    """After when its due times count: from when it is first seen, and those that are in time then."""
    state = states.get(schedule.name)
    if state is not None and (state.start, state.config) == (schedule.definition, config):
        return state.since
    seconds = max(schedule.catch_up, IN_TIME)
    seen = ScheduleState(name=schedule.name, start=schedule.definition, config=config, since=now - round(seconds * 1e6))
    await store.observe_schedules([seen])
    return (await store.schedule_states())[schedule.name].since
