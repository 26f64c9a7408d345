"""A run ended by a signal: Ctrl-C cancels; a shutdown lets jobs that have begun go on, and starts no other."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine import ChangeKind, Engine, Operation, Reason, Request, Status, StoreLocation
from tests.engine.processes import python
from tests.sqlite_files import integrity
from tests.tui.command_line import CommandLine, but_unchecked, err_line, out_line, workers_of, write_locked
from tests.waiting import wait_until
from tui.commands.ending import hand_over
from tui.workers.detached import serving

HANGS = """
    from engine.store.sqlite.store import SqliteStore

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers(serves_all=False) as owner:
            await store.claim(owner)
            print("running", flush=True)
            await asyncio.Event().wait()

    asyncio.run(main())
"""
NOTHING = "dbtend: nothing was submitted\n"
STOPPING = "dbtend: stopping safely; once more to leave at once\n"
WAITING = "dbtend: waiting up to {} s for #1.1 sales.db vacuum\n"
TWO = ("--op", "vacuum", "--op", "analyze", "--lock-timeout", "600")
SHUTDOWNS = [signal.SIGTERM, signal.SIGHUP]


def children(dbtend: CommandLine) -> list[Any]:
    (job,) = dbtend("history", "--json").json["jobs"]
    found: list[Any] = job["children"]
    return found


def how(children: list[Any]) -> list[tuple[str, str | None]]:
    return [(child["status"], child["reason"]) for child in children]


def test_ctrl_c_asks_for_a_safe_cancel(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales), dbtend.start("run", sales, *TWO, "--grace", "600") as process:
        assert out_line(process) == "#1.1 sales.db vacuum started\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, STOPPING)
    assert "#1.1 sales.db vacuum cancelled" in out
    assert how(children(dbtend)) == [("cancelled", "cancelled_by_user")] * 2
    assert integrity(sales) == []


def test_a_job_that_completed_before_ctrl_c_reached_the_run_ends_with_its_own_code(
    dbtend: CommandLine, sales: Path
) -> None:
    with dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        with write_locked(sales):
            assert out_line(process) == "#1.1 sales.db vacuum started\n"
            process.send_signal(signal.SIGSTOP)  # its worker process goes on
        wait_until(lambda: how(children(dbtend)) == [("completed", None)])
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, but_unchecked(err)) == (0, STOPPING)
    assert "#1 sales.db completed" in out


@pytest.mark.parametrize("number", SHUTDOWNS)
def test_what_ends_within_the_grace_period_is_as_good_as_any(
    dbtend: CommandLine, sales: Path, number: signal.Signals
) -> None:
    with dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600", "--grace", "600") as process:
        with write_locked(sales):
            out_line(process)
            process.send_signal(number)
            assert (err_line(process), err_line(process)) == (STOPPING, WAITING.format(600))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, but_unchecked(err)) == (0, "")
    assert "#1.1 sales.db vacuum completed" in out


def test_what_would_start_later_is_cancelled_where_nobody_would_carry_it_out(dbtend: CommandLine, sales: Path) -> None:
    with dbtend.start("run", sales, *TWO, "--grace", "600") as process:
        with write_locked(sales):
            out_line(process)
            process.send_signal(signal.SIGTERM)
            assert (err_line(process), err_line(process)) == (STOPPING, WAITING.format(600))
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith("dbtend: #1 sales.db: cancelling")
    assert "dbtend retry 1" in err
    assert but_unchecked(err).count("\n") == 1
    assert how(children(dbtend)) == [("completed", None), ("cancelled", "shutdown")]


def test_what_outlasts_the_grace_period_is_cancelled_safely(dbtend: CommandLine, sales: Path) -> None:
    dbtend.configure("[defaults]\ngrace = 0.1")
    with write_locked(sales), dbtend.start("run", sales, *TWO) as process:
        out_line(process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith(STOPPING + WAITING.format("0.1") + "dbtend: #1 sales.db: cancelling")
    assert "vacuum cancelled in " in out
    assert how(children(dbtend)) == [("cancelled", "shutdown")] * 2
    assert integrity(sales) == []


def test_what_is_left_is_handed_back_where_a_worker_process_serves_the_store(dbtend: CommandLine, sales: Path) -> None:
    dbtend.store.with_name("jobs.db.d").mkdir(parents=True)
    with (
        serving(dbtend.store),
        write_locked(sales),
        dbtend.start("run", sales, *TWO, "--grace", "0", "--json") as process,
    ):
        until_it_runs(dbtend.store)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.removeprefix(STOPPING).startswith("dbtend: #1 sales.db: left")
    assert '"status": "running"' in out
    vacuum, analyze = children(dbtend)
    assert [child["status"] for child in (vacuum, analyze)] == ["pending", "pending"]
    assert [(attempt["status"], attempt["reason"]) for attempt in vacuum["attempts"]] == [("cancelled", "shutdown")]

    assert dbtend.process("worker", "--workers", "1", "--idle-exit", "0.1").code == 0
    assert how(children(dbtend)) == [("completed", None)] * 2
    assert "handed back" in dbtend("show", "1").out


def until_it_runs(store: Path) -> None:
    async def wait() -> None:
        async with Engine.open(store) as engine, asyncio.timeout(30):
            async for _ in engine.changes(after=0):
                if any(job.status is Status.RUNNING for job in await engine.open_jobs()):
                    return

    asyncio.run(wait())


async def test_where_the_worker_process_ends_meanwhile_what_was_handed_back_is_cancelled(
    tmp_path: Path, sales: Path
) -> None:
    said: list[str] = []
    async with Engine.open(tmp_path / "jobs.db") as engine:
        (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        await hand_over(engine, StoreLocation(tmp_path / "jobs.db"), [job.id], said.append)
        (left,) = await engine.jobs([job.id])
    assert [child.reason for child in left.children] == [Reason.SHUTDOWN]
    assert said[0].startswith("#1 sales.db: cancelling")


async def test_nobody_is_waited_for_where_another_process_dies_over_what_is_cancelled(
    tmp_path: Path, sales: Path
) -> None:
    store = tmp_path / "jobs.db"
    async with Engine.open(store) as engine, asyncio.timeout(30):
        (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        with python(HANGS, store) as other:
            assert await other.says() == "running"
            ending, changes = (
                asyncio.create_task(hand_over(engine, StoreLocation(store), [job.id], print)),
                engine.changes(after=0),
            )
            while (change := await anext(changes)) and getattr(change, "kind", None) is not ChangeKind.CANCEL_REQUESTED:
                pass
            assert (await engine.job(job.id)).children[0].status is Status.RUNNING
            other.kill()
            await ending
        (child,) = (await engine.job(job.id)).children
    assert (child.status, child.reason) == (Status.CANCELLED, Reason.SHUTDOWN)
    assert "not been recovered" in (child.error or "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_a_dead_process_left_is_not_left_once_more(
    dbtend: CommandLine, sales: Path, number: signal.Signals
) -> None:
    with write_locked(sales):
        with dbtend.start("run", sales, *TWO) as first:
            out_line(first)
            first.kill()
        wait_until(lambda: not workers_of(dbtend.store))  # which die just after it, and may be seen alive by the next
        with dbtend.start("run", sales, *TWO, "--grace", "0") as second:
            assert err_line(second).startswith("dbtend: job #1 ")
            assert out_line(second) == "#1.1 sales.db vacuum runs again\n"
            second.send_signal(number)
            second.communicate(timeout=30)
    assert second.returncode == 130
    assert [status for status, _ in how(children(dbtend))] == ["cancelled"] * 2


def test_nobody_insists_with_sighup(dbtend: CommandLine, sales: Path) -> None:
    """A terminal that closes sends it twice: once from the shell, once by itself."""
    with dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600", "--grace", "600") as process:
        with write_locked(sales):
            out_line(process)
            process.send_signal(signal.SIGTERM)
            err_line(process)
            process.send_signal(signal.SIGHUP)
            err_line(process)
            process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=30) == 0


A_SLOW_SUBMIT = """
import asyncio, sys
from pathlib import Path
from engine import Operation, Request, StoreLocation
from tui.commands.foreground import Foreground, carry_out
from tui.commands.views import PlainView

