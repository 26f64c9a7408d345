"""Runs whose store is on a disk that is full from some moment on: python -m tests.tui.full_store DISK TARGET PAGES.

The directory DISK is a small file system of its own; see `main`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine import Change, Engine, Status
from engine.execution.worker_slots import WorkerSlots
from tests.engine.store.full_disks import PAGE, fill
from tests.sqlite_files import make_database
from tests.tui.command_line import write_locked

RUN: Final = """
import sys
import engine.execution.store_retries, tui.workers.pool, tui.commands.ending
engine.execution.store_retries.STORE_RETRIES, engine.execution.store_retries.STORE_RETRY_INTERVAL = 2, 0.05
tui.workers.pool.PAUSE, tui.commands.ending.CANCEL_TRIES, tui.commands.ending.CANCEL_PAUSE = 0.05, 2, 0.05
tui.commands.ending.OVER_WITHIN = 2.0
from tui.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""`dbtend`, with less patience."""
PastJob = subprocess.Popen[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run ended with so many pages left on the disk of its store, and what became of its job."""

    free: int
    code: int
    said: str
    status: str
    """Of the job, when the run had ended,"""
    later: str
    """and after a worker had been there, once the disk had room again."""


def dbtend(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


async def status(store: Path) -> str:
    async with Engine.open(store) as engine:
        return (await engine.job(1)).status.value


@asynccontextmanager
async def submitted(store: Path, target: Path) -> AsyncIterator[PastJob]:
    """A run whose job does not begin as long as we are here."""
    slots = WorkerSlots(store, 2)
    taken = [slot for slot in (slots.take(), slots.take()) if slot is not None]
    async with Engine.open(store) as engine:
        run = dbtend("run", target, "--op", "analyze", "--store", store)
        async for _ in engine.changes(after=0):
            break
    yield run
    for slot in taken:
        os.close(slot)


@asynccontextmanager
async def running(store: Path, target: Path) -> AsyncIterator[PastJob]:
    """A run whose operation does not end as long as we are here."""
    with write_locked(target):
        async with Engine.open(store) as engine:
            run = dbtend("run", target, "--op", "vacuum", "--lock-timeout", "600", "--store", store)
            async for change in engine.changes(after=0):
                if isinstance(change, Change) and change.new is Status.RUNNING:
                    break
        yield run


async def ending(
    disk: Path, target: Path, pages: int, begun: Callable[[Path, Path], AbstractAsyncContextManager[PastJob]]
) -> Ending:
    store = disk / f"{begun.__name__}_with{pages}" / "jobs.db"
    async with Engine.open(store):
        pass
    async with begun(store, target) as run:
        filler = fill(disk, pages * PAGE)
    said, _ = await asyncio.to_thread(run.communicate)
    filler.unlink()
    then = await status(store)
    worker = dbtend("worker", "--idle-exit", "0.1", "--store", store)
    await asyncio.to_thread(worker.communicate)
    return Ending(free=pages, code=run.returncode, said=said, status=then, later=await status(store))


def is_told_as_it_is(ending: Ending) -> bool:
    """Whether nothing runs later of which the run had said that it failed, and nothing is left in silence."""
    if "is still open" in ending.said and "cancelling" in ending.said:
        return False
    if ending.status in {Status.PENDING, Status.RUNNING}:
        return ending.code != 0 and ("is still open" in ending.said or "left to a worker process" in ending.said)
    return ending.later == ending.status and (ending.code == 0) == (ending.status == Status.COMPLETED)


async def main(disk: Path, target: Path, numbers: Sequence[int]) -> None:
    """Print how a run ended for each of these numbers of pages, as JSON: full before it begins, then under its work."""
    make_database(target, rows=10)
    endings = [await ending(disk, target, pages, begun) for begun in (submitted, running) for pages in numbers]
    print(json.dumps([asdict(one) for one in endings]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), [int(number) for number in sys.argv[3].split(",")]))
