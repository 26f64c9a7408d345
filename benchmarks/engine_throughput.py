"""How fast the engine itself is, beside huey's SqliteHuey in the same run: python -m benchmarks.engine_throughput

Both are durable: WAL with `synchronous=FULL`, one file on the same disk, 8 workers, jobs that do nothing. What
differs is what a finished job leaves: huey a pickled result; the engine a parent and a child with times, attempt
and outcome, six events, and a lock on its target meanwhile. Disks and machines are noisy, so rounds alternate and
the medians, and the ratio within each round, are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from huey import SqliteHuey

from engine.domain.claims import Claim, Outcome
from engine.domain.engines import EngineName
from engine.domain.jobs import JobType
from engine.domain.requests import OnDuplicate, Operation, Request
from engine.domain.statuses import Status
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.processor import Hosting, JobProcessor
from engine.execution.reporter import Reporter
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now

WORKERS = 8


class NoOpWorker:
    """Does nothing, and notes when."""

    def __init__(self) -> None:
        self.started: dict[int, float] = {}

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        self.started[claim.job.parent] = time.perf_counter()
        return Outcome(status=Status.COMPLETED)


def new_job(number: int) -> NewJob:
    request = Request(target=f"sqlite:///bench/{number}.db", operations=(Operation.VACUUM,))
    return NewJob(request=request, engine=EngineName.SQLITE, target_key=f"bench {number}")


async def engine_throughput(directory: Path, jobs: int) -> float:
    """Jobs a second from the first claim to the last commit."""
    async with SqliteStore.open(directory / "jobs.db") as store, store.hosting_workers() as owner:
        ids = await store.submit([new_job(number) for number in range(jobs)], OnDuplicate.REFUSE)
        processor = JobProcessor(
            store,
            {JobType.OPERATION: NoOpWorker()},
            Hosting(owner=owner, concurrency=WORKERS),
            now,
        )
        begin = time.perf_counter()
        async with processor.running():
            seen = store.last_change()
            while seen < 6 * jobs:
                await store.next_change(seen)
                seen = store.last_change()
        elapsed = time.perf_counter() - begin
        assert all(job.status is Status.COMPLETED for job in await store.jobs(ids))
    return jobs / elapsed


async def engine_latency(directory: Path, probes: int) -> list[float]:
    """Seconds from the call of submit to the start of the work, on an idle engine."""
    worker = NoOpWorker()
    delays = []
    async with SqliteStore.open(directory / "latency.db") as store, store.hosting_workers() as owner:
        processor = JobProcessor(store, {JobType.OPERATION: worker}, Hosting(owner=owner, concurrency=WORKERS), now)
        async with processor.running():
            for number in range(probes):
                await asyncio.sleep(random.uniform(0.01, 0.03))
                asked = time.perf_counter()
                (job_id,) = await store.submit([new_job(number)], OnDuplicate.REFUSE)
                await ParentJobOrchestrator(store).wait([job_id])
                delays.append(worker.started[job_id] - asked)
    return delays


def huey_throughput(directory: Path, jobs: int) -> float:
    """Jobs a second with as many worker threads, from their start to the last job's end."""
    huey = SqliteHuey(filename=str(directory / "huey.db"), fsync=True)
    done, all_done = 0, threading.Event()
    lock = threading.Lock()

    def no_op() -> bool:
        nonlocal done
        with lock:
            done += 1
            if done == jobs:
                all_done.set()
        return True

    task = huey.task()(no_op)
    for _ in range(jobs):
        task()
    consumer = huey.create_consumer(workers=WORKERS, periodic=False, initial_delay=0.001, max_delay=0.01)
    begin = time.perf_counter()
    consumer.start()
    all_done.wait()
    elapsed = time.perf_counter() - begin
    consumer.stop(graceful=True)
    return jobs / elapsed


def in_directory(measure: Callable[[Path, int], float], jobs: int) -> float:
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        return measure(Path(directory), jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--probes", type=int, default=300)
    options = parser.parse_args()
    ours, theirs, ratios = [], [], []
    for number in range(1, options.rounds + 1):
        ours.append(in_directory(lambda d, n: asyncio.run(engine_throughput(d, n)), options.jobs))
        theirs.append(in_directory(huey_throughput, options.jobs))
        ratios.append(ours[-1] / theirs[-1])
        print(f"round {number}: engine {ours[-1]:,.0f} jobs/s, huey {theirs[-1]:,.0f} jobs/s, {ratios[-1]:.1f}x")
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        delays = sorted(asyncio.run(engine_latency(Path(directory), options.probes)))
    print(
        f"{WORKERS} workers, synchronous=FULL, median of {options.rounds} rounds:"
        f" engine {statistics.median(ours):,.0f} jobs/s, huey {statistics.median(theirs):,.0f} jobs/s,"
        f" ratio {statistics.median(ratios):.1f}x [{min(ratios):.1f}-{max(ratios):.1f}]"
    )
    print(
        f"submit to start on an idle engine, {len(delays)} probes: p50 {statistics.median(delays) * 1e3:.1f} ms,"
        f" p99 {delays[int(len(delays) * 0.99) - 1] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
