"""What processes cost that have nothing to do: python -m benchmarks.idle

An engine without workers, as a console has one, and the processes of a `dbtend worker`; beside them an engine that
watches another process's job run. Share of a core, and bytes that the process makes the disk write.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.processes import new_job
from benchmarks.roles import role
from engine import Engine, WorkerProcess
from engine.domain.requests import OnDuplicate
from engine.store.sqlite.store import SqliteStore

SETTLED = 3.0
"""Seconds after which a process has done all that it does at its start."""


@contextmanager
def worker_pool(store: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tui.cli", "worker", "--store", str(store)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.terminate()


async def both_workers(store: Path) -> Sequence[WorkerProcess]:
    async with Engine.open(store) as engine:
        while True:
            workers = await engine.workers()
            if len(workers) == 2:
                return workers
            await asyncio.sleep(0.1)


def cpu_seconds(pid: int) -> float:
    """What all threads of a process have run so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def bytes_written(pid: int) -> int:
    lines = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return int(lines["write_bytes"])


async def cost(pid: int, seconds: float) -> tuple[float, int]:
    """The share of a core that a process uses, and the bytes that it writes meanwhile."""
    cpu, written = cpu_seconds(pid), bytes_written(pid)
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - cpu) / seconds, bytes_written(pid) - written


async def measure(directory: Path, seconds: float) -> Mapping[str, tuple[float, int]]:
    quiet, busy = directory / "quiet.db", directory / "busy.db"
    async with SqliteStore.open(busy) as store:
        await store.submit([new_job(1)], OnDuplicate.REFUSE)
    with ExitStack() as roles:
        roles.enter_context(role("hold", busy))
        pids = {
            "engine without workers": roles.enter_context(role("watch", quiet)).pid,
            "engine without workers, a job runs elsewhere": roles.enter_context(role("watch", busy)).pid,
            "worker: the process that replaces the others": roles.enter_context(worker_pool(quiet)).pid,
        }
        pids |= {f"worker: process {n}": worker.pid for n, worker in enumerate(await both_workers(quiet), 1)}
        await asyncio.sleep(SETTLED)
        costs = await asyncio.gather(*[cost(pid, seconds) for pid in pids.values()])
    return dict(zip(pids, costs, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dbtend-bench-") as directory:
        costs = asyncio.run(measure(Path(directory), options.seconds))
    print(f"{f'idle for {options.seconds:.0f} s':50}{'of a core':>10}{'bytes written':>15}")
    for what, (share, written) in costs.items():
        print(f"{what:50}{share:10.2%}{written:15,}")


if __name__ == "__main__":
    main()
