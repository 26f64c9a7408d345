"""What processes hold in memory while jobs run: python -m benchmarks.soak [console|worker|run]

`console`: in a terminal of 120x40, with a worker beside it. For five minutes batches on a dozen small databases are
submitted, for the next five none, and so on. Keys are pressed all the time: in the lists, a job, the history, the
workers. Memory after the warm-up is fitted to minutes and to children: this tells growth by time from growth by work.

`worker`: a permanent worker that always has jobs. `run`: one `dbtend run` of a long night on thousands of databases.
Both are fitted to the children, for each process.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from statistics import covariance, linear_regression
from typing import Final

from benchmarks.many_plans import make_files
from benchmarks.terminal import Terminal, resident_mebibytes
from engine import Engine, Operation, ParentJob, Request
from engine.domain.requests import OnDuplicate

TARGETS: Final = 12
OPERATIONS: Final = (Operation.CHECK, Operation.VACUUM, Operation.ANALYZE)
KEYS: Final = (
    b"j",
    b"j",
    b"k",
    b"\r",
    b"j",
    b"\x1b",
    b"g",
    b"z",
    b"h",
    b"j",
    b"\r",
    b"\x1b",
    b"\x1b",
    b"w",
    b"\x1b",
    b"3",
)
PHASE: Final = 300.0
"""Seconds with jobs, and as many without."""
SAMPLE_EVERY: Final = 15.0
KEPT_OUTPUT: Final = 8_000
"""Bytes that tell why it ended, if it does."""


@dataclass(frozen=True)
class Sample:
    minutes: float
    children: int
    mebibytes: float


Samples = Mapping[str, Sequence[Sample]]


def dbtend(store: Path, config: Path) -> list[str]:
    return [sys.executable, "-m", "tui.cli", "--store", str(store), "--config", str(config)]


async def submit(engine: Engine, files: Sequence[Path]) -> Sequence[ParentJob]:
    requests = [Request(target=str(path), operations=OPERATIONS) for path in files]
    return await engine.submit(requests, on_duplicate=OnDuplicate.MERGE)


async def soak_console(options: argparse.Namespace, store: Path, config: Path) -> Samples:
    files, command = cycle(databases(config)), dbtend(store, config)
    samples, keys = list[Sample](), cycle(KEYS)
    with Terminal(command, columns=120, rows=40) as terminal, running([*command, "worker"]):
        terminal.read_until("tenant-", timeout=60)
        terminal.send(b"\r3")
        begun, next_batch, children = time.perf_counter(), 0.0, 0
        async with Engine.open(store) as engine:
            while (at := time.perf_counter() - begun) < options.minutes * 60:
                if at >= next_batch and at % (2 * PHASE) < PHASE:
                    jobs = await submit(engine, [next(files) for _ in range(3)])
                    children += sum(len(job.children) for job in jobs)
                    next_batch = at + options.every
                terminal.send(next(keys))
                await asyncio.to_thread(terminal.read_for, 0.25)
                del terminal.output[:-KEPT_OUTPUT]
                if at >= len(samples) * SAMPLE_EVERY:
                    samples.append(Sample(at / 60, children, resident_mebibytes(terminal.pid)))
                    tell("console", samples[-1])
    return {"console": [sample for sample in samples if sample.minutes >= options.warm_up]}


async def soak_worker(options: argparse.Namespace, store: Path, config: Path) -> Samples:
    samples, files = defaultdict[str, list[Sample]](list), databases(config)
    with running([*dbtend(store, config), "worker"]) as worker:
        begun, children, due = time.perf_counter(), 0, 0
        async with Engine.open(store) as engine:
            while children < options.children:
                jobs = await submit(engine, files)
                await engine.wait([job.id for job in jobs])
                children += sum(len(job.children) for job in jobs)
                if children >= due:
                    due += options.children // 20
                    sample_all(samples, worker.pid, (time.perf_counter() - begun) / 60, children)
    return {name: taken[5:] for name, taken in samples.items()}


async def soak_run(options: argparse.Namespace, store: Path, config: Path) -> Samples:
    samples = defaultdict[str, list[Sample]](list)
    operations = [word for operation in OPERATIONS for word in ("--op", operation)]
    with running([*dbtend(store, config), "run", "tenants", *operations, "--jobs", "1"]) as run:
        begun, due = time.perf_counter(), 1
        while run.poll() is None:
            await asyncio.sleep(0.5)
            children = ended_children(store)
            if children >= due:
                due = children + options.children // 20
                sample_all(samples, run.pid, (time.perf_counter() - begun) / 60, children)
    return {name: taken[5:] for name, taken in samples.items()}


def databases(config: Path) -> Sequence[Path]:
    return sorted((config.parent / "files").glob("*.db"))


def ended_children(store: Path) -> int:
    if not store.exists():
        return 0
    with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM child_job WHERE finished_at IS NOT NULL").fetchone()[0])
        except sqlite3.OperationalError:  # no tables yet
            return 0


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def sample_all(samples: dict[str, list[Sample]], pid: int, minutes: float, children: int) -> None:
    """Of a process and those that it has forked."""
    forked = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for number, each in enumerate([pid, *map(int, forked)]):
        name = f"worker process {number}" if number else "the process itself"
        with suppress(OSError, LookupError):  # it has ended
            samples[name].append(Sample(minutes, children, resident_mebibytes(each)))
            tell(name, samples[name][-1])


def tell(name: str, sample: Sample) -> None:
    print(f"{sample.minutes:5.1f} min  {sample.children:6,} children  {sample.mebibytes:6.1f} MiB  {name}", flush=True)


def fitted(samples: Sequence[Sample]) -> tuple[float, float]:
    """MiB in ten minutes, and for 10,000 children: the plane of the least squares."""
    minutes = [sample.minutes for sample in samples]
    children = [float(sample.children) for sample in samples]
    memory = [sample.mebibytes for sample in samples]
    tt, cc, tc = (covariance(*pair) for pair in ((minutes, minutes), (children, children), (minutes, children)))
    tm, cm, determinant = covariance(minutes, memory), covariance(children, memory), tt * cc - tc * tc
    return 10 * (tm * cc - cm * tc) / determinant, 10_000 * (cm * tt - tm * tc) / determinant


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", nargs="?", choices=("console", "worker", "run"), default="console")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=10, help="minutes that do not count")
    parser.add_argument("--every", type=float, default=1, help="seconds from one batch to the next")
    parser.add_argument("--children", type=int, default=20_000, help="of a worker or a run")
    options = parser.parse_args()
    soak = {"console": soak_console, "worker": soak_worker, "run": soak_run}[options.what]
    number = options.children // len(OPERATIONS) if options.what == "run" else TARGETS
    with tempfile.TemporaryDirectory() as directory:
        config = make_files(Path(directory), number)
        samples = asyncio.run(soak(options, Path(directory) / "jobs.db", config))
    for name, taken in samples.items():
        first, last = taken[0], taken[-1]
        if options.what == "console":
            by_time, by_children = fitted(taken)
        else:
            by_children = (
                linear_regression([one.children for one in taken], [one.mebibytes for one in taken]).slope * 1e4
            )
            by_time = 0.0
        print(
            f"{name}: {first.mebibytes:.1f} MiB at {first.children:,} children and {last.mebibytes:.1f} MiB at", end=""
        )
        print(f" {last.children:,}: {by_children:+.2f} MiB for 10,000 children, {by_time:+.2f} MiB in ten minutes")


if __name__ == "__main__":
    main()
