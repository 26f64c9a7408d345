"""The worker processes of a run: replaced when they die, and gone when it ends."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.sqlite_files import integrity, make_database
from tests.tui.command_line import CommandLine, but_unchecked, out_line, workers_of, write_locked
from tests.waiting import wait_until

VACUUM = ("--op", "vacuum", "--lock-timeout", "600")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_one_that_dies_is_replaced_and_its_operation_run_again(dbtend: CommandLine, sales: Path) -> None:
    with ExitStack() as lock:
        lock.enter_context(write_locked(sales))
        with dbtend.start("run", sales, *VACUUM) as run:
            assert out_line(run) == "#1.1 sales.db vacuum started\n"
            (pid,) = workers_of(dbtend.store)
            assert os.getsid(pid) == pid != run.pid
            os.kill(pid, signal.SIGSEGV)
            # The process in its place may have begun before anybody looked.
            again = {f"#1.1 sales.db vacuum {said}\n" for said in ("waits for a worker", "runs again")}
            assert again & {out_line(run), out_line(run)}  # besides that it waits
            lock.close()
            out, err = run.communicate(timeout=30)
    assert (run.returncode, but_unchecked(err)) == (0, "")
    assert "#1.1 sales.db vacuum completed" in out
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    lost, _ = job["children"][0]["attempts"]
    assert (lost["reason"], lost["signal"]) == ("owner_lost", signal.SIGSEGV)


def test_where_all_are_killed_the_run_says_so_and_leaves_nothing_to_start_later(
    dbtend: CommandLine, sales: Path
) -> None:
    with write_locked(sales), dbtend.start("run", sales, *VACUUM) as run:
        out_line(run)
        (pid,) = workers_of(dbtend.store)
        for process in (parent_of(pid), pid):
            os.kill(process, signal.SIGKILL)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 2
    assert "#1 sales.db: cancelling" in err
    assert err.splitlines()[-1].startswith("dbtend: worker processes: ")
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    assert job["status"] == "cancelled"


def test_where_all_are_killed_under_a_job_that_was_asked_for_before_the_run_says_so_and_leaves_it_open(
    dbtend: CommandLine, sales: Path
) -> None:
    with write_locked(sales):
        with dbtend.start("run", sales, *VACUUM) as first:
            out_line(first)
            (pid,) = workers_of(dbtend.store)
            for process in (first.pid, parent_of(pid), pid):
                os.kill(process, signal.SIGKILL)
        with dbtend.start("run", sales, *VACUUM) as run:
            wait_until(lambda: bool(workers_of(dbtend.store)))
            assert "#1.1 sales.db vacuum" in out_line(run)
            (pid,) = workers_of(dbtend.store)
            for process in (parent_of(pid), pid):
                os.kill(process, signal.SIGKILL)
            _, err = run.communicate(timeout=30)
    assert run.returncode == 2
    assert "job #1 already does exactly this" in err
    assert err.splitlines()[-1].startswith("dbtend: worker processes: ")
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    assert job["status"] == "running"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_none_is_left_of_a_run_that_is_killed(dbtend: CommandLine, sales: Path, number: signal.Signals) -> None:
    with write_locked(sales), dbtend.start("run", sales, *VACUUM, "--grace", "600") as run:
        out_line(run)
        (pid,) = workers_of(dbtend.store)
        keeper = parent_of(pid)
        run.send_signal(number)
        if number is signal.SIGTERM:  # and once more, which leaves at once
            wait_until(lambda: bool(run.stderr and run.stderr.readline()))
            run.send_signal(number)
        run.wait(timeout=30)
        wait_until(lambda: is_gone(pid) and is_gone(keeper))
    assert integrity(sales) == []


def test_a_store_that_cannot_be_used_is_told_once(dbtend: CommandLine, sales: Path) -> None:
    assert dbtend("run", sales, "--op", "analyze").code == 0
    directory = dbtend.store.with_name("jobs.db.d")
    for path in directory.iterdir():
        path.unlink()
    directory.rmdir()
    directory.touch()
    result = dbtend.process("run", sales, "--op", "analyze")
    assert result.code == 2
    assert result.err.count("jobs.db.d") <= 2
    assert "Traceback" not in result.err


@pytest.mark.parametrize("workers", ["1", "3"])
def test_several_targets_run_at_once_only_as_far_as_was_asked_for(
    dbtend: CommandLine, tmp_path: Path, workers: str
) -> None:
    targets = [make_database(tmp_path / f"{number}.db", rows=10) for number in range(3)]
    result = dbtend.process("run", *targets, "--op", "analyze", "--workers", workers)
    assert (result.code, but_unchecked(result.err)) == (0, "")
