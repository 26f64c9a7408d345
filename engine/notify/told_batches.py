"""The batches of whose jobs a message tells, each with the due time that started it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final, Protocol

from engine.domain.errors import JobNotFoundError
from engine.domain.notifications import Event, ToldBatch
from engine.domain.schedules import Firing
from engine.domain.steps import Micros
from engine.store.protocol import JobReader, ScheduleStore

_LOOKED_AT: Final = 100
"""The due times before a batch among which its own one is."""


class _Store(JobReader, ScheduleStore, Protocol):
    pass


async def told_batches(events: Iterable[Event], store: _Store) -> tuple[ToldBatch, ...]:
    """The batches of a message, in order, without those removed since. Raises StoreError."""
    jobs = await store.jobs(dict.fromkeys(event.job.parent for event in events if event.job is not None))
    schedules = {job.batch: job.schedule for job in jobs if job.batch is not None}
    batches = []
    for number, schedule in sorted(schedules.items()):
        with suppress(JobNotFoundError):
            batch = await store.batch(number)
            batches.append(ToldBatch(batch, await _firing_of(number, schedule, batch.created_at, store)))
    return tuple(batches)


async def _firing_of(batch: int, schedule: str | None, created_at: Micros, store: ScheduleStore) -> Firing | None:
    if schedule is None:
        return None
    firings = await store.firings(schedule, until=created_at, limit=_LOOKED_AT)
    return next((firing for firing in firings if firing.batch == batch), None)
