"""How several processes get on with one store: python -m benchmarks.processes

Rescue, wake-up, a submit beside 10,000 jobs that wait, and a console that is opened while a job runs. All processes
are real; the store is on the disk that temporary files are on, with `synchronous=FULL`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.roles import role
from benchmarks.terminal import Terminal
from engine import Change, Engine, Lagged, Operation, Options, Request, Status
from engine.domain.engines import EngineName
from engine.domain.requests import OnDuplicate
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.supervision import supervising
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from tests.sqlite_files import make_database

T = TypeVar("T")
PENDING = 10_000
WORKERS = 4


def new_job(number: int, target: str = "/srv/bench.db") -> NewJob:
    """Each is another request, so that none is a duplicate."""
    options = Options(lock_timeout=5 + number / 1000)
    request = Request(target=f"sqlite://{target}", operations=(Operation.OPTIMIZE,), options=options)
    return NewJob(request=request, engine=EngineName.SQLITE, target_key=target)


async def child_becomes(changes: AsyncIterator[Change | Lagged], *statuses: Status) -> None:
    async for change in changes:
        if isinstance(change, Change) and change.job and change.job.ordinal and change.new in statuses:
            return


async def rescue(directory: Path, kills: int, *, bystanders: int) -> list[float]:
    """Seconds from the kill of a process to the news, in another one, that its job was taken from it."""
    path, delays = directory / "rescue.db", []
    async with SqliteStore.open(path) as store, supervising(store):
        with ExitStack() as others:
            for _ in range(bystanders):
                others.enter_context(role("watch", path))
            for number in range(kills):
                changes = ParentJobOrchestrator(store).changes()
                if not await store.open_jobs():
                    await store.submit([new_job(number)], OnDuplicate.REFUSE)
                with role("hold", path) as owner:
                    await child_becomes(changes, Status.RUNNING)
                    await asyncio.sleep(random.uniform(0.1, 0.2))
                    killed = time.perf_counter()
                    owner.kill()
                    await child_becomes(changes, Status.PENDING, Status.FAILED)
                    delays.append(time.perf_counter() - killed)
    return delays


async def wake_up(directory: Path, probes: int) -> list[float]:
    """Seconds from the call of submit in one process to the start of the work in another, idle one."""
    path, delays = directory / "wake-up.db", []
    async with SqliteStore.open(path) as store:
        with role("time", path) as worker:
            assert worker.stdout is not None
            for number in range(probes):
                await asyncio.sleep(random.uniform(0.05, 0.15))
                asked = time.perf_counter()
                await store.submit([new_job(number)], OnDuplicate.REFUSE)
                started = float(await asyncio.to_thread(worker.stdout.readline))
                delays.append(started - asked)
    return delays


async def submit_beside(
    directory: Path, samples: int, *, targets: int, workers_role: str, pending: int
) -> tuple[list[float], float]:
    """Seconds that each submit takes beside a full store and busy workers; and how many jobs a second those end."""
    path, own = directory / "full.db", make_database(directory / "own.db", rows=100)
    names = [make_database(directory / f"target{number}.db", rows=400) for number in range(targets)]
    async with SqliteStore.open(path) as store:
        await store.submit(
            [new_job(number, str(names[number % targets])) for number in range(pending)], OnDuplicate.REFUSE
        )
    delays = []
    async with Engine.open(path) as engine:
        with ExitStack() as others:
            for _ in range(WORKERS):
                others.enter_context(role(workers_role, path))
            begin, waiting = time.perf_counter(), len(await engine.open_jobs())
            for number in range(samples):
                await asyncio.sleep(random.uniform(0.005, 0.02))
                options = Options(lock_timeout=5 + number / 1000)
                request = Request(target=str(own), operations=(Operation.OPTIMIZE,), options=options)
                asked = time.perf_counter()
                await engine.submit([request])
                delays.append(time.perf_counter() - asked)
            left = len(await engine.open_jobs())
            assert left > pending / 10, "the store was not full all the time"
            rate = (waiting + samples - left) / (time.perf_counter() - begin)
    return delays, rate


async def claim_in_vain(directory: Path, samples: int, *, targets: int) -> list[float]:
    """Seconds that a look for work takes where all of very many jobs wait for targets that are busy."""
    delays = []
    async with SqliteStore.open(directory / "vain.db") as store, store.hosting_workers() as owner:
        jobs = [new_job(number, f"/srv/{number % targets}.db") for number in range(PENDING)]
        await store.submit(jobs, OnDuplicate.REFUSE)
        while await store.claim(owner):
            pass
        for _ in range(samples):
            asked = time.perf_counter()
            assert await store.claim(owner) is None
            delays.append(time.perf_counter() - asked)
    return delays


def console_start(store: Path, database: Path, expected: str) -> float:
    """Seconds from the start of a console until it shows `expected`."""
    with Terminal([sys.executable, "-m", "tui.cli", "--store", str(store), str(database)]) as terminal:
        return terminal.read_until(expected)


async def console(directory: Path, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds to the first frame that shows the running job, and to the first on an empty store, in turn."""
    busy, empty, database = directory / "busy.db", directory / "empty.db", make_database(directory / "sales.db")
    async with SqliteStore.open(busy) as store:
        await store.submit([new_job(1, str(database))], OnDuplicate.REFUSE)
    console_start(empty, database, "optimize")  # warms the file cache, and creates the store
    running, quiet = [], []
    with role("hold", busy):
        for _ in range(rounds):
            running.append(await asyncio.to_thread(console_start, busy, database, "1 running"))
            quiet.append(await asyncio.to_thread(console_start, empty, database, "optimize"))
    return running, quiet


