"""`dbtend workers`: the processes that carry out jobs. Those that died are not among them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from engine import JobId, ParentJob, WorkerProcess
from tui.commands import output
from tui.commands.naming import named
from tui.commands.report import columns
from tui.commands.run_async import run_async
from tui.commands.settings import Settings
from tui.commands.waiting import notices
from tui.presentation import json_format
from tui.presentation.exit_codes import OK
from tui.presentation.text import local_time, plain
from tui.presentation.worker_format import SEE_LOG, reduced_pools, takes


def workers(args: argparse.Namespace, settings: Settings) -> int:
    settings.require_store()
    alive, jobs, messages = run_async(_alive(settings)) if settings.store.exists() else ([], {}, [])
    if args.json:
        output.document({"workers": [json_format.worker(process) for process in alive]})
    elif alive:
        output.line("\n".join(table(alive, jobs)))
    else:
        output.notice("no process carries out jobs of this store: dbtend worker starts one")
    output.notice(*(f"{found} ({SEE_LOG})" for found in reduced_pools(alive)), *messages)
    return OK


async def _alive(settings: Settings) -> tuple[Sequence[WorkerProcess], Mapping[int, ParentJob], Sequence[str]]:
    async with settings.engine() as engine:
        alive = [process for process in await engine.workers() if process.alive]
        jobs = await engine.jobs({job.parent for process in alive for job in process.running})
        return alive, {job.id: job for job in jobs}, await notices(engine)


def table(processes: Sequence[WorkerProcess], jobs: Mapping[int, ParentJob]) -> list[str]:
    """One line per process under a heading; `jobs`: the parents of what runs."""
    is_shared = any(process.queues for process in processes)
    more = ("VERSION",) if is_shared else ()
    rows = [("PID", "POOL", "HOST", *more, "SINCE", "TAKES", "RUNS")]
    rows += [
        (
            str(process.pid),
            "-" if process.pool is None else str(process.pool),
            plain(process.host),
            *((plain(process.version) or "?",) if is_shared else ()),
            local_time(process.started_at),
            plain(takes(process)),
            _runs(process, jobs),
        )
        for process in sorted(processes, key=lambda process: (process.host, process.started_at))
    ]
    return columns(rows)


def _runs(process: WorkerProcess, jobs: Mapping[int, ParentJob]) -> str:
    running = ", ".join(_name(job, jobs) for job in process.running) or "nothing"
    state = "stalled: " if process.stalled else ""
    return f"{'draining: ' if process.draining else ''}{state}{running}"


def _name(job: JobId, jobs: Mapping[int, ParentJob]) -> str:
    parent = jobs.get(job.parent)
    if parent is None:
        return f"#{job}"
    operation = next((child.operation for child in parent.children if child.id == job), "")
    return f"#{job} {named(parent.target)} {operation}"
