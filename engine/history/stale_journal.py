"""A stale journal: its database file was overwritten, and SQLite would apply it to the new file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from engine.domain.engines import EngineName
from engine.domain.errors import TargetRefusedError
from engine.domain.events import HistoryFilter
from engine.domain.humanize import listed
from engine.domain.jobs import ParentJob
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Micros
from engine.store.ending_texts import OVERWRITTEN
from engine.system.overwritten_file import leftover_journals, overwritten_hint, target_path, was_overwritten

if TYPE_CHECKING:
    from engine.store.protocol import JobReader

MAX_JOBS_READ: Final = 10
"""The newest jobs of a database that are read."""


async def refuse_stale_journal(store: JobReader, target: str) -> None:
    """Raises TargetRefusedError if the journal of a file that was overwritten during a job still lies beside it."""
    if not await asyncio.to_thread(leftover_journals, target):
        return
    jobs = await store.history(HistoryFilter(target=target), before=None, limit=MAX_JOBS_READ)
    for job in jobs:
        if job.engine == EngineName.SQLITE and _lost_its_process(job):
            at = _overwritten_at(await store.job(job.id))
            beside = [] if at is None else await asyncio.to_thread(leftover_journals, target, at)
            if beside:
                why = f"{OVERWRITTEN} (#{job.id}), and {listed(beside)} of the old one is still there"
                raise TargetRefusedError(
                    str(target_path(target)), why, await asyncio.to_thread(overwritten_hint, target)
                )


def _lost_its_process(job: ParentJob) -> bool:
    return any(child.status is Status.FAILED and child.reason is Reason.OWNER_LOST for child in job.children)


def _overwritten_at(job: ParentJob) -> Micros | None:
    ends: Sequence[Micros | None] = [
        attempt.finished_at
        for child in job.children
        for attempt in child.attempts
        if was_overwritten(job.engine, attempt.signal)
    ]
    return max((end for end in ends if end is not None), default=None)
