"""Consoles, workers and runs of one store and host share one pool, and one bound on what runs at once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, ParentJob, Request, WorkerProcess
from engine.domain.events import unattended
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, err_line, out_line, workers_of, write_locked
from tests.waiting import wait_until
from tui.workers.detached import is_served

A_CONSOLE = """
import pathlib, sys
from tui.workers.detached import DetachedWorker
worker = DetachedWorker(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
worker.ensure()
print("ensured", flush=True)
sys.stdin.readline()
"""
VACUUM = ("--op", "vacuum", "--lock-timeout", "600")


def processes(store: Path) -> list[WorkerProcess]:
    async def look() -> list[WorkerProcess]:
        async with Engine.open(store) as engine:
            return [process for process in await engine.workers() if process.alive]

    return asyncio.run(look())


@pytest.fixture
def workers_end(dbtend: CommandLine) -> Iterator[None]:
    """Worker processes that were started in the background are ended."""
    yield

    def are_gone() -> bool:
        left = processes(dbtend.store) if dbtend.store.exists() else []
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        return not left

    wait_until(are_gone)


@contextmanager
def consoles(dbtend: CommandLine, number: int) -> Iterator[Sequence[subprocess.Popen[str]]]:
    """Processes that see to a worker as consoles do, all at the same moment."""
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", A_CONSOLE, dbtend.store],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(number)
        ]
        for console in started:
            assert out_line(console) == "ready\n"
        for console in started:
            assert console.stdin is not None
            console.stdin.write("\n")
            console.stdin.flush()
        for console in started:
            assert out_line(console) == "ensured\n"
        yield started
        for console in started:
            console.kill()


@pytest.fixture
def databases(tmp_path: Path) -> list[Path]:
    return [make_database(tmp_path / f"db{number}.db", rows=50) for number in range(6)]


@pytest.mark.usefixtures("workers_end")
def test_three_consoles_at_once_start_one_pool(dbtend: CommandLine, databases: Sequence[Path]) -> None:
    with ExitStack() as locks:
        for database in databases:
            locks.enter_context(write_locked(database))
        submit_to_nobody(dbtend, databases)
        with consoles(dbtend, 3):
            wait_until(lambda: len(workers_of(dbtend.store)) == 2)
            wait_until(lambda: not starting(dbtend.store))
            pool = processes(dbtend.store)
            assert len(pool) == 2
            assert len({process.pool for process in pool}) == 1


def submit_to_nobody(dbtend: CommandLine, databases: Sequence[Path]) -> None:
    async def submit() -> None:
        async with Engine.open(dbtend.store) as engine:
            options = Options(lock_timeout=600)
            await engine.submit(
                [Request(target=str(path), operations=(Operation.VACUUM,), options=options) for path in databases]
            )

    asyncio.run(submit())


def starting(store: Path) -> list[int]:
    """Commands `dbtend worker` that have not found out yet whether they are needed."""
    pools = {process.pool for process in processes(store)} | {process.pid for process in processes(store)}
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"worker" in words and os.fsencode(store) in words and int(path.name) not in pools:
                found.append(int(path.name))
    return found


@pytest.mark.usefixtures("workers_end")
def test_one_that_is_started_where_another_serves_ends_quietly(dbtend: CommandLine) -> None:
    with dbtend.start("worker") as first:
        try:
            wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
            second = dbtend.process("worker", "--idle-exit", "60")
            assert (second.code, second.out, second.err) == (0, "", "")
            wait_until(lambda: len(processes(dbtend.store)) == 2)
        finally:
            first.terminate()


@pytest.mark.usefixtures("workers_end")
def test_a_permanent_one_takes_the_place_of_the_one_that_serves(dbtend: CommandLine) -> None:
    with dbtend.start("worker", "--workers", "1") as first, dbtend.start("worker", "--workers", "1") as second:
        try:
            wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
            (serving,) = processes(dbtend.store)
            leader, standby = (first, second) if serving.pool == first.pid else (second, first)
            leader.terminate()
            assert leader.wait(timeout=30) == 0
            wait_until(lambda: [process.pool for process in processes(dbtend.store)] == [standby.pid])
        finally:
            first.terminate()
            second.terminate()


@pytest.mark.usefixtures("workers_end")
def test_runs_and_workers_together_keep_to_the_bound(dbtend: CommandLine, databases: Sequence[Path]) -> None:
    dbtend.configure("[defaults]\nworkers = 2")
    with ExitStack() as locks, dbtend.start("worker") as worker:
        try:
            for database in databases:
                locks.enter_context(write_locked(database))
            wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
            runs = [dbtend.start("run", *pair, *VACUUM) for pair in zip(databases[::2], databases[1::2], strict=True)]
            wait_until(lambda: jobs(dbtend.store) == 6 and running(dbtend.store) == 2)
            locks.close()
            seen = set[int]()
            while any(run.poll() is None for run in runs):
                seen.add(running(dbtend.store))
            assert max(seen) <= 2
            assert [run.returncode for run in runs] == [0, 0, 0]
            for run in runs:
                run.communicate()
        finally:
            worker.terminate()


def open_jobs(store: Path) -> list[ParentJob]:
    async def look() -> list[ParentJob]:
        async with Engine.open(store) as engine:
            return await engine.open_jobs()

    return asyncio.run(look())


def jobs(store: Path) -> int:
    async def look() -> int:
        async with Engine.open(store) as engine:
            return await engine.count()

    return asyncio.run(look())


def running(store: Path) -> int:
    return sum(len(process.running) for process in processes(store))


def test_a_run_that_waits_for_a_worker_says_so(dbtend: CommandLine, databases: Sequence[Path]) -> None:
    dbtend.configure("[defaults]\nworkers = 1")
    one, other = databases[:2]
    with ExitStack() as locks:
        locks.enter_context(write_locked(one))
        with dbtend.start("run", one, *VACUUM) as first:
            assert out_line(first) == "#1.1 db0.db vacuum started\n"
            with dbtend.start("run", other, *VACUUM) as second:
                assert err_line(second).startswith("dbtend: #2 db1.db: waiting: 1 of 1 ")
                assert running(dbtend.store) == 1
                wait_until(lambda: not unattended(open_jobs(dbtend.store), processes(dbtend.store)))
                locks.close()
                assert (first.wait(timeout=30), second.wait(timeout=30)) == (0, 0)


def test_a_number_of_workers_that_is_asked_for_is_the_bound_of_that_run(
    dbtend: CommandLine, databases: Sequence[Path]
) -> None:
    dbtend.configure("[defaults]\nworkers = 1")
    with ExitStack() as locks:
        for database in databases[:3]:
            locks.enter_context(write_locked(database))
        with dbtend.start("run", *databases[:3], *VACUUM, "--workers", "3") as run:
            wait_until(lambda: dbtend.store.exists() and running(dbtend.store) == 3)
            locks.close()
            assert run.wait(timeout=30) == 0
            run.communicate()