async def submit(engine):
    print("submitting", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return await engine.submit([Request(target=sys.argv[2], operations=(Operation.VACUUM,))])

_, code = carry_out(Foreground(store=StoreLocation(Path(sys.argv[1]))), submit, PlainView())
sys.exit(code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, *SHUTDOWNS])
def test_a_signal_before_the_submit_leaves_nothing(dbtend: CommandLine, sales: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", A_SLOW_SUBMIT, dbtend.store, sales],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert out_line(process) == "submitting\n"
        process.send_signal(number)
        assert (err_line(process), err_line(process)) == (STOPPING, NOTHING)
        process.communicate("go on\n", timeout=30)
    assert process.returncode == 130
    assert dbtend("history", "--json").json["jobs"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, *SHUTDOWNS])
def test_a_signal_while_a_server_does_not_answer_is_heeded_at_once(dbtend: CommandLine, number: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"postgresql://ann@127.0.0.1:{server.getsockname()[1]}/shop?connect_timeout=600"
        with dbtend.start("run", url, "--op", "analyze") as process:
            connection, _ = server.accept()
            with connection:
                process.send_signal(number)
                _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, STOPPING + NOTHING)
    assert dbtend("history", "--json").json["jobs"] == []


def test_what_cannot_stop_yet_is_waited_for_and_handed_back(dbtend: CommandLine, sales: Path) -> None:
    dbtend.store.with_name("jobs.db.d").mkdir(parents=True)
    with (
        serving(dbtend.store),
        write_locked(sales),
        dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600", "--grace", "0") as process,
    ):
        out_line(process)
        (pid,) = workers_of(dbtend.store)
        os.kill(pid, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        assert err_line(process) == STOPPING
        assert "cannot stop yet" in err_line(process)
        os.kill(pid, signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.startswith("dbtend: #1 sales.db: left")) == (130, True)
    (vacuum,) = children(dbtend)
    assert vacuum["status"] == "pending"
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    assert [attempt["reason"] for attempt in job["children"][0]["attempts"]] == ["shutdown"]


STUBBORN = """
import asyncio
from tui.commands.output import notice
from tui.workers.signals import stop_signals

async def stubborn():
    with stop_signals(notice):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(stubborn())
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_leaves_at_once(second: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert out_line(process) == "ready\n"
        process.send_signal(signal.SIGHUP)
        assert err_line(process) == STOPPING
        process.send_signal(second)
        assert process.wait(timeout=30) == 130


def test_a_background_run_of_nohup_outlives_the_terminal(dbtend: CommandLine, sales: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with write_locked(sales):
            process = dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600", interpreter=True)
            out_line(process)
            process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=30)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (process.returncode, but_unchecked(err)) == (0, "")


async def test_a_cancel_is_tried_again_where_the_store_is_locked(
    tmp_path: Path, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0.05)
    store, said = tmp_path / "jobs.db", asyncio.Queue[str]()
    async with Engine.open(store) as engine, asyncio.timeout(30):
        (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        with write_locked(store):
            ending = asyncio.create_task(hand_over(engine, StoreLocation(store), [job.id], said.put_nowait))
            while "#1 sales.db cannot be cancelled yet" not in await said.get():
                pass
        await ending
        assert (await engine.job(job.id)).children[0].reason is Reason.SHUTDOWN
