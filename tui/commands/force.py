"""`dbtend cancel --force`: asked for twice, done once, and watched until it is over."""

from __future__ import annotations

import argparse
import asyncio
import sys

from engine import ChildJob, Engine, ForceCancel, JobId, ParentJob, StoreLocation
from engine.domain.errors import UsageError
from engine.domain.events import other_host, unattended
from tui.commands import output
from tui.commands.naming import named
from tui.commands.run_async import run_async
from tui.commands.settings import Settings, with_engine
from tui.presentation import json_format, typed_values
from tui.presentation.exit_codes import CANCELLED, OK
from tui.presentation.force_kill import consequences, killed_with_it, process, question
from tui.presentation.job_status import ending
from tui.workers.detached import DetachedWorker
from tui.workers.tasks import first_of

REPLACED_WITHIN = 10.0
"""Seconds in which a pool of workers has replaced a process that died."""
LOOK_EVERY = 0.2
"""Seconds between two looks whether anybody is there."""


def cancel_by_force(wanted: JobId, store: StoreLocation, args: argparse.Namespace, settings: Settings) -> int:
    """Raises UsageError if no such process runs, or without confirmation."""
    found = with_engine(Engine.open(store), lambda engine: engine.preview_force_cancel(wanted))
    if not _is_confirmed(found, wanted, args.confirm):
        output.notice("nothing was done")
        return CANCELLED
    worker = DetachedWorker(store, config_path=settings.given_config)
    job, child = run_async(_end(store, wanted, found, worker))
    if args.json:
        output.document({"jobs": [json_format.job(job)]})
    else:
        output.line(f"#{child.id} {named(job.target)} {child.operation} {ending(child)}")
    return OK


def _is_confirmed(found: ForceCancel, wanted: JobId, confirmation: str | None) -> bool:
    if confirmation is not None:
        if typed_values.job_id(confirmation) != found.job:
            why = f"is not what would be ended: that is {found.job}"
            raise UsageError(f"--confirm {confirmation}", why, f"give --confirm {found.job}")
        return True
    output.notice(f"{question(found, named(found.target))} {consequences(found, wanted)}")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("--force", "there is no terminal to ask at", f"add --confirm {found.job}")
    print(f"Type {found.job} to kill its process: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().removeprefix("#") == str(found.job)


async def _end(
    store: StoreLocation, wanted: JobId, found: ForceCancel, worker: DetachedWorker
) -> tuple[ParentJob, ChildJob]:
    """Kill it, have its database checked, and wait for that."""
    async with Engine.open(store) as engine:
        if await engine.preview_force_cancel(wanted) != found:
            raise UsageError(f"job {found.job}", "something has changed since it was asked for", "look again")
        await engine.cancel(wanted, force=True)
        if not _child(await engine.job(found.job.parent), found.job).status.is_final:  # it may have ended by itself
            output.notice(f"{process(found)} was killed: waiting until its database has been looked after")
            if found.others:
                output.notice(killed_with_it(found))
        await first_of(_wait_until_finished(engine, found.job), _see_to_a_worker(engine, found, worker))
        job = await engine.job(found.job.parent)
        return job, _child(job, found.job)


async def _wait_until_finished(engine: Engine, job: JobId) -> None:
    changes = engine.changes()
    while not _child(await engine.job(job.parent), job).status.is_final:
        await anext(changes)


async def _see_to_a_worker(engine: Engine, found: ForceCancel, worker: DetachedWorker) -> None:
    await asyncio.sleep(REPLACED_WITHIN if found.is_replaced else 0)
    while True:
        left = unattended([await engine.job(found.job.parent)], await engine.workers(), here=engine.host)
        if any(other_host(job, engine.host) is None for job in left):
            worker.ensure()
        await asyncio.sleep(LOOK_EVERY)


def _child(parent: ParentJob, job: JobId) -> ChildJob:
    return next(child for child in parent.children if child.id == job)
