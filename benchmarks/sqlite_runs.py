"""One operation on one SQLite file, in a process of its own: by dbtend, by the sqlite3 shell, or by plain Python.

python -m benchmarks.sqlite_runs dbtend|unwatched|plain DATABASE STORE WORK
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final
from unittest.mock import patch

from engine import Engine, Operation, Options, Request, Status
from engine.domain.advice import needed
from engine.domain.jobs import ChildJob, remaining
from engine.domain.requests import CheckLevel, SqliteLibrary
from engine.inspection.inspector import BUDGET, operations, plan
from engine.system.clock import now
from engine.targets.sqlite.connection import metered
from engine.targets.sqlite.connection.bundled import BundledConnection
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.planning.steps import Method, SqliteStep
from engine.targets.sqlite.running import backup, work
from engine.targets.sqlite.running.writeback import writing_back
from engine.targets.sqlite.system.machine import field

SHELL: Final = "/usr/bin/sqlite3"
NEEDED: Final = "needed"
"""The work of doing whatever the advice calls for."""
_WORK: Final = {
    "vacuum": (Operation.VACUUM, Options()),
    "exchange": (Operation.VACUUM, Options(swap=True)),
    "reindex": (Operation.REINDEX, Options()),
    "bundled": (Operation.REINDEX, Options(sqlite=SqliteLibrary.BUNDLED)),
    "analyze": (Operation.ANALYZE, Options()),
    "check": (Operation.CHECK, Options(check=CheckLevel.FULL)),
    "quick": (Operation.CHECK, Options(check=CheckLevel.QUICK)),
    "optimize": (Operation.OPTIMIZE, Options()),
}

Seen = tuple[int, float | None, float | None]
"""The time of a look, the fraction and the seconds left."""
_IN_TRANSACTION: Final = frozenset({Method.TRANSACTION, Method.GROUPED, Method.ANALYZE, Method.OPTIMIZE})


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """What a run took."""

    seconds: float
    """Of the shell those of the whole process, of dbtend those from the child's start to its end."""
    whole: float
    """Seconds from the submit to the end; of the shell the same."""
    memory: int = 0
    """Bytes of memory at its peak that were the process's own, without mapped files."""
    progress_error: float | None = None
    """How far percent and elapsed share were apart, in points, on average; None where no progress was told."""
    left_error: float | None = None
    """How far off the time left was at half time, in percent of the whole time; None if unknown."""
    progress_told: float = 0.0
    """The share of samples in which progress was known."""
    beside: float = 0.0
    """Seconds of a processor that dbtend took for itself, from the submit to the end: for jobs, looks and the store,
    and not for the statements."""


def by_shell(database: Path, sql: str) -> PastJob:
    begin = time.perf_counter()
    with _process([SHELL, str(database), sql]) as (process, peak):
        process.communicate()
        seconds = time.perf_counter() - begin
    return PastJob(seconds=seconds, whole=seconds, memory=peak())


def by_dbtend(database: Path, store: Path, work: str) -> PastJob:
    return _by_python("dbtend", database, store, work)


def by_dbtend_watched_closely(database: Path, store: Path, work: str) -> PastJob:
    """The same with looks that are often enough for the percent of a job of half a second."""
    return _by_python("closely", database, store, work)


def by_dbtend_unwatched(database: Path, store: Path, work: str) -> PastJob:
    """The same without a look at how far it is: what these cost is the difference."""
    return _by_python("unwatched", database, store, work)


def by_plain_python(database: Path, work: str) -> PastJob:
    """The steps that dbtend plans, with its settings, and nothing else: no progress, no jobs."""
    return _by_python("plain", database, Path(), work)


def _by_python(way: str, database: Path, store: Path, work: str) -> PastJob:
    command = [sys.executable, "-m", "benchmarks.sqlite_runs", way, str(database), str(store), work]
    with _process(command) as (process, peak):
        said, _ = process.communicate()
    return PastJob(**{**json.loads(said), "memory": peak()})


@contextmanager
def _process(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], Callable[[], int]]]:
    """The process, and what its memory was at the peak once it is over. Raises CalledProcessError where it failed."""
    peak = 0

    def watch() -> None:
        nonlocal peak
        while process.returncode is None:
            peak = max(peak, _own_memory(process.pid))
            time.sleep(0.1)

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        yield process, lambda: peak
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _own_memory(pid: int) -> int:
    """The bytes of memory of a process and of all that it has started."""
    try:
        own = 1024 * (field(Path(f"/proc/{pid}/status").read_text(), "RssAnon") or 0)
        children = [
            child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
        ]
    except OSError:  # over
        return 0
    return own + sum(map(_own_memory, map(int, children)))


async def _dbtend(database: Path, store: Path, work: str, look_every: float) -> PastJob:
    async with Engine.open(store, workers=1) as engine:
        begin, beside = time.perf_counter(), _seconds_of_threads()
        request = await _request(engine, database, work)
        (submitted,) = await engine.submit([request])
        said: list[Seen] = []
        watching = asyncio.create_task(_watch(engine, submitted.id, said, look_every))
        (job,) = await engine.wait([submitted.id])
        whole, beside = time.perf_counter() - begin, _seconds_of_threads() - beside
        watching.cancel()
    for child in job.children:
        if child.status is not Status.COMPLETED:
            raise RuntimeError(f"{child.operation} {child.status}: {child.error}")
    error, told = _progress_error(job.children[0], said)
    seconds = sum(_duration(child) for child in job.children)
    return PastJob(
        seconds=seconds,
        whole=whole,
        progress_error=error,
        left_error=_left_error(job.children[0], said),
        progress_told=told,
        beside=beside,
    )


