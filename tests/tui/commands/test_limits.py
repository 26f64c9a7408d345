"""`run` with a time limit: no operation starts after it, and the exit code says so."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path

from tests.sqlite_files import integrity
from tests.tui.command_line import CommandLine, being_read, but_unchecked, out_line, write_locked
from tests.tui.commands.test_process import submit

TWO = ("--op", "vacuum", "--op", "analyze", "--lock-timeout", "600", "--time-limit", "2s")


def test_past_the_limit_nothing_starts_and_what_runs_goes_on(dbtend: CommandLine, sales: Path) -> None:
    with dbtend.start("run", sales, "--op", "reindex", *TWO[2:]) as process:
        with being_read(sales, "item"):
            assert "no operation starts" in out_line(process)
            assert out_line(process) == "#1.1 sales.db reindex started\n"
            assert any("analyze skipped" in line for line in (out_line(process), out_line(process)))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, but_unchecked(err)) == (5, "")
    assert out.startswith("#1.1 sales.db reindex partial")
    assert "1 skipped" in out.splitlines()[-1]
    assert "(after 2s)" in dbtend("show", "1").out
    (line,) = dbtend("history", "--status", "partial").out.splitlines()[1:]
    assert "1 skipped" in line
    (job,) = dbtend("show", "1", "--json").json["jobs"]
    assert job["deadline_at"] > job["created_at"]
    assert job["options"]["time_limit"] == 2.0


def test_what_runs_can_be_stopped_at_the_limit(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales):
        result = dbtend.process("run", sales, *TWO, "--stop-at-limit", "--json")
    assert result.code == 5
    assert but_unchecked(result.err) == ""
    (job,) = result.json["jobs"]
    assert [(child["status"], child["reason"]) for child in job["children"]] == [
        ("cancelled", "time_limit"),
        ("skipped", "time_limit"),
    ]
    assert integrity(sales) == []


def test_a_time_of_day_is_a_limit_too_and_a_retry_keeps_it(dbtend: CommandLine, sales: Path) -> None:
    later = (datetime.now() + timedelta(hours=2)).strftime("%H:%M")
    (job,) = dbtend("run", sales, "--op", "optimize", "--until", later.removeprefix("0"), "--json").json["jobs"]
    assert (job["status"], job["options"]["until"], job["options"]["time_limit"]) == ("completed", later, None)
    assert job["deadline_at"] is not None
    (again,) = dbtend("retry", "1", "--json").json["jobs"]
    assert again["options"] == job["options"]
    assert f"(until {later})" in dbtend("show", "2").out


def test_a_run_that_comes_too_late_starts_nothing(dbtend: CommandLine, sales: Path) -> None:
    passed = (datetime.now() - timedelta(minutes=10)).strftime("%H:%M")
    result = dbtend("run", sales, "--op", "vacuum", "--until", passed)
    assert result.code == 5
    assert "vacuum skipped" in result.out
    for command in (("history",), ("show", "1")):
        (job,) = dbtend(*command, "--json").json["jobs"]
        assert (job["outcome"], job["left"], job["not_begun"], job["duration"]) == ("skipped", 0, 1, None)
    (row,) = csv.DictReader(StringIO(dbtend("history", "--csv").out))
    assert (row["status"], row["outcome"], row["left"]) == ("skipped", "skipped", "0")
    assert len(dbtend("history", "status:skipped").out.splitlines()) == 2
    assert all(dbtend("history", f"status:{word}", "--json").json["jobs"] == [] for word in ("partial", "completed"))


def test_a_plan_tells_when_the_limit_closes(dbtend: CommandLine, sales: Path) -> None:
    assert "no operation starts" in dbtend("plan", sales, "--time-limit", "30m").out


def test_history_tells_that_nothing_starts_or_that_nobody_starts_it(dbtend: CommandLine, sales: Path) -> None:
    submit(dbtend.store, sales)
    for command in (("history",), ("show", "1"), ("workers",)):
        assert "1 job waits" in dbtend(*command).err
    dbtend("pause")
    for command in (("history",), ("show", "1"), ("workers",)):
        assert "dbtend resume" in dbtend(*command).err


def test_stopping_at_a_limit_needs_one(dbtend: CommandLine, sales: Path) -> None:
    for command in ("run", "plan"):
        result = dbtend(command, sales, "--stop-at-limit")
        assert (result.code, result.out) == (2, "")
        assert "no limit" in result.err
    assert dbtend("plan", sales, "--stop-at-limit", "--until", "06:00").code == 0


def test_limits_that_are_not_possible(dbtend: CommandLine, sales: Path) -> None:
    assert "is not possible" in dbtend("run", sales, "--time-limit", "0s").err
    assert "is not possible" in dbtend("run", sales, "--time-limit", "9999d").err
    assert dbtend("history", "--json").json["jobs"] == []
