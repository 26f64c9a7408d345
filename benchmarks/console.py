"""What the console costs, beside a minimal Textual app in the same run: python -m benchmarks.console [--store PATH]

The store of jobs has a million parents and four million children (benchmarks/big_store.py), and is made where none is
given; what its history costs, benchmarks/history.py tells. Both start in turn in a pseudo-terminal of 80x24. Medians,
and for start, CPU and memory the ratio or difference of each pair. `idle` is what is sent in a quiet while; `live`
with four running children that report four times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks import big_store
from benchmarks.terminal import Terminal
from engine.domain.claims import Claim, Outcome, Report
from engine.domain.engines import EngineName
from engine.domain.requests import OnDuplicate, Operation, Request
from engine.domain.statuses import Status
from engine.domain.steps import Progress, Step
from engine.inspection.demo_database import build_demo_database
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from tui.workers.detached import serving

MINIMAL = [sys.executable, "-m", "benchmarks.minimal_app"]


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds to the first useful frame, CPU seconds and MiB once it is quiet, bytes/s when idle."""

    shown: float
    cpu: float
    memory: float
    idle: float
    key: float


def measure(command: list[str], expected: str, idle_seconds: float) -> Start:
    with Terminal(command) as terminal:
        shown = terminal.read_until(expected)
        terminal.read_until_quiet()
        cpu, memory = terminal.cpu_seconds(), terminal.resident_mebibytes()
        idle = terminal.read_for(idle_seconds) / idle_seconds
        delays = []
        for key in (b"\x1b[B", b"\x1b[A") * 5:
            terminal.send(key)
            delays.append(terminal.seconds_to_first_byte())
            terminal.read_until_quiet(0.1)
        return Start(shown, cpu, memory, idle, statistics.median(delays))


async def report_four_children(store_path: Path) -> None:
    """Be the worker process of the store, with four running children, until cancelled."""
    async with SqliteStore.open(store_path) as store, store.hosting_workers() as owner:
        with serving(store_path):
            jobs = [
                NewJob(
                    request=Request(target=f"sqlite:///srv/database{number}.db", operations=(Operation.REINDEX,)),
                    engine=EngineName.SQLITE,
                    target_key=f"bench {number}",
                )
                for number in range(4)
            ]
            await store.submit(jobs, OnDuplicate.REFUSE)
            claims = [claim for _ in jobs if (claim := await store.claim(owner))]
            beat = 0
            try:
                while True:
                    beat += 1
                    await asyncio.gather(*[store.report(claim, progress_at(claim, beat)) for claim in claims])
                    await asyncio.sleep(0.25)
            finally:  # the store may be measured again
                for claim in claims:
                    await store.finish(claim, Outcome(status=Status.COMPLETED), Report())


def progress_at(claim: Claim, beat: int) -> Report:
    done = beat // 2 % 1000
    name = f"index_{done}"
    step = Step(
        number=done + 1,
        attempt=claim.attempt,
        object=name,
        command=f'REINDEX main."{name}"',
        status=Status.RUNNING,
        started_at=1,
    )
    progress = Progress(fraction=done / 1000, object=name, steps_done=done, steps_total=1000)
    return Report(progress=progress, steps=(step,))


async def live_bytes(command: list[str], store_path: Path, seconds: float) -> float:
    """Bytes a second that the console sends while four children run."""
    worker = asyncio.create_task(report_four_children(store_path))
    await asyncio.sleep(1)
    try:
        return await asyncio.to_thread(_read_live, command, seconds)
    finally:
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker


def _read_live(command: list[str], seconds: float) -> float:
    with Terminal(command) as terminal:
        terminal.read_until("reindex")
        terminal.read_for(2)
        return terminal.read_for(seconds) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--store", type=Path, help="one that benchmarks.big_store has made")
    parser.add_argument("--parents", type=int, default=big_store.PARENTS)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--idle", type=float, default=5.0, help="seconds")
    parser.add_argument("--live", type=float, default=10.0, help="seconds")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        database, store = Path(directory) / "sales.db", options.store or Path(directory) / "jobs.db"
        build_demo_database(database)
        if not store.exists():
            big_store.build(store, options.parents)
        console = [sys.executable, "-m", "tui.cli", "--store", str(store), str(database)]
        measure(console, "sales.db", 0.1)  # warm the file cache
        ours, theirs = [], []
        for _ in range(options.rounds):
            theirs.append(measure(MINIMAL, "database 0", options.idle))
            ours.append(measure(console, "vacuum", options.idle))
        live = asyncio.run(live_bytes(console, store, options.live))
    middle = statistics.median
    pairs = list(zip(ours, theirs, strict=True))
    print(f"80x24, median of {options.rounds} rounds, console against a minimal Textual app:")
    print(
        f"first useful frame {middle(o.shown for o in ours):.3f} s against {middle(t.shown for t in theirs):.3f} s,"
        f" {middle(o.shown / t.shown for o, t in pairs):.2f}x"
    )
    print(
        f"CPU until quiet {middle(o.cpu for o in ours):.2f} s against {middle(t.cpu for t in theirs):.2f} s,"
        f" {middle(o.cpu / t.cpu for o, t in pairs):.2f}x"
    )
    print(f"resident memory {middle(o.memory - t.memory for o, t in pairs):+.1f} MiB")
    print(f"idle {middle(o.idle for o in ours):.0f} bytes/s, four running children {live:,.0f} bytes/s")
    print(f"key to first byte {middle(o.key for o in ours) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
