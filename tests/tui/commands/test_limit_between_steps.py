"""A time limit holds inside an operation: after it no step begins, and the remaining steps are reported."""

from __future__ import annotations

import csv
import shutil
import sqlite3
from contextlib import ExitStack, closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from tests.sqlite_files import integrity
from tests.tui.command_line import CommandLine, Result, being_read, out_line

TABLES = 6
LIMITS = ("2s", "10s", "50s")
"""On a busy machine the first step begins late; then the limit is a longer one."""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A database with an index in each of several tables."""
    path = tmp_path / "many.db"
    with closing(sqlite3.connect(path)) as db:
        for number in range(TABLES):
            db.execute(f"CREATE TABLE t{number} (a)")
            db.execute(f"CREATE INDEX i{number} ON t{number} (a)")
            db.executemany(f"INSERT INTO t{number} VALUES (?)", [(row,) for row in range(100)])
        db.commit()
    return path


def run_past_its_limit(dbtend: CommandLine, path: Path, *options: str) -> Result:
    """`run` whose first step begins before the limit, and ends after it; analyze comes last."""
    for limit in LIMITS:
        limited = (*options, "--op", "analyze", "--lock-timeout", "600", "--time-limit", limit)
        with ExitStack() as lock:
            lock.enter_context(being_read(path, "t0"))
            with dbtend.start("run", path, *limited) as process:
                assert "no operation starts" in out_line(process)
                lines: list[str] = []
                while not any("analyze skipped" in line for line in lines):
                    lines.append(out_line(process))
                    assert lines[-1]
                lock.close()
                out, err = process.communicate(timeout=60)
        if any("#1.1 many.db" in line and "started" in line for line in lines):
            return Result(process.returncode, out, err)
        shutil.rmtree(dbtend.store.parent)
    raise AssertionError(f"nothing began within {LIMITS[-1]}")


def the_job(dbtend: CommandLine, number: int = 1) -> Any:
    return dbtend("show", str(number), "--json").json["jobs"][0]


def test_no_step_begins_after_the_limit_and_what_is_left_is_told(dbtend: CommandLine, many: Path) -> None:
    result = run_past_its_limit(dbtend, many, "--op", "reindex")
    assert result.code == 5
    job = the_job(dbtend)
    reindex, analyze = job["children"]
    assert (reindex["status"], reindex["reason"], reindex["left"]) == ("completed", "time_limit", TABLES - 1)
    assert reindex["error"].startswith("1 of 6 ")
    assert " 5 not begun: i1, " in reindex["error"]
    assert (analyze["status"], analyze["reason"], analyze["left"]) == ("skipped", "time_limit", 0)
    assert (job["status"], job["outcome"], job["left"], job["not_begun"]) == ("completed", "partial", TABLES - 1, 1)
    assert integrity(many) == []


def test_it_reads_as_done_in_part_wherever_it_is_told(dbtend: CommandLine, many: Path) -> None:
    result = run_past_its_limit(dbtend, many, "--op", "reindex")
    line = next(line for line in result.out.splitlines() if " reindex partial" in line)
    assert line.startswith("#1.1 many.db ")
    assert "(past its limit): 1 of 6 " in line
    assert ", ".join(f"i{n}" for n in range(1, 6)) in line
    assert "#1 many.db partial in " in result.out.splitlines()[-1]
    shown = dbtend("show", "1").out
    assert "– #1.1 reindex partial in " in shown
    (listed,) = dbtend("history", "--status", "partial").out.splitlines()[1:]
    assert "– partial" in listed
    assert the_job(dbtend)["children"][0]["outcome"] == "partial"
    rows = csv.DictReader(StringIO(dbtend("history", "--csv").out))
    assert [(row["operation"], row["outcome"]) for row in rows] == [("reindex", "partial"), ("analyze", "skipped")]
    assert all(dbtend("history", f"status:{word}", "--json").json["jobs"] == [] for word in ("skipped", "completed"))


def test_a_retry_of_what_failed_repeats_what_was_done_in_part(dbtend: CommandLine, many: Path) -> None:
    run_past_its_limit(dbtend, many, "--op", "reindex")
    again = dbtend("retry", "1", "--failed", "--json").json["jobs"][0]
    assert [child["operation"] for child in again["children"]] == ["reindex", "analyze"]


def test_an_operation_whose_only_step_goes_on_past_the_limit_is_complete(dbtend: CommandLine, many: Path) -> None:
    """What has begun goes on to its end: nothing is left of it."""
    result = run_past_its_limit(dbtend, many, "--op", "reindex", "--object", "i0")
    assert result.code == 5  # for analyze
    reindex, _ = the_job(dbtend)["children"]
    assert (reindex["status"], reindex["reason"], reindex["left"]) == ("completed", None, 0)


def test_with_stop_at_limit_what_runs_is_stopped_as_before(dbtend: CommandLine, many: Path) -> None:
    limited = ("--op", "reindex", "--lock-timeout", "600", "--stop-at-limit", "--json")
    for limit in LIMITS:
        with being_read(many, "t0"):
            result = dbtend.process("run", many, *limited, "--time-limit", limit)
        (reindex,) = result.json["jobs"][0]["children"]
        if reindex["started_at"] is not None:
            break
    assert result.code == 5
    assert (reindex["status"], reindex["reason"]) == ("cancelled", "time_limit")
    assert reindex["left"] == TABLES - 1
