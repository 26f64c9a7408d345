"""The end of a run before its jobs are over, because a signal asks for it.

Ctrl-C cancels. At a shutdown of the system, running jobs get the grace period; then the rest continues in a
worker process if one runs. Without one it is cancelled: it must not start hours later, at an unexpected
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from engine import BatchId, Engine, JobId, ParentJob, Reason, Status, StoreLocation
from engine.domain.errors import StoreError
from engine.domain.humanize import listed
from tui.commands.naming import command, named
from tui.workers.detached import is_served
from tui.workers.run_workers import RunWorkers
from tui.workers.signals import Stop
from tui.workers.tasks import first_of, patiently

Announce = Callable[[str], None]
CANCEL_TRIES = 6
"""How often a cancel is tried; each time waits as long as the store lets a writer wait."""
CANCEL_PAUSE = 1.0
"""Seconds between two tries."""
OVER_WITHIN = 60.0
"""Seconds in which a job that was cancelled ends that no process runs: then the store cannot be written."""
_NAMED: Final = 5
"""Jobs that one line names; of more it gives the number."""
_NOBODY: Final = "there is no worker process to go on with it"


async def end_on_signal(
    stop: Stop,
    engine: Engine,
    workers: RunWorkers,
    store: StoreLocation,
    ids: Collection[int],
    own: Collection[int],
    grace: float,
    announce: Announce,
) -> None:
    """Return when a signal came and the jobs are over, or are to be handed over once its processes have ended.

    Args:
        workers: the processes of this run.
        ids: the jobs that are waited for.
        own: those of them that were asked for here; others are left to who carries them out.
        grace: seconds that what runs may go on for, unless a person is waiting.
    """
    await stop.asked.wait()
    if stop.by_person:
        await _cancel(engine, await _unattended_jobs(engine, workers, ids, own), Reason.CANCELLED_BY_USER, announce)
        return
    await _let_run(engine, workers, grace, announce)
    if not await _goes_on(engine, store):
        await _cancel_remaining(engine, await _unattended_jobs(engine, workers, ids, own), announce)


async def _unattended_jobs(
    engine: Engine, workers: RunWorkers, ids: Collection[int], own: Collection[int]
) -> Collection[int]:
    """Where no other process lives that carries out jobs, those that were asked for elsewhere are left by the dead."""
    others = any(process.alive and not workers.include(process) for process in await engine.workers())
    return own if others else ids


async def _goes_on(engine: Engine, store: StoreLocation) -> bool:
    """Whether a worker process takes on the jobs that are left."""
    if is_served(store.path):
        return True
    return engine.host is not None and any(process.alive and process.serves_all for process in await engine.workers())


async def hand_over(engine: Engine, store: StoreLocation, own: Collection[int], announce: Announce) -> None:
    """Leave the jobs that were handed back to a worker process, unless that has ended by now."""
    if not await _goes_on(engine, store):
        for job in await _cancel_remaining(engine, own, announce):
            announce(
                f"{_name(job)} is still open, and the next worker process carries it out:"
                f" {command(f'cancel {job.id}')} prevents that"
            )
    elif left := await _left(engine, own):
        announce(f"{listed([_name(job) for job in left], most=_NAMED)}: left to a worker process")


async def _let_run(engine: Engine, workers: RunWorkers, grace: float, announce: Announce) -> None:
    """Let nothing begin in these processes any more, and wait until nothing runs there, for so many seconds at most."""
    changes = engine.changes()
    workers.drain()
    if grace and (running := await run_by(engine, workers)):
        announce(f"waiting up to {grace:g} s for {', '.join(await as_text(engine, running))}")
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            while await run_by(engine, workers):
                await anext(changes)


async def run_by(engine: Engine, workers: RunWorkers) -> list[JobId]:
    """The children that the processes of this run are running."""
    return [job for process in await engine.workers() if workers.include(process) for job in process.running]


async def as_text(engine: Engine, running: Collection[JobId]) -> list[str]:
    """`#1.1 sales.db vacuum` for each."""
    jobs = {job.id: job for job in await engine.jobs({job.parent for job in running})}
    return [_operation(jobs[job.parent], job) for job in running]


def _operation(parent: ParentJob, job: JobId) -> str:
    operation = next(child.operation for child in parent.children if child.id == job)
    return f"#{job} {named(parent.target)} {operation}"


async def _cancel_remaining(engine: Engine, own: Collection[int], announce: Announce) -> list[ParentJob]:
    """Cancel the remaining jobs. Returns those that could not be cancelled."""
    left = await _left(engine, own)
    if not await _keep_cancelling(engine, left, Reason.SHUTDOWN, announce, _NOBODY):
        return left
    ids = [job.id for job in left]
    await first_of(engine.wait(ids), _skip_recovery(engine, ids), _left_by_all(engine, ids))
    for job in await _left(engine, ids):
        announce(f"{_name(job)}: its end could not be stored, and is left to a worker process")
    return []


async def _cancel(engine: Engine, ids: Collection[int], reason: Reason, announce: Announce) -> None:
    if await _keep_cancelling(engine, await _left(engine, ids), reason, announce):
        await engine.wait(ids)


async def _left_by_all(engine: Engine, ids: Collection[int]) -> None:
    """Return when no process has run one of these jobs for some time."""
    runs = True
    while runs:
        await asyncio.sleep(OVER_WITHIN)
        processes = await patiently(engine.workers)
        runs = any(job.parent in ids for process in processes if process.alive for job in process.running)


async def _skip_recovery(engine: Engine, ids: Collection[int]) -> None:
    """Cancel recoveries as soon as they are pending: perhaps no process is left that could run them."""
    changes = engine.changes()
    while True:
        for job in await engine.jobs(ids):
            if any(child.recovering and child.status is Status.PENDING for child in job.children):
                await engine.cancel(JobId(job.id))
        await anext(changes)


async def _keep_cancelling(
    engine: Engine, jobs: Sequence[ParentJob], reason: Reason, announce: Announce, why: str = ""
) -> bool:
    """Cancel, even if another process locks the store for long; returns whether that worked. `why`: announced."""
    if not jobs:
        return True
    names = listed([_name(job) for job in jobs], most=_NAMED)

    def announce_why() -> None:
        if why:
            announce(f"{names}: cancelling, {why} ({_retry_hint(jobs)})")

    for _ in range(CANCEL_TRIES):
        try:
            await engine.cancel_all([job.id for job in jobs], reason=reason)
        except StoreError as error:
            announce(f"{names} cannot be cancelled yet: {error}")
            await asyncio.sleep(CANCEL_PAUSE)
        except asyncio.CancelledError:  # the jobs have ended, so no one waits here any more
            announce_why()
            raise
        else:
            announce_why()
            return True
    return False


async def _left(engine: Engine, own: Collection[int]) -> list[ParentJob]:
    return [job for job in await engine.jobs(own) if not job.status.is_final]


def _retry_hint(jobs: Sequence[ParentJob]) -> str:
    """`dbtend retry 42 runs it again`."""
    batches = {job.batch for job in jobs}
    if len(jobs) == 1:
        return f"{command(f'retry {jobs[0].id}')} runs it again"
    if len(batches) == 1 and jobs[0].batch is not None:
        return f"{command(f'retry {BatchId(jobs[0].batch)} --failed')} runs them again"
    return "dbtend retry runs each of them again"


def _name(job: ParentJob) -> str:
    return f"#{job.id} {named(job.target)}"
