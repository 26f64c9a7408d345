"""Fires a schedule: what it does now becomes a batch of jobs."""

from __future__ import annotations

from collections.abc import Callable

from engine.config.model import Config
from engine.domain.due_times import firing_closes_at, stagger_offset
from engine.domain.schedules import Firing, FiringReason, Schedule
from engine.domain.steps import Micros
from engine.schedules.work import work_of
from engine.store.protocol import Store
from engine.submission.manager import DatabaseMaintenanceManager


async def fire(
    store: Store,
    manager: DatabaseMaintenanceManager,
    schedule: Schedule,
    config: Config,
    firing: Firing,
    clock: Callable[[], Micros],
) -> Firing | None:
    """Submit what a schedule does now, with its firing; see `ScheduleStore.fire`.

    One that a person starts is not spread, and has a window only while one is open. Raises UsageError.
    """
    work = await work_of(schedule, config, store, clock)

    def starts_at(target: str) -> Micros:
        return firing.due_at + stagger_offset(schedule, target)

    return await manager.fire(
        firing,
        work.requests,
        failed=work.failed,
        batch=config.defaults.batch_options((one.target for one in work.requests), schedule.batch),
        closes_at=firing_closes_at(schedule, firing),
        starts_at=None if firing.reason is FiringReason.BY_HAND else starts_at,
    )
