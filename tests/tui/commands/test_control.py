"""`pause`, `resume` and `workers`, and the notices of a run that waits."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from engine import JobId, WorkerProcess
from tests.tui.command_line import CommandLine, but_unchecked, err_line, out_line, write_locked
from tests.tui.jobs import START, child, parent
from tests.waiting import wait_until
from tui.commands.workers import table


def test_a_store_is_paused_once_and_resumed_once(dbtend: CommandLine) -> None:
    assert dbtend("pause").out == "paused: nothing new starts until dbtend resume, nothing runs\n"
    assert dbtend("pause").out.startswith("already paused since ")
    shown = dbtend("doctor")
    assert "nothing new starts  (dbtend resume)" in shown.out
    assert shown.code == 0
    assert dbtend("resume").out == "resumed: jobs start again, 0 jobs open\n"
    assert dbtend("resume").out == "not paused: jobs start as they come\n"


def test_with_json(dbtend: CommandLine) -> None:
    assert dbtend("resume", "--json").json == {"paused": None}
    assert not dbtend.store.exists()
    first = dbtend("pause", "--json").json["paused"]
    assert set(first) == {"at", "by"}
    assert "@" in first["by"]
    assert dbtend("pause", "--json").json["paused"] == first
    assert dbtend("resume", "--json").json == {"paused": None}


def test_a_run_on_a_paused_store_says_so_and_waits(dbtend: CommandLine, sales: Path) -> None:
    dbtend("pause")
    with dbtend.start("run", sales, "--op", "analyze") as process:
        assert err_line(process).startswith("dbtend: paused since ")
        assert dbtend("resume").out.endswith(", 1 job open\n")
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.startswith("dbtend: resumed: "), but_unchecked(err).count("\n")) == (0, True, 1)


def test_a_run_that_is_paused_meanwhile_says_so_and_starts_nothing_more(dbtend: CommandLine, sales: Path) -> None:
    with dbtend.start("run", sales, "--op", "vacuum", "--op", "analyze", "--lock-timeout", "600") as process:
        with write_locked(sales):
            out_line(process)
            assert dbtend("pause").out.endswith(", 1 job runs on\n")
            assert err_line(process).startswith("dbtend: paused since ")
        assert out_line(process).startswith("#1.1 sales.db vacuum completed")
        (job,) = dbtend("history", "--json").json["jobs"]
        assert [child["status"] for child in job["children"]] == ["completed", "pending"]
        dbtend("resume")
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err.startswith("dbtend: resumed: "), but_unchecked(err).count("\n")) == (0, True, 1)
    assert "#1.2 sales.db analyze completed" in out


def test_a_run_that_waits_for_another_job_on_its_database_says_for_which(dbtend: CommandLine, sales: Path) -> None:
    with dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as first:
        with write_locked(sales):
            out_line(first)
            second = dbtend.start("run", sales, "--op", "analyze")
            told = err_line(second)
            assert told.startswith("dbtend: sales.db: ")
            assert told.endswith(" job #1\n")
        _, err = second.communicate(timeout=30)
    assert (first.returncode, second.returncode, but_unchecked(err)) == (0, 0, "")


def test_the_processes_that_carry_out_jobs(dbtend: CommandLine, sales: Path) -> None:
    nobody = dbtend("workers")
    assert (nobody.code, nobody.out, dbtend("workers", "--json").json) == (0, "", {"workers": []})
    assert "dbtend worker" in nobody.err
    assert not dbtend.store.exists()
    with dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        with write_locked(sales):
            out_line(process)
            (worker,) = dbtend("workers", "--json").json["workers"]
            shown = dbtend("workers").out
        process.wait(timeout=30)
    assert worker["pid"] != process.pid == worker["pool"]
    assert (worker["serves_all"], worker["stalled"], worker["running"]) == (False, False, ["1.1"])
    assert {"host", "started_at"} < set(worker)
    heading, line = shown.splitlines()
    assert heading.split() == ["PID", "POOL", "HOST", "SINCE", "TAKES", "RUNS"]
    assert line.endswith("  #1.1 sales.db vacuum")
    assert dbtend("workers", "--json").json == {"workers": []}


def test_a_process_that_died_is_not_told(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales), dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        out_line(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(timeout=30)
        wait_until(lambda: bool(dbtend("workers", "--json").json == {"workers": []}))


def test_one_that_does_not_move_is_marked() -> None:
    process = WorkerProcess(
        id="x", pid=7, host="db1\x1b[2J", started_at=START, serves_all=True, alive=True, stalled=True,
        running=(JobId(42, 1), JobId(43, 1)),
    )  # fmt: skip
    _, line, idle = table([process, replace(process, stalled=False, running=())], {42: parent(child())})
    assert line.startswith("7    -     db1\\x1b[2J")
    assert line.endswith("  stalled: #42.1 sales.db vacuum, #43.1")
    assert idle.endswith("every job  nothing")
