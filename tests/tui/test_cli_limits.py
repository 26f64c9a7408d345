"""`run` with a time limit: what is past it does not start, and the exit code says so."""

from __future__ import annotations

from pathlib import Path

from tests.sqlite_files import integrity
from tests.tui.command_line import CommandLine, out_line, write_locked

TWO = ("--op", "vacuum", "--op", "analyze", "--lock-timeout", "600", "--time-limit", "2s")


def test_past_the_limit_nothing_starts_and_what_runs_goes_on(dbtend: CommandLine, sales: Path) -> None:
    with dbtend.start("run", sales, *TWO) as process:
        with write_locked(sales):
            assert out_line(process) == "#1.1 sales.db vacuum started\n"
            assert out_line(process) == "#1.2 sales.db analyze skipped (time limit)\n"
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (5, "")
    assert out.startswith("#1.1 sales.db vacuum completed")
    shown = dbtend("show", "1").out
    assert "(after 2s)" in shown
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    assert job["deadline_at"] > job["created_at"]
    assert job["options"]["time_limit"] == 2.0


def test_what_runs_can_be_stopped_at_the_limit(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales):
        result = dbtend.process("run", sales, *TWO, "--stop-at-limit", "--json")
    assert (result.code, result.err) == (5, "")
    (job,) = result.json["jobs"]
    assert [(child["status"], child["reason"]) for child in job["children"]] == [
        ("cancelled", "time_limit"),
        ("skipped", "time_limit"),
    ]
    assert integrity(sales) == []


def test_a_time_of_day_is_a_limit_too_and_a_retry_keeps_it(dbtend: CommandLine, sales: Path) -> None:
    (job,) = dbtend("run", sales, "--op", "optimize", "--until", "6:00", "--json").json["jobs"]
    assert (job["status"], job["options"]["until"], job["options"]["time_limit"]) == ("completed", "06:00", None)
    assert job["deadline_at"] is not None
    (again,) = dbtend("retry", "1", "--json").json["jobs"]
    assert again["options"] == job["options"]
    assert "(until 06:00)" in dbtend("show", "2").out


def test_stopping_at_a_limit_needs_one(dbtend: CommandLine, sales: Path) -> None:
    for command in ("run", "plan"):
        result = dbtend(command, sales, "--stop-at-limit")
        assert (result.code, result.out) == (2, "")
        assert "there is no limit" in result.err
    assert dbtend("plan", sales, "--stop-at-limit", "--until", "06:00").code == 0


def test_limits_that_are_not_possible(dbtend: CommandLine, sales: Path) -> None:
    assert "is not possible" in dbtend("run", sales, "--time-limit", "0s").err
    assert "is not possible" in dbtend("run", sales, "--time-limit", "9999d").err
    assert dbtend("history", "--json").json["jobs"] == []
