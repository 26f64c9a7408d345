"""What the console holds in memory while jobs run for a long time: python -m benchmarks.soak [--minutes 30]

A console in a terminal of 120x40, and a worker beside it; every few seconds a batch on some of a dozen small databases
is submitted. Keys are pressed all the while: along the lists, into a job, the history, the workers, and back. After the
warm-up the memory of the console is fitted to a line: how steep that is tells whether it grows.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.many_plans import make_files
from benchmarks.terminal import Terminal
from engine import Engine, Operation, Request
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


def dbtend(store: Path, config: Path) -> list[str]:
    return [sys.executable, "-m", "tui.cli", "--store", str(store), "--config", str(config)]


async def submit(store: Path, files: list[Path]) -> int:
    """Submit a batch; returns how many children it has."""
    async with Engine.open(store) as engine:
        jobs = await engine.submit(
            [Request(target=str(path), operations=OPERATIONS) for path in files], on_duplicate=OnDuplicate.MERGE
        )
    return sum(len(job.children) for job in jobs)


def soak(
    terminal: Terminal, store: Path, files: list[Path], *, seconds: float, every: float
) -> tuple[int, list[tuple[float, float]]]:
    """The number of children that were submitted, and the memory in MiB at times in seconds."""
    children, memory, begun, turn = 0, list[tuple[float, float]](), time.perf_counter(), 0
    while (at := time.perf_counter() - begun) < seconds:
        some = [files[(turn * 3 + n) % len(files)] for n in range(3)]
        children += asyncio.run(submit(store, some))
        until = time.perf_counter() + every
        while time.perf_counter() < until:
            terminal.send(KEYS[turn % len(KEYS)])
            turn += 1
            terminal.read_for(0.5)
        terminal.output.clear()
        memory.append((at, terminal.resident_mebibytes()))
        if len(memory) % 10 == 0:
            print(f"{at / 60:5.1f} min  {children:5,} children  {memory[-1][1]:6.1f} MiB", flush=True)
    return children, memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=5, help="minutes that do not count")
    parser.add_argument("--every", type=float, default=6, help="seconds from one batch to the next")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        config = make_files(Path(directory), TARGETS)
        store = Path(directory) / "jobs.db"
        command = dbtend(store, config)
        with Terminal(command, columns=120, rows=40) as terminal:
            terminal.read_until("tenant-", timeout=60)
            terminal.send(b"\r3")
            worker = subprocess.Popen([*command, "worker"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            files = sorted((Path(directory) / "files").glob("*.db"))
            try:
                children, memory = soak(terminal, store, files, seconds=options.minutes * 60, every=options.every)
            finally:
                worker.terminate()
                worker.wait()
    warm = [(at / 60, size) for at, size in memory if at >= options.warm_up * 60]
    slope = statistics.linear_regression(*zip(*warm, strict=True)).slope
    print(
        f"{children:,} children in {options.minutes:g} minutes; {warm[0][1]:.1f} MiB after {options.warm_up:g} minutes,"
    )
    print(f"{warm[-1][1]:.1f} MiB at the end: {slope * 10:+.2f} MiB in ten minutes")


if __name__ == "__main__":
    main()
