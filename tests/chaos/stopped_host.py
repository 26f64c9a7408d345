"""A process is stopped in the middle of an execution, another one comes, and the first one goes on: step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from engine import Engine, Operation, Options, Request
from tests.chaos.checker import Finding, check
from tests.chaos.instruments import Plant
from tests.chaos.processes import processes
from tests.chaos.trace import Trace, What
from tests.engine.working import job_once
from tests.sqlite_files import content, make_database, transaction
from tests.waiting import eventually

PATIENCE = 60.0
"""Seconds after which what should follow is taken for missing."""
SILENCE = 10.0
"""Seconds after which a process says no more of a job."""


async def stop_in_the_middle(
    directory: Path, *, first: Iterable[Plant] = (), second: Iterable[Plant] = ()
) -> list[Finding]:
    """Play it with these bugs planted in the first and in the second process; what the checker says after that."""
    trace = Trace(directory)
    waited_for, other = make_database(directory / "waited_for.db"), make_database(directory / "other.db")
    contents = {path: content(path) for path in (waited_for, other)}
    with processes(trace) as all_processes:
        async with Engine.open(trace.store) as engine, asyncio.timeout(PATIENCE):
            with transaction(waited_for, "DEFERRED"):  # which keeps every VACUUM waiting
                (job,) = await engine.submit([_vacuum(waited_for)])
                stopped = all_processes.host(plants=first).pid
                await _begins(engine, job.id)
                all_processes.stop(stopped)
                working = all_processes.host(plants=second).pid
                if Plant.LIAR in second:
                    await _does(trace, working, What.BEGAN)
                (proof_of_work,) = await engine.submit([_vacuum(other)])
                await engine.wait([proof_of_work.id])
                all_processes.go_on(stopped)
            for process in [stopped, *([working] if Plant.LIAR in second else [])]:
                with suppress(TimeoutError):  # it says nothing if it asked for its ownership before
                    async with asyncio.timeout(SILENCE):
                        await _does(trace, process, What.FINISHED, What.REFUSED, job=f"{job.id}.1")
            await engine.wait([job.id])
    return await check(trace.store, trace.told(), contents)


def _vacuum(path: Path) -> Request:
    return Request(target=str(path), operations=(Operation.VACUUM,), options=Options(lock_timeout=PATIENCE))


async def _begins(engine: Engine, parent_id: int) -> None:
    """Wait until the first step is under way, and the store told so."""
    await job_once(engine, parent_id, lambda job: job.children[0].steps)


async def _does(trace: Trace, pid: int, *what: What, job: str = "") -> None:
    """Wait until the process has told one of these, of that job if one is given."""
    await eventually(
        lambda: any(line.pid == pid and line.what in what and job in {"", line.job} for line in trace.told())
    )
