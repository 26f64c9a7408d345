"""The other processes of a benchmark: python -m benchmarks.roles ROLE STORE"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import Engine, Status
from engine.domain.claims import Claim, Outcome
from engine.domain.jobs import JobType
from engine.execution.processor import Hosting, JobProcessor
from engine.execution.reporter import Reporter
from engine.execution.supervision import supervising
from engine.execution.worker import JobWorker
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now
from tui.workers.detached import serving

READY = "ready\n"


class Holding:
    """A worker whose job never ends."""

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


class Timing:
    """A worker that says when its job starts, and does nothing."""

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        print(time.perf_counter(), flush=True)
        return Outcome(status=Status.COMPLETED)


class Doing:
    """A worker whose jobs are over at once."""

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        return Outcome(status=Status.COMPLETED)


async def work(store_path: Path, worker: JobWorker) -> None:
    """What `dbtend worker` does in one process of its pool, with a worker of our own."""
    async with SqliteStore.open(store_path) as store, supervising(store), store.hosting_workers() as owner:
        processor = JobProcessor(store, {JobType.OPERATION: worker}, Hosting(owner=owner, concurrency=1), now)
        async with processor.running():
            with serving(store_path):
                print(READY, end="", flush=True)
                await asyncio.Event().wait()


async def engine(store_path: Path, workers: int) -> None:
    async with Engine.open(store_path, workers=workers):
        print(READY, end="", flush=True)
        await asyncio.Event().wait()


@contextmanager
def role(name: str, store: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that is at work as one of ROLES; killed in the end."""
    command = [sys.executable, "-m", "benchmarks.roles", name, str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == READY
            yield process
        finally:
            process.kill()


ROLES: Mapping[str, Callable[[Path], Coroutine[Any, Any, None]]] = {
    "hold": lambda store: work(store, Holding()),
    "time": lambda store: work(store, Timing()),
    "do": lambda store: work(store, Doing()),
    "maintain": lambda store: engine(store, 1),
    "watch": lambda store: engine(store, 0),
}

if __name__ == "__main__":
    asyncio.run(ROLES[sys.argv[1]](Path(sys.argv[2])))