def disk(directory: Path) -> list[float]:
    """Seconds that the disk takes to make 4 KiB durable."""
    delays = []
    with (directory / "disk").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            delays.append(time.perf_counter() - begin)
    return delays


def in_directory(measure: Callable[[Path], Coroutine[Any, Any, T]]) -> T:
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        return asyncio.run(measure(Path(directory)))


def row(what: str, delays: Sequence[float], goal: str = "") -> None:
    ordered = sorted(delays)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    figures = "".join(f"{1e3 * figure:9.1f}" for figure in (statistics.median(ordered), p99, ordered[-1]))
    print(f"{what:58}{len(ordered):5}{figures}  {goal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--submits", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before")
    print(f"{'milliseconds':58}{'n':>5}{'p50':>9}{'p99':>9}{'max':>9}  goal")
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        row("disk: fdatasync of 4 KiB", disk(Path(directory)))
    for bystanders in (0, 3):
        delays = in_directory(partial(rescue, kills=options.kills, bystanders=bystanders))
        row(f"rescue, seen by one of {1 + bystanders} processes", delays, "p50 < 100, max < 1000")
    row("submit to start in another process", in_directory(partial(wake_up, probes=options.probes)))
    for workers_role, targets in (("maintain", 8), ("maintain", 3), ("do", 8), ("do", 3)):
        # Where the work is nothing, 10,000 are soon gone.
        work, pending = ("real work", PENDING) if workers_role == "maintain" else ("no work", 3 * PENDING)
        delays, rate = in_directory(
            partial(submit_beside, samples=options.submits, targets=targets, workers_role=workers_role, pending=pending)
        )
        row(f"submit beside {pending:,}, {targets} targets, {work}, {rate:,.0f} jobs/s", delays, "p99 < 200")
    delays = in_directory(partial(claim_in_vain, samples=options.probes, targets=8))
    row(f"look for work, {PENDING:,} wait for 8 busy targets", delays)
    running, quiet = in_directory(partial(console, rounds=options.rounds))
    row("console: shows the running job", running, "< 1000")
    row("console: first useful frame, empty store", quiet)


if __name__ == "__main__":
    main()
