"""The workers of a run carry out its jobs, and no other pool, until the run releases them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Engine, WorkerProcess
from tests.postgres_databases import SECRET, Database
from tests.sqlite_files import integrity, make_database
from tests.tui.command_line import CommandLine, but_unchecked, err_line, out_line, workers_of, write_locked
from tests.tui.workers.test_detached_environment import a_worker
from tests.waiting import wait_until
from tui.workers.detached import is_served

VACUUM = ("--op", "vacuum", "--lock-timeout", "600")


@pytest.fixture
def pool(dbtend: CommandLine) -> Iterator[subprocess.Popen[str]]:
    """A pool that serves the store."""
    with dbtend.start("worker", "--workers", "2", stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
        wait_until(lambda: len(workers(dbtend.store)) == 2)
        yield process
        process.terminate()


@pytest.fixture
def databases(tmp_path: Path) -> list[Path]:
    return [make_database(tmp_path / f"db{number}.db", rows=50) for number in range(3)]


def workers(store: Path) -> list[WorkerProcess]:
    async def look() -> list[WorkerProcess]:
        async with Engine.open(store) as engine:
            return [process for process in await engine.workers() if process.alive]

    return asyncio.run(look())


def running(store: Path, *, in_pool: bool) -> int:
    return sum(len(process.running) for process in workers(store) if process.serves_all is in_pool)


def statuses(dbtend: CommandLine) -> list[str]:
    jobs = dbtend("history", "--json").json["jobs"]
    return [child["status"] for job in jobs for child in job["children"]]


def test_a_pool_takes_none_of_them_while_the_run_lives(
    dbtend: CommandLine, pool: subprocess.Popen[str], databases: list[Path]
) -> None:
    one, *others = databases
    with write_locked(one), dbtend.start("run", *databases, *VACUUM, "--workers", "1") as run:
        wait_until(lambda: running(dbtend.store, in_pool=False) == 1)
        assert dbtend.process("run", others[0], "--op", "analyze").code == 0  # as the pool has room for more
        assert (running(dbtend.store, in_pool=False), running(dbtend.store, in_pool=True)) == (1, 0)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)
    assert statuses(dbtend) == ["completed", "cancelled", "cancelled", "cancelled"]


@pytest.mark.usefixtures("no_password_is_known")
def test_a_password_of_the_environment_of_a_run_is_enough_where_the_pool_has_none(
    dbtend: CommandLine, guarded: Database
) -> None:
    with a_worker(dbtend):
        for operation in ("analyze", "vacuum"):
            command = ("run", guarded.as_user("ann"), "--op", operation, "--object", "item")
            with dbtend.start(*command, environment={"PGPASSWORD": SECRET}) as run:
                out, err = run.communicate(timeout=60)
            assert (run.returncode, but_unchecked(err)) == (0, ""), out


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_pool_takes_them_all_once_the_run_is_gone(
    dbtend: CommandLine, pool: subprocess.Popen[str], databases: list[Path], number: signal.Signals
) -> None:
    with write_locked(databases[0]):
        with dbtend.start("run", *databases, *VACUUM, "--workers", "1", "--grace", "0") as run:
            wait_until(lambda: running(dbtend.store, in_pool=False) == 1)
            assert running(dbtend.store, in_pool=True) == 0
            run.send_signal(number)
            _, err = run.communicate(timeout=30)
        wait_until(lambda: statuses(dbtend) == ["completed", "completed", "running"])
        assert running(dbtend.store, in_pool=True) == 1
    wait_until(lambda: statuses(dbtend) == ["completed"] * 3)
    if number is signal.SIGTERM:
        assert "db2.db: left to" in err
    assert [integrity(database) for database in databases] == [[]] * 3


def test_a_run_that_is_stopped_keeps_them(
    dbtend: CommandLine, pool: subprocess.Popen[str], databases: list[Path]
) -> None:
    with write_locked(databases[0]), dbtend.start("run", *databases, *VACUUM, "--workers", "1") as run:
        wait_until(lambda: running(dbtend.store, in_pool=False) == 1)
        os.kill(run.pid, signal.SIGSTOP)
        try:
            assert dbtend.process("run", databases[1], "--op", "analyze").code == 0
            assert (running(dbtend.store, in_pool=False), running(dbtend.store, in_pool=True)) == (1, 0)
        finally:
            os.kill(run.pid, signal.SIGCONT)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=30)


def test_who_waits_for_the_same_job_takes_it_only_after_the_other_run(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales), dbtend.start("run", sales, *VACUUM) as first:
        out_line(first)
        with dbtend.start("run", sales, *VACUUM) as second:
            assert err_line(second).startswith("dbtend: job #1 ")
            of_first = workers_of(dbtend.store)
            first.kill()
            first.wait()
            wait_until(lambda: workers_of(dbtend.store) not in ([], of_first))
            second.send_signal(signal.SIGINT)
            second.communicate(timeout=30)
    assert statuses(dbtend) == ["cancelled"]
