"""Runs whose store is on a disk that is full from some moment on: python -m tests.tui.full_store DISK TARGET PAGES.

The directory DISK is a small file system of its own; see `main`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engine import Engine, Status
from engine.worker_slots import WorkerSlots
from tests.engine.store.full_disks import PAGE, fill
from tests.sqlite_files import make_database

RUN: Final = """
import sys
import engine.processor, tui.worker_pool, tui.commands.ending
engine.processor.STORE_RETRIES, engine.processor.STORE_RETRY_INTERVAL = 2, 0.05
tui.worker_pool.PAUSE, tui.commands.ending.CANCEL_TRIES, tui.commands.ending.CANCEL_PAUSE = 0.05, 2, 0.05
from tui.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""`dbtend`, with less patience."""


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


async def ending(disk: Path, target: Path, pages: int) -> Ending:
    directory = disk / f"with{pages}"
    store = directory / "jobs.db"
    async with Engine.open(store) as engine:
        slots = WorkerSlots(store, 2)
        taken = [slot for slot in (slots.take(), slots.take()) if slot is not None]
        run = dbtend("run", target, "--op", "analyze", "--store", store)
        async for _ in engine.changes(after=0):
            break
    filler = fill(disk, pages * PAGE)
    for slot in taken:
        os.close(slot)
    said, _ = await asyncio.to_thread(run.communicate)
    filler.unlink()
    then = await status(store)
    worker = dbtend("worker", "--idle-exit", "0.1", "--store", store)
    await asyncio.to_thread(worker.communicate)
    return Ending(free=pages, code=run.returncode, said=said, status=then, later=await status(store))


def is_told_as_it_is(ending: Ending) -> bool:
    """Whether nothing runs later of which the run had said that it failed, and nothing is left in silence."""
    if ending.status in {Status.PENDING, Status.RUNNING}:
        return ending.code != 0 and ("#1 is still open" in ending.said or "left to a worker process" in ending.said)
    return ending.later == ending.status and (ending.code == 0) == (ending.status == Status.COMPLETED)


async def main(disk: Path, target: Path, numbers: Sequence[int]) -> None:
    """Print how a run ended for each of these numbers of pages, as JSON."""
    make_database(target, rows=10)
    print(json.dumps([asdict(await ending(disk, target, pages)) for pages in numbers]))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), [int(number) for number in sys.argv[3].split(",")]))
