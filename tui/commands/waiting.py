"""Why jobs do not start: said once, when that is so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

from engine import Engine, Options, ParentJob, Pause, Reason, Status
from engine.domain.engines import EngineName
from engine.domain.humanize import listed
from engine.domain.jobs import is_interrupted
from engine.domain.requests import DEFAULT_OPTIONS, Operation
from engine.system.host import host_name
from tui.commands.naming import command, named
from tui.presentation.job_notes import left_by_dead_process
from tui.presentation.text import counted, plain, zoned_time
from tui.presentation.worker_format import format_unserved, serving

_MANNER: Final = (
    *("on_failure", "on_step_failure", "lock_timeout", "time_limit", "until", "stop_at_limit", "fit", "jobs"),
    *("verify", "check_first", "confirmed"),
)
"""The options that do not say what an operation does."""
_LEAVES_COPIES: Final = frozenset({Operation.REINDEX, Operation.REPACK})
"""The operations of PostgreSQL that leave what another one of the same does not drop."""


def paused(pause: Pause) -> str:
    """`paused since 2026-11-24 15:38:05 CET by ann@db1`."""
    return f"paused since {zoned_time(pause.at)} by {plain(pause.by)}"


def nothing_starts(pause: Pause) -> str:
    return f"{paused(pause)}: nothing starts until {command('resume')}"


async def notices(engine: Engine, among: Collection[int] | None = None) -> list[str]:
    """Says that jobs do not start, that no worker runs, that workers of jobs died, or none may carry jobs out.

    `among`: of these jobs; None: of all.
    """
    pause, without_worker, unserved = await asyncio.gather(
        engine.paused(), _without_worker(engine, among), unserved_jobs(engine, among)
    )
    return [nothing_starts(pause)] if pause else without_worker + unserved


async def interrupted(engine: Engine, targets: Collection[str], others: Collection[int] = ()) -> list[str]:
    """A line for each interrupted job on these targets while no worker goes on with it, and what to do.

    `targets`: canonical URLs. `others`: jobs that are not named.
    """
    if await _goes_on(engine):
        return []
    lost = {job.parent for process in await engine.workers() if not process.alive for job in process.running}
    lines = []
    for job in await engine.open_jobs():
        if job.target in targets and job.id not in others and (job.id in lost or is_interrupted(job)):
            is_over = any(child.recovering for child in job.children)
            lines.append(
                f"{named(job.target)}: job #{job.id} ({listed(job.request.operations)}) was interrupted: run the same"
                f" again or start {command('worker')} to {'check its database' if is_over else 'finish it'}, or end it"
                f" with {command(f'cancel {job.id}')}"
            )
    return lines


async def _goes_on(engine: Engine) -> bool:
    """Whether a worker process takes up what was interrupted."""
    return any(process.alive and process.serves_all for process in await engine.workers())


async def end_what_was_done_again(engine: Engine, done: Sequence[ParentJob]) -> list[str]:
    """End interrupted operations that these jobs have completed since.

    Returns a line for each, with what is left of it; none is ended where a worker process goes on with it.
    """
    again = {
        (job.target, child.operation, _work(job.request.options)): job.id
        for job in done
        for child in job.children
        if child.is_complete
    }
    if not again or await _goes_on(engine):
        return []
    lines = []
    for job in filter(is_interrupted, await engine.open_jobs()):
        for child in job.children:
            by = again.get((job.target, child.operation, _work(job.request.options)))
            if by is not None and child.status is Status.PENDING and child.attempt and not child.recovering:
                await engine.cancel(child.id, reason=Reason.NOT_NEEDED)
                left = child.operation in _LEAVES_COPIES and job.engine == EngineName.POSTGRESQL
                lines.append(
                    f"{named(job.target)}: {child.operation} of job #{job.id}, which was interrupted, is ended:"
                    f" job #{by} has done the same"
                    + (f". {left_by_dead_process(job, child.operation)}" if left else "")
                )
    return lines


def _work(options: Options) -> Options:
    """The options without those in `_MANNER`."""
    return replace(options, **{name: getattr(DEFAULT_OPTIONS, name) for name in _MANNER})


async def unserved_jobs(engine: Engine, among: Collection[int] | None) -> list[str]:
    """A line for each queue that no worker serves, with how many of these jobs wait in it. None: all jobs."""
    found = []
    unserved = await engine.unserved()
    drained = await engine.drained_hosts() if unserved else ()
    for queue, jobs in unserved.items():
        if waiting := [job for job in jobs if among is None or job in among]:
            found.append(f"{format_unserved(queue, len(waiting))} ({serving(queue, drained)})")
    return found


async def _without_worker(engine: Engine, among: Collection[int] | None) -> list[str]:
    workers = await engine.workers()
    running = [job for process in workers if not process.alive for job in process.running]
    lost = [f"#{job}" for job in running if among is None or job.parent in among]
    died = [f"{listed(lost)}: the worker died; the next one takes over"] if lost else []
    if any(process.alive for process in workers):
        return died
    waiting = len(await engine.open_jobs())
    if not waiting:
        return died
    verb = "waits" if waiting == 1 else "wait"
    return [*died, f"{counted(waiting, 'job')} {verb}, and no process carries out jobs (dbtend worker starts one)"]


class Waiting:
    """Reports that the store is paused, or that another job keeps a target busy."""

    def __init__(self, engine: Engine, announce: Callable[[str], None], *, max_running: int | None) -> None:
        """`max_running`: how many jobs run at once on the store and this host; None: do not report busy ones."""
        self._engine, self._host = engine, host_name()
        self._at_most = max_running
        self._announce = announce
        self._pause: Pause | None = None
        self._reported: set[int] = set()
        self._told: set[str] = set()
        self._told_full = False

    async def tell(self, jobs: Sequence[ParentJob]) -> None:
        """Report new reasons why `jobs` wait."""
        pause = await self._engine.paused()
        if pause != self._pause:
            self._announce(nothing_starts(pause) if pause else "resumed: jobs start again")
            self._pause = pause
        waiting = [job for job in jobs if job.status is Status.PENDING and job.id not in self._reported]
        if waiting and pause is None:
            for sentence in await unserved_jobs(self._engine, [job.id for job in waiting]):
                if sentence not in self._told:
                    self._announce(sentence)
                self._told.add(sentence)
        is_busy_with_them = any(job.status is Status.RUNNING for job in jobs)
        if waiting and pause is None and not is_busy_with_them and self._at_most is not None:
            await self._report_blocking_jobs(waiting, self._at_most)

    async def _report_blocking_jobs(self, waiting: Sequence[ParentJob], at_most: int) -> None:
        workers = await self._engine.workers()
        alive = [worker for worker in workers if worker.alive]
        running = {job.parent for worker in alive for job in worker.running}
        if not running.isdisjoint(job.id for job in waiting):
            return  # workers are busy with these jobs, which started after they were read
        busy = {job.target: job.id for job in await self._engine.jobs(running)} if running else {}
        is_full = sum(len(worker.running) for worker in alive if worker.host == self._host) >= at_most
        for job in waiting:
            if job.target in busy:
                self._announce(f"{named(job.target)}: waits for job #{busy[job.target]}")
        queued = [job for job in waiting if job.target not in busy] if is_full else []
        if queued and not self._told_full:
            one = f"#{queued[0].id} {named(queued[0].target)}"
            what = one if len(queued) == 1 else counted(len(queued), "job")
            self._announce(f"{what}: waiting: {at_most} of {at_most} workers busy")
            self._told_full = True
        self._reported |= {job.id for job in waiting if job.target in busy or is_full}
