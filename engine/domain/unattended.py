"""Open jobs that no worker process will run: pure."""

from __future__ import annotations

from collections.abc import Iterable

from engine.domain.events import WorkerProcess
from engine.domain.jobs import ParentJob


def unattended(parents: Iterable[ParentJob], workers: Iterable[WorkerProcess]) -> list[ParentJob]:
    """The open parents that no live process runs or will run."""
    alive = [worker for worker in workers if worker.alive]
    if any(worker.serves_all for worker in alive):
        return []
    worked_on = {job.parent for worker in alive for job in worker.running}
    worked_on |= {parent_id for worker in alive for parent_id in worker.own_jobs}
    return [parent for parent in parents if parent.id not in worked_on]
