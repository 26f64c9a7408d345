"""Batches with missing databases, canaries and a limit of failures, while one of their processes is killed.

Each job ends as the rules of its batch say, whichever process is killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine import BatchOptions, Engine, ParentJob, Reason, Status

PATIENCE: Final = 120.0
"""Seconds after which a job is not over any more by itself."""


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: how many batches."""
    chosen = random.Random(seed)
    for number in range(count):
        with attack_directory() as directory:
            options = BatchOptions(
                canary=chosen.choice([None, None, 1, 3]), max_failures=chosen.choice([None, None, 1, 2, 4])
            )
            missing = set(chosen.sample(range(12), chosen.randint(0, 3)))
            found = asyncio.run(_batch(Path(directory), options, missing, chosen))
            yield from (f"batch {number}, {options}, missing {sorted(missing)}: {finding}" for finding in found)


async def _batch(base: Path, options: BatchOptions, missing: set[int], chosen: random.Random) -> list[str]:
    paths = [base / f"t{number}.db" for number in range(12)]
    for number, path in enumerate(paths):
        if number not in missing:
            with closing(sqlite3.connect(path)) as db:
                db.execute("CREATE TABLE item(code)")
    state = base / "state"
    state.mkdir(mode=0o700)
    store = state / "jobs.db"
    limits = {"--canary": options.canary, "--max-failures": options.max_failures}
    words = [word for name, limit in limits.items() if limit is not None for word in (name, str(limit))]
    run = _dbtend("run", *paths, "--op", "vacuum", "--store", store, *words)
    try:
        async with Engine.open(store) as engine:
            jobs = await _submitted(engine, run)
            await asyncio.sleep(chosen.random() * 0.5)
            workers = [worker.pid for worker in await engine.workers() if worker.alive]
            with suppress(ProcessLookupError):
                os.kill(chosen.choice([run.pid, *workers]), signal.SIGKILL)
            worker = _dbtend("worker", "--idle-exit", "5", "--store", store)
            try:
                async with asyncio.timeout(PATIENCE):
                    ended = await engine.wait([job.id for job in jobs])
            except TimeoutError:
                return [f"#{job.id} is still {job.status}" for job in await engine.open_jobs()]
            finally:
                _end(worker)
    finally:
        _end(run)
    return [
        f"#{job.id} is {job.status}, {job.children[0].reason}; it should be {status}, {reason}"
        for number, job in enumerate(ended)
        for status, reason in [_expected(number, options, missing)]
        if (job.children[0].status, job.children[0].reason) != (status, reason)
    ]


def _end(process: subprocess.Popen[bytes]) -> None:
    """With the processes that it has forked: they would write on."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


async def _submitted(engine: Engine, run: subprocess.Popen[bytes]) -> list[ParentJob]:
    async with asyncio.timeout(PATIENCE):
        while run.poll() is None:
            if jobs := await engine.batch_jobs(1):
                return jobs
            await asyncio.sleep(0.02)
    return await engine.batch_jobs(1)


def _expected(number: int, options: BatchOptions, missing: set[int]) -> tuple[Status, Reason | None]:
    canaries = range(options.canary or 0)
    if number in missing:
        return Status.FAILED, Reason.UNREACHABLE
    if number not in canaries and missing.issuperset(canaries) and canaries:
        return Status.SKIPPED, Reason.CANARY_FAILED
    if options.max_failures is not None and len(missing) >= options.max_failures:
        return Status.SKIPPED, Reason.TOO_MANY_FAILURES
    if number not in canaries and missing & set(canaries):
        return Status.SKIPPED, Reason.CANARY_FAILED
    return Status.COMPLETED, None


def _dbtend(*words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tui.cli", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
