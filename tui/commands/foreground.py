"""Carrying out jobs in processes that end with this one, and watching them to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from engine import Change, Engine, Lagged, ParentJob, Retention, Status, StoreLocation
from engine.domain import typed_passwords
from engine.domain.errors import StoreError
from engine.domain.frozen import frozen
from engine.system.clock import now
from tui.commands.ending import Announce, as_text, end_on_signal, hand_over, run_by
from tui.commands.naming import tell_apart
from tui.commands.run_async import run_async
from tui.commands.views import View
from tui.commands.waiting import Waiting, end_what_was_done_again, interrupted
from tui.presentation.exit_codes import CANCELLED, exit_code
from tui.presentation.job_times import limit_of
from tui.workers.run_workers import RunWorkers
from tui.workers.signals import Stop, stop_signals
from tui.workers.tasks import first_of, patiently

_ENDED: Final = StoreError("worker processes", "ended before the jobs were over", "see what ended them")
_ENDING_SECONDS: Final = 5.0
"""Seconds in which worker processes end that have nothing to do any more."""
_FEW: Final = 50
"""More open jobs than this are not read at every change."""
_PAUSE: Final = 0.2
"""Seconds between two reads of many open jobs."""

Submit = Callable[[Engine], Awaitable[Sequence[ParentJob]]]


@frozen(kw_only=True)
class Foreground:
    """How jobs are carried out here."""

    store: StoreLocation
    workers: int = 1
    """Targets at once."""
    max_running: int = 1
    """Jobs at once on the store, in all processes."""
    grace: float = 30.0
    """Seconds that what runs may go on for after SIGTERM."""
    retention: Retention | None = None
    """How long history is kept; older jobs are removed during the run."""
    config: Path | None = None
    """The config file."""


def carry_out(how: Foreground, submit: Submit, view: View) -> tuple[list[ParentJob], int]:
    """Submit jobs and see them to their end; how they ended, and the exit code.

    Raises what `submit` raises, and StoreError where its worker processes cannot work.
    """
    workers = RunWorkers(how.store, workers=how.workers, max_running=how.max_running, config=how.config)
    try:
        return run_async(_carry_out(how, workers, submit, view))
    finally:
        workers.close()


async def _carry_out(how: Foreground, workers: RunWorkers, submit: Submit, view: View) -> tuple[list[ParentJob], int]:
    with stop_signals(view.announce) as stop:
        async with Engine.open(how.store, run=_reserved_for(how, workers), retention=how.retention) as engine:
            engine.require_may_run()
            asked_at, changes = now(), engine.changes()
            jobs = await _submit(engine, workers, submit, stop, view.announce)
            tell_apart(job.target for job in jobs)
            ids = [job.id for job in jobs]
            workers.begin(ids)
            own = [job.id for job in jobs if job.created_at >= asked_at]
            for job in [job for job in jobs if job.deadline_at is not None][:1]:  # it is the same for all
                view.remark(limit_of(job))
            for joined in (job_id for job_id in ids if job_id not in own):
                view.announce(f"job #{joined} already does exactly this: waiting for it")
            ended = asyncio.create_task(workers.ended(view.announce))
            say = _each_once(view.announce)
            await first_of(
                _tell_reach(engine, view.announce),
                _show_until_over(engine, jobs, changes, view, max_running=how.max_running),
                end_on_signal(stop, engine, workers, how.store, ids, own, how.grace, say),
                asyncio.wait({ended}),
            )
            failure = (ended.result() or _ENDED) if ended.done() else None
            workers.stop()
            await _until_ended(ended, engine, workers, say)
            done = await patiently(partial(engine.whole_jobs, ids))
            left = [job for job in done if not job.status.is_final]
            if any(job.id in own for job in left):
                await hand_over(engine, how.store, own, say)
                done = await patiently(partial(engine.whole_jobs, ids))
            view.show(done)
            for sentence in await patiently(partial(end_what_was_done_again, engine, done)):
                view.announce(sentence)
    if left and failure is not None and not stop.asked.is_set():
        raise failure
    nothing_begun = stop.asked.is_set() and not done
    return done, CANCELLED if nothing_begun else exit_code(done)


def _reserved_for(how: Foreground, workers: RunWorkers) -> str | None:
    """What the jobs are reserved for: of a shared store other hosts may take them, but for passwords typed here."""
    return None if how.store.is_shared and not typed_passwords.typed() else workers.run


async def _submit(
    engine: Engine, workers: RunWorkers, submit: Submit, stop: Stop, announce: Announce
) -> Sequence[ParentJob]:
    """Submit, unless a signal comes first. Then the jobs stored by that time are returned, and none starts."""
    asked = asyncio.create_task(stop.asked.wait())
    submitting = asyncio.ensure_future(submit(engine))
    try:
        await asyncio.wait({asked, submitting}, return_when=asyncio.FIRST_COMPLETED)
        if stop.asked.is_set():
            workers.drain()
            submitting.cancel()
        return await submitting
    except asyncio.CancelledError:
        announce("nothing was submitted")
        return ()
    finally:
        asked.cancel()


def _each_once(announce: Announce) -> Announce:
    reported = set[str]()

    def say(text: str) -> None:
        if text not in reported:
            reported.add(text)
            announce(text)

    return say


async def _until_ended(
    ended: asyncio.Task[StoreError | None], engine: Engine, workers: RunWorkers, announce: Announce
) -> None:
    """Wait until the stopping processes end, however long a running job takes."""
    while not ended.done():
        await asyncio.wait({ended}, timeout=_ENDING_SECONDS)
        running = [] if ended.done() else await patiently(partial(run_by, engine, workers))
        if not running:
            return
        still = ", ".join(await as_text(engine, running))
        announce(f"waiting for {still}, which cannot stop yet; once more to leave at once")


async def _show_until_over(
    engine: Engine,
    submitted: Sequence[ParentJob],
    changes: AsyncIterator[Change | Lagged],
    view: View,
    *,
    max_running: int,
) -> None:
    """`changes`: all since the submit."""
    ids, read = [job.id for job in submitted], [submitted]
    waiting = Waiting(engine, view.announce, max_running=max_running if view.reports_busy else None)
    for sentence in await interrupted(engine, {job.target for job in submitted}, ids):
        view.announce(sentence)
    wake = asyncio.Event()
    changed = set[int]()

    async def wake_on_changes() -> None:
        async for change in changes:
            if isinstance(change, Lagged):
                changed.update(ids)
            elif change.job is not None:
                changed.add(change.job.parent)
            wake.set()

    async def show() -> None:
        jobs = {job.id: job for job in (read.pop() if read else await engine.jobs(ids))}
        while True:
            view.show(list(jobs.values()))
            await waiting.tell(list(jobs.values()))
            jobs = {job.id: job for job in jobs.values() if not job.status.is_final}
            if not jobs:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(view.interval):
                    await wake.wait()
            if len(jobs) > _FEW:
                await asyncio.sleep(_PAUSE)  # so that reading them takes little of the time of a core
            wake.clear()
            moved = [one for one, job in jobs.items() if one in changed or job.status is Status.RUNNING]
            changed.clear()
            jobs |= {job.id: job for job in await engine.jobs(moved)}
            if not any(job.status is Status.RUNNING for job in jobs.values()):
                # Jobs that began since then are not among those that were read.
                begun = {job.parent for process in await engine.workers() for job in process.running}
                jobs |= {job.id: job for job in await engine.jobs([job for job in jobs if job in begun])}

    await first_of(wake_on_changes(), patiently(show))


async def _tell_reach(engine: Engine, announce: Announce) -> None:
    """Say that the server of a shared store cannot be reached, and that it can be again."""
    while True:
        await engine.reach_changed()
        if (lost := engine.lost) is None:
            announce("the store of jobs is reached again")
        elif lost.is_transient:  # else the run ends with this error
            announce(f"{lost}; waiting for it")
