"""`cancel --force`: confirmed, done once, watched to its end, and followed by recovery."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Engine, JobId
from engine.domain.requests import Operation
from engine.execution.force_kill import ForceCancel
from tests.sqlite_files import content, files_beside, integrity, make_database
from tests.tui.command_line import CommandLine, err_line, workers_of, write_locked
from tests.waiting import wait_until
from tui.presentation.force_kill import consequences, question
from tui.workers.detached import is_served

WAITS = ("--lock-timeout", "600")
LOOKED_AFTER = "its process was killed: what it had not finished was rolled back, and a quick check found nothing wrong"


@contextmanager
def a_run(dbtend: CommandLine, *targets: Path, workers: int = 1) -> Iterator[subprocess.Popen[str]]:
    """A `dbtend run` in the middle of VACUUM on each target, for as long as these are locked."""
    options = ("--op", "vacuum", "--workers", str(workers), *WAITS)
    at_once = min(workers, len(targets))
    with dbtend.start("run", *targets, *options) as process:

        def is_at_work() -> bool:
            assert process.poll() is None, process.communicate()
            running = workers_of(dbtend.store) if dbtend.store.exists() else []
            return len(running) == at_once == asyncio.run(_steps_begun(dbtend.store))

        try:
            wait_until(is_at_work)
            yield process
        finally:
            process.kill()


@pytest.fixture
def workers_end(dbtend: CommandLine) -> Iterator[None]:
    """Worker processes that were started in the background are ended."""
    yield
    if dbtend.store.exists():
        for pid in asyncio.run(_workers(dbtend.store)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


async def _steps_begun(store: Path) -> int:
    async with Engine.open(store) as engine:
        jobs = [await engine.job(job.id) for job in await engine.open_jobs()]
    return sum(bool(child.steps) for job in jobs for child in job.children)


async def _workers(store: Path) -> list[int]:
    async with Engine.open(store) as engine:
        return [worker.pid for worker in await engine.workers()]


def test_what_a_run_does_is_ended_and_its_next_process_sees_to_the_database(dbtend: CommandLine, sales: Path) -> None:
    before = content(sales)
    with write_locked(sales), a_run(dbtend, sales) as run:
        (pid,) = workers_of(dbtend.store)
        result = dbtend.process("cancel", "1.1", "--force", "--confirm", "1.1")
        assert run.wait(timeout=30) == 130
    assert result.code == 0
    assert result.err.startswith(f"dbtend: process {pid} ")
    assert not (dbtend.store.with_name("jobs.db.d") / "worker.log").exists()  # none was started besides
    assert "vacuum cancelled in " in result.out
    assert LOOKED_AFTER in result.out
    assert (content(sales), integrity(sales)) == (before, [])
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    assert [(a["status"], a["reason"]) for a in job["children"][0]["attempts"]] == [
        ("failed", "owner_lost"),
        ("cancelled", "cancelled_by_user"),
    ]
    shown = dbtend("show", "1").out
    assert "worker died" not in shown
    assert len(re.findall("process (?:was )?killed", shown)) == 3  # of the whole, of the attempt, and of its step


def test_what_a_worker_process_does_is_ended_and_the_next_of_its_pool_sees_to_the_database(
    dbtend: CommandLine, sales: Path
) -> None:
    with dbtend.start("worker", "--workers", "1") as worker:
        try:
            wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
            with write_locked(sales):
                dbtend.process("run", sales, "--op", "vacuum", "--op", "analyze", *WAITS, "--detach")
                while "#1.1 vacuum" not in err_line(worker):
                    pass
                (job,) = dbtend("cancel", "1", "--force", "--confirm", "#1.1", "--json").json["jobs"]
            vacuum, analyze = job["children"]
            assert (vacuum["status"], vacuum["error"]) == ("cancelled", LOOKED_AFTER)
            assert vacuum["force_requested_at"] is not None
            assert (analyze["status"], analyze["attempt"]) == ("cancelled", 0)
            assert not (dbtend.store.with_name("jobs.db.d") / "worker.log").exists()  # none was started besides
        finally:
            worker.terminate()


@pytest.mark.usefixtures("workers_end")
@pytest.mark.parametrize(("typed", "ends"), [("1.1", True), ("#1.1", True), ("y", False), ("", False), ("1", False)])
def test_on_a_terminal_it_asks_for_the_id(dbtend: CommandLine, sales: Path, typed: str, ends: bool) -> None:
    with write_locked(sales), a_run(dbtend, sales) as run:
        (pid,) = workers_of(dbtend.store)
        code, said = at_a_terminal(dbtend, typed, "cancel", "1", "--force")
        assert f"process {pid} is" in said
        assert "Type 1.1 " in said
        (job,) = dbtend("history", "--json").json["jobs"]
        if ends:
            assert code == 0
            assert "vacuum cancelled in " in said
        else:
            assert code == 130
            assert "nothing was done" in said
            assert job["children"][0]["cancel_requested_at"] is None
            assert run.poll() is None


def at_a_terminal(dbtend: CommandLine, typed: str, *argv: str) -> tuple[int, str]:
    """The exit code of a command at a terminal where this is typed, and all that it shows."""
    terminal, inside = pty.openpty()
    command = [sys.executable, "-m", "tui.cli", *argv]
    with subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, env={**os.environ}) as process:
        os.close(inside)
        shown = b""
        while b"kill its process: " not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, f"{typed}\n".encode())
        with suppress(OSError):  # which is how a terminal tells that nobody is left
            while more := os.read(terminal, 4096):
                shown += more
        os.close(terminal)
    return process.returncode, " ".join(shown.decode().split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--force"], "there is no terminal to ask at (add --confirm 1.1)"),
        (["--force", "--confirm", "1"], "that is 1.1 (give --confirm 1.1)"),
        (["--force", "--confirm", "1.2"], "that is 1.1 (give --confirm 1.1)"),
        (["--force", "--confirm", "yes"], "is no job id"),
        (["--confirm", "1.1"], "nothing to confirm without --force"),
    ],
)
def test_without_confirmation_nothing_is_done(dbtend: CommandLine, sales: Path, words: list[str], said: str) -> None:
    with write_locked(sales), a_run(dbtend, sales) as run:
        result = dbtend.process("cancel", "1", *words)
        assert result.code == 2
        assert said in result.err
        (job,) = dbtend("history", "--json").json["jobs"]
        assert job["children"][0]["cancel_requested_at"] is None
        assert run.poll() is None


def test_what_does_not_run_is_not_ended_by_force(dbtend: CommandLine, sales: Path) -> None:
    assert dbtend("cancel", "1", "--force", "--confirm", "1.1").code == 2
    dbtend("run", sales, "--op", "analyze")
    for job in ("1", "1.1"):
        result = dbtend("cancel", job, "--force", "--confirm", "1.1")
        assert (result.code, result.out) == (2, "")
        assert f"job {job}: has ended" in result.err


def test_what_the_same_run_does_besides_goes_on(dbtend: CommandLine, sales: Path, tmp_path: Path) -> None:
    other = make_database(tmp_path / "other.db", rows=10)
    with ExitStack() as lock, write_locked(sales):
        lock.enter_context(write_locked(other))
        with a_run(dbtend, sales, other, workers=2) as run:
            assert asyncio.run(_look(dbtend.store)).others == ()
            assert dbtend.process("cancel", "1", "--force", "--confirm", "1.1").code == 0
            lock.close()
            assert run.wait(timeout=30) == 130
    assert asyncio.run(_statuses(dbtend.store)) == ["cancelled", "completed"]
    assert {"sales.db", "other.db"} <= files_beside(sales)
    assert not {name for name in files_beside(sales) if name.endswith(("-journal", "-wal"))}


async def _look(store: Path) -> ForceCancel:
    async with Engine.open(store) as engine:
        return await engine.preview_force_cancel(JobId(1))


async def _statuses(store: Path) -> list[str]:
    async with Engine.open(store) as engine, asyncio.timeout(60):
        return [job.status.value for job in await engine.wait([1, 2])]


def test_what_it_comes_to_is_said_in_words() -> None:
    found = ForceCancel(
        job=JobId(42, 1),
        operation=Operation.VACUUM,
        target="sqlite:///srv/sales.db",
        pid=4711,
        owner="x",
        is_replaced=True,
    )
    assert question(found) == "Kill the process of #42.1 vacuum on sales.db?"
    assert consequences(found, JobId(42, 1)) == (
        "Its process 4711 is killed: what it has not finished is undone, and the database is checked for damage."
    )
    assert consequences(replace(found, target="postgresql://ann@db1/shop"), JobId(42, 1)) == (
        "Its process 4711 is killed: what still runs for it on the server is ended, and what it left is dropped."
    )
    assert consequences(replace(found, host="db2"), JobId(42, 1)).startswith("Its process 4711 on db2 is killed: ")
    repair = replace(found, target="mysql://ann@db1/shop", operation=Operation.REPAIR)
    assert consequences(repair, JobId(42, 1)) == (
        "Its process 4711 is killed: the server goes on with the repair: it is waited for, then its table is checked."
    )
    assert consequences(replace(found, recovering=True), JobId(42, 1)) == (
        "Process 4711 is checking the database. If it is killed, that check does not finish."
    )
    more = consequences(replace(found, others=(JobId(43, 1), JobId(44, 1))), JobId(42))
    assert more.endswith(
        "That process also runs #43.1 and #44.1: killed with it, to begin again."
        " The other operations of #42 do not start."
    )
