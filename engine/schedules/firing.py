"""Fires a schedule: what it does now becomes a batch of jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.config.model import Config
from engine.domain.due_times import firing_closes_at, stagger_offset
from engine.domain.errors import DbtendError, StoreError, internal_error
from engine.domain.frozen import frozen
from engine.domain.humanize import listed
from engine.domain.schedules import Firing, FiringReason, FiringStatus, Schedule
from engine.domain.steps import Micros
from engine.schedules.work import work_of
from engine.store.protocol import Store
from engine.submission.manager import DatabaseMaintenanceManager

log = logging.getLogger("dbtend")


@frozen
class Recorded:
    """What became of a due time."""

    firing: Firing | None
    """The recorded firing; None if another process was first."""
    error: Exception | None = None
    """Why it could not fire."""


async def fire_and_record(
    store: Store,
    manager: DatabaseMaintenanceManager,
    schedule: Schedule,
    config: Config,
    firing: Firing,
    clock: Callable[[], Micros],
) -> Recorded:
    """Fire a due time, and record in any case what became of it: also that it could not fire, and why.

    While the night before is open no target is looked at. Raises StoreError: nothing is recorded.
    """
    if await store.open_batch(schedule.name) is not None:
        return Recorded(_only(await store.record_firings([skipped(firing)])))
    try:
        return Recorded(await fire(store, manager, schedule, config, firing, clock))
    except StoreError:
        raise
    except Exception as error:
        if not isinstance(error, DbtendError):
            log.exception("schedule %s", schedule.name)
        why = str(error if isinstance(error, DbtendError) else internal_error(error))
        failed = replace(firing, status=FiringStatus.MISSED, reason=FiringReason.NOT_STARTED, error=why)
        return Recorded(_only(await store.record_firings([failed])), error)


def skipped(firing: Firing) -> Firing:
    """A due time that came while the night before was open."""
    return replace(firing, status=FiringStatus.SKIPPED, reason=FiringReason.STILL_RUNNING)


def _only(recorded: Iterable[Firing]) -> Firing | None:
    return next(iter(recorded), None)


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
    if work.by_hand:
        firing = replace(firing, error=listed([str(one.error) for one in work.by_hand], 3))

    def starts_at(target: str) -> Micros:
        return firing.due_at + stagger_offset(schedule, target)

    return await manager.fire(
        firing,
        work.requests,
        failed=work.failed,
        batch=config.defaults.batch_options((request.target for request in work.requests), schedule.batch),
        closes_at=firing_closes_at(schedule, firing),
        starts_at=None if firing.reason is FiringReason.BY_HAND else starts_at,
    )
