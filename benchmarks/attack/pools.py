"""Consoles, workers and runs on one store, started and killed at random.

Never do more jobs run at once than `workers` says, there is one pool, and every job is over in the end.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from benchmarks.attack.directories import attack_directory
from engine import Engine, WorkerProcess
from tests.sqlite_files import make_database

AT_MOST: Final = 2
DATABASES: Final = 6
PATIENCE: Final = 120.0
"""Seconds after which a job is not over any more by itself."""
A_CONSOLE: Final = """
import pathlib, sys
from tui.workers.detached import DetachedWorker
DetachedWorker(pathlib.Path(sys.argv[1])).ensure()
"""


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: how many commands are started."""
    with attack_directory() as directory:
        base = Path(directory)
        paths = [make_database(base / f"{number}.db", rows=200) for number in range(DATABASES)]
        state = base / "state"
        state.mkdir(mode=0o700)
        yield from asyncio.run(_storm(state / "jobs.db", paths, count, random.Random(seed)))
        shutil.rmtree(state, ignore_errors=True)


async def _storm(store: Path, paths: list[Path], count: int, chosen: random.Random) -> list[str]:
    found: list[str] = []
    started: list[subprocess.Popen[bytes]] = []
    async with Engine.open(store) as engine:
        over = asyncio.Event()
        watching = asyncio.create_task(_watch(engine, over, found))
        for _ in range(count):
            started.append(_start(store, paths, chosen))
            await asyncio.sleep(chosen.random() * 0.5)
            if chosen.random() < 0.3:
                _kill(chosen.choice([process.pid for process in started if process.poll() is None] or [0]))
            if chosen.random() < 0.3:
                _kill(chosen.choice([process.pid for process in await _alive(engine)] or [0]))
        started.append(_console(store))
        try:
            async with asyncio.timeout(PATIENCE):
                await engine.wait([job.id for job in await engine.open_jobs()])
        except TimeoutError:
            found += [f"#{job.id} is still {job.status}" for job in await engine.open_jobs()]
        over.set()
        await watching
        for process in await _alive(engine):
            _kill(process.pid)
    for command in started:
        command.kill()
        command.wait()
    return found


def _start(store: Path, paths: list[Path], chosen: random.Random) -> subprocess.Popen[bytes]:
    kind = chosen.choice(["run", "run", "detached", "console", "worker"])
    some = chosen.sample([str(path) for path in paths], chosen.randint(1, 3))
    if kind == "console":
        return _console(store)
    if kind == "worker":
        return _dbtend("worker", "--idle-exit", "5", "--store", store)
    return _dbtend("run", *some, "--store", store, *(["--detach"] if kind == "detached" else []))


def _dbtend(*words: object) -> subprocess.Popen[bytes]:
    return _python("-m", "tui.cli", *map(str, words))


def _console(store: Path) -> subprocess.Popen[bytes]:
    return _python("-c", A_CONSOLE, str(store))


def _python(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _alive(engine: Engine) -> list[WorkerProcess]:
    return [process for process in await engine.workers() if process.alive]


async def _watch(engine: Engine, over: asyncio.Event, found: list[str]) -> None:
    while not over.is_set():
        alive = await _alive(engine)
        if (running := sum(len(process.running) for process in alive)) > AT_MOST:
            found.append(f"{running} jobs run at once")
        pools = {process.pool for process in alive if process.serves_all}
        if len(pools) > 1:
            found.append(f"{len(pools)} pools serve the store")
        await asyncio.sleep(0.02)


def _kill(pid: int) -> None:
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
