"""A journal that has outlived its file, as another was written over that: whoever opens the new one applies it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from engine.domain.errors import TargetRefusedError
from engine.domain.events import HistoryFilter
from engine.domain.humanize import OVERWRITTEN, listed
from engine.domain.jobs import EngineName, Micros, Reason, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domain.jobs import ParentJob
    from engine.store.protocol import Store

JOBS_LOOKED_AT: Final = 10
"""The newest that many of a database."""


def overwritten(engine: str, signal_number: int | None) -> bool:
    """Whether a process that ended like this died because another file was written over the one that it read."""
    return engine == EngineName.SQLITE and signal_number == signal.SIGBUS


def what_to_do(target: str) -> str:
    """What to do about the file with this canonical URL that was overwritten, and first with what lies beside it."""
    name, beside = _path(target).name, journals(target)
    if beside:
        return f"remove {listed(beside)} before any program opens {name}, then put a good copy in its place"
    return "put a good copy in its place while no program has it open"


def journals(target: str, until: Micros | None = None) -> list[str]:
    """The names of those beside this file that are not empty. `until`: and that nobody has written since."""
    return [path.name for end in ("-journal", "-wal") if _holds(path := Path(f"{_path(target)}{end}"), until)]


async def refuse(store: Store, target: str) -> None:
    """Raises TargetRefusedError where the journal of a file that was overwritten under a job still lies beside it."""
    jobs = await store.history(HistoryFilter(target=target), before=None, limit=JOBS_LOOKED_AT)
    for job in jobs:
        if job.engine is EngineName.SQLITE and _lost_its_process(job):
            at = _overwritten_at(await store.job(job.id))
            beside = [] if at is None else await asyncio.to_thread(journals, target, at)
            if beside:
                why = f"{OVERWRITTEN} (#{job.id}), and {listed(beside)} of the old one is still there"
                raise TargetRefusedError(str(_path(target)), why, await asyncio.to_thread(what_to_do, target))


def _lost_its_process(job: ParentJob) -> bool:
    return any(child.status is Status.FAILED and child.reason is Reason.OWNER_LOST for child in job.children)


def _overwritten_at(job: ParentJob) -> Micros | None:
    ends: Sequence[Micros | None] = [
        attempt.finished_at
        for child in job.children
        for attempt in child.attempts
        if overwritten(job.engine, attempt.signal)
    ]
    return max((end for end in ends if end is not None), default=None)


def _path(target: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(target.removeprefix("sqlite://"))))


def _holds(path: Path, until: Micros | None) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size > 0 and (until is None or status.st_mtime_ns // 1000 <= until)