def _seconds_of_threads() -> float:
    """What this process's threads have worked. Those that carried out statements are gone with their connections."""
    clocks = [time.pthread_getcpuclockid(thread.ident) for thread in threading.enumerate() if thread.ident]
    return sum(map(time.clock_gettime, clocks))


async def _request(engine: Engine, database: Path, work: str) -> Request:
    if work != NEEDED:
        operation, options = _WORK[work]
        return Request(target=str(database), operations=(operation,), options=options)
    everything = Request(target=str(database), operations=operations(str(database)))
    wanted = needed(everything, await engine.advise(str(database), budget=BUDGET))
    if wanted is None:
        raise RuntimeError("nothing is needed")
    print(f"needed: {', '.join(wanted.operations)}", file=sys.stderr)
    return wanted


async def _watch(engine: Engine, job: int, said: list[Seen], every: float) -> None:
    """Note what the store says of the first child."""
    while True:
        (seen,) = await engine.jobs([job])
        if seen.children[0].status is Status.RUNNING:
            at = now()
            said.append((at, seen.children[0].progress.fraction, remaining(seen.children[0], at)))
        await asyncio.sleep(every)


def _progress_error(child: ChildJob, said: Sequence[Seen]) -> tuple[float | None, float]:
    """The mean distance of percent from the elapsed share, in points; and in how many samples percent was known."""
    begin, duration = child.started_at or 0, 1e6 * _duration(child)
    errors = [abs(fraction - (at - begin) / duration) for at, fraction, _ in said if fraction is not None]
    return (100 * sum(errors) / len(errors), len(errors) / len(said)) if errors else (None, 0.0)


def _left_error(child: ChildJob, said: Sequence[Seen]) -> float | None:
    begin, duration = child.started_at or 0, 1e6 * _duration(child)
    at, _, left = min(said, key=lambda seen: abs(seen[0] - begin - duration / 2), default=(0, None, None))
    return None if left is None else 100 * abs((at - begin + 1e6 * left) / duration - 1)


def _duration(child: ChildJob) -> float:
    assert child.started_at is not None
    assert child.finished_at is not None
    return (child.finished_at - child.started_at) / 1e6


@contextmanager
def _unwatched() -> Iterator[None]:
    @asynccontextmanager
    async def nothing_told(*_: object, **__: object) -> AsyncIterator[None]:
        yield

    with (
        patch.object(work, "progress_reports", nothing_told),
        patch.object(backup, "progress_reports", nothing_told),
        patch.object(metered, "OPCODES_A_TICK", 0),
    ):
        yield


async def _plain(database: Path, work: str) -> PastJob:
    operation, options = _WORK[work]
    planned = await plan(Request(target=str(database), operations=(operation,), options=options))
    (only,) = planned.operations
    steps = [step for step in only.steps if isinstance(step, SqliteStep)]
    waiting: SimpleQueue[SqliteStep] = SimpleQueue()
    for step in steps:
        waiting.put(step)
    begin = time.perf_counter()
    async with writing_back(str(database)) if steps[0].write_behind else nullcontext():
        await asyncio.gather(*(asyncio.to_thread(_execute, database, waiting) for _ in range(only.parallel)))
    seconds = time.perf_counter() - begin
    return PastJob(seconds=seconds, whole=seconds)


def _execute(database: Path, waiting: SimpleQueue[SqliteStep]) -> None:
    opened: dict[SqliteLibrary, sqlite3.Connection | BundledConnection] = {}
    prepared: dict[SqliteLibrary, tuple[str, ...]] = {}
    with ExitStack() as stack:
        while True:
            try:
                step = waiting.get_nowait()
            except Empty:
                return
            if (library := step.library) not in opened:
                opened[library] = stack.enter_context(closing(_opened(database, library)))
            db = opened[library]
            for setting in step.settings if step.settings != prepared.get(library) else ():
                db.execute(setting).fetchall()
            prepared[library] = step.settings
            around = ("BEGIN IMMEDIATE", "COMMIT") if step.method in _IN_TRANSACTION else ()
            for command in (*around[:1], *(step.commands or (step.command,)), *around[1:]):
                db.execute(command).fetchall()


def _opened(database: Path, library: SqliteLibrary) -> sqlite3.Connection | BundledConnection:
    uri = connection_uri(str(database))
    if library is SqliteLibrary.BUNDLED:
        return BundledConnection(uri, lambda _: None)
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def main() -> None:
    way, database, store, work = sys.argv[1:]
    with _unwatched() if way == "unwatched" else nullcontext():
        look_every = 1 / 16 if way == "closely" else 1 / 4  # as the console does
        path = Path(database)
        running = _plain(path, work) if way == "plain" else _dbtend(path, Path(store), work, look_every)
        print(json.dumps(asdict(asyncio.run(running))))


if __name__ == "__main__":
    main()
