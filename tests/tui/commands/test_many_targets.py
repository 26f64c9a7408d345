"""run, plan and retry on many targets: a bad target stops no other, and a summary counts all results."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine import Operation, ParentJob, Reason, Status
from engine.domain.damage import NO_CHECK_ON_RECORD
from engine.domain.job_outcomes import JobOutcome, outcome_of
from tests.tui.command_line import CommandLine, write_locked
from tests.tui.jobs import child, parent, vacuumed
from tui.commands.batch_views import Block, trouble_lines
from tui.presentation.batch_summary import batch_summary, given_back
from tui.presentation.job_status import ending, status_text
from tui.workers.detached import serving

DATABASES = 8


@pytest.fixture
def tenants(sales: Path) -> Path:
    directory = sales.parent / "tenants"
    directory.mkdir()
    for n in range(DATABASES):
        shutil.copy(sales, directory / f"t{n}.db")
    return directory


def test_one_damaged_one_missing_one_locked_one_unreachable_among_others(dbtend: CommandLine, tenants: Path) -> None:
    damaged, missing = tenants / "t1.db", tenants / "gone.db"
    with damaged.open("r+b") as file:
        file.seek(100)
        file.write(b"\x13" * 900)
    server = f"postgresql://nobody@/shop?host={tenants}"
    with write_locked(tenants / "t2.db"):
        result = dbtend(
            "run", tenants / "*.db", missing, server, "--op", "analyze", "--lock-timeout", "0.1", "--workers", "2"
        )
    assert result.code == 1
    lines = result.out.splitlines()
    (at,) = [
        n for n, line in enumerate(lines) if line.startswith(f"{DATABASES - 2} completed, 2 failed, 2 unreachable")
    ]
    told = "\n".join(line for line in lines[at + 1 :] if line.startswith("#"))
    for name in ("t1.db", "t2.db", "gone.db", "shop"):
        assert told.count(f" {name}") >= 1
    assert len(told.splitlines()) == 4


def test_strict_refuses_all(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("run", tenants / "*.db", tenants / "gone.db", "--op", "analyze", "--strict")
    assert result.code == 2
    assert "gone.db" in result.err
    assert not dbtend.store.exists() or "#" not in dbtend("history").out


def test_where_only_a_person_can_help_needed_stores_no_failed_job_on_one_target_as_on_several(
    dbtend: CommandLine, tmp_path: Path
) -> None:
    orphans, well = tmp_path / "orphans.db", tmp_path / "well.db"
    for path, rows in ((orphans, "(1)"), (well, "(NULL)")):
        with closing(sqlite3.connect(path)) as db:
            db.executescript(
                f"CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES {rows}"
            )
            db.execute("ANALYZE")
    assert dbtend("run", tmp_path / "*.db", "--op", "check").code == 1
    jobs = dbtend("history", "--json").json["jobs"]
    for targets in ([orphans], [orphans, well]):
        said = dbtend("run", *targets, "--needed")
        assert said.code == 4
        assert "orphans.db: nothing is done before what the check found is put right" in said.err
        assert dbtend("history", "--json").json["jobs"] == jobs


def test_a_vacuum_beside_a_check_that_found_orphans_has_not_failed(dbtend: CommandLine, tmp_path: Path) -> None:
    for name, rows in (("orphans", "(1)"), ("well", "(NULL)")):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as db:
            db.executescript(
                f"CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE c (p REFERENCES p); INSERT INTO c VALUES {rows}"
            )
    result = dbtend("run", tmp_path / "*.db", "--op", "check", "--op", "vacuum")
    assert result.code == 1
    assert "1 completed, 1 inconsistent in" in result.out
    assert "orphans.db inconsistent check: a row of c refers to a missing row of p" in result.out
    (job,) = dbtend("history", "--status", "inconsistent", "--json").json["jobs"]
    assert (job["status"], job["outcome"]) == ("failed", "inconsistent")
    assert [child["outcome"] for child in job["children"]] == ["failed", "completed"]
    assert dbtend("history", "--status", "failed", "--json").json["jobs"] == [job]
    line = next(line for line in dbtend("fleet", tmp_path / "*.db").out.splitlines() if line.startswith("orphans"))
    assert " inconsistent " in line


def test_quiet_prints_the_summary_only(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("run", tenants, "--op", "analyze", "--quiet")
    (line,) = result.out.splitlines()
    assert line.startswith(f"{DATABASES} completed in ")


def test_json_has_the_batch_and_all_jobs(dbtend: CommandLine, tenants: Path) -> None:
    found = dbtend("run", tenants, tenants / "gone.db", "--op", "analyze", "--json").json
    assert found["batch"] == 1
    assert len(found["jobs"]) == DATABASES + 1
    assert [job["children"][0]["reason"] for job in found["jobs"] if job["status"] == "failed"] == ["unreachable"]
    alone = dbtend("run", tenants / "t0.db", "--op", "analyze", "--json").json
    assert alone["batch"] is None


def test_needed_skips_nothing_silently(dbtend: CommandLine, tenants: Path) -> None:
    for _ in ("quick check and vacuum", "full check"):
        assert dbtend("run", tenants, "--needed", "--quiet").code == 0
    second = dbtend("run", tenants, tenants / "gone.db", "--needed")
    assert second.code == 1
    assert second.out.startswith("#")
    assert "1 unreachable" in second.out
    assert f"{DATABASES} targets need nothing" in second.err
    third = dbtend("run", tenants, "--needed")
    assert (third.code, third.out.splitlines()) == (0, [f"{DATABASES} targets need nothing"])


def test_no_further_target_begins_after_so_many_failures(dbtend: CommandLine, tenants: Path) -> None:
    for n in (0, 1):
        (tenants / f"t{n}.db").chmod(0o444)
    found = dbtend("run", tenants, "--op", "vacuum", "--max-failures", "1", "--workers", "1", "--json").json
    assert {child["reason"] for job in found["jobs"][2:] for child in job["children"]} == {"too_many_failures"}


def test_the_others_run_only_if_the_canary_completed(dbtend: CommandLine, tenants: Path) -> None:
    found = dbtend("run", tenants, "--op", "analyze", "--canary", "1", "--json").json
    assert {job["status"] for job in found["jobs"]} == {"completed"}
    os.truncate(tenants / "t0.db", 512)
    result = dbtend("run", tenants / "t0.db", tenants / "t1.db", "--op", "analyze", "--canary", "1")
    assert result.code == 1
    assert "1 skipped" in result.out


def test_the_largest_comes_first_when_asked_for(dbtend: CommandLine, tenants: Path) -> None:
    with (tenants / "t5.db").open("ab") as file:
        file.truncate(10_000_000)
    found = dbtend("run", tenants, "--op", "check", "--order", "largest", "--json").json
    assert found["jobs"][0]["target"].endswith("t5.db")


def test_a_plan_of_several_begins_with_the_totals_and_leaves_out_what_cannot_be_opened(
    dbtend: CommandLine, tenants: Path
) -> None:
    result = dbtend("plan", tenants / "t*.db", tenants / "gone.db", "--op", "vacuum")
    assert result.code == 1
    assert result.out.startswith(f"{DATABASES} targets: ")
    assert "gone.db" in result.err


def test_a_plan_of_many_is_a_line_for_each_operation_then_for_each_target(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.configure(f'[targets.shop]\nurl = "{tenants / "t5.db"}"\nlabel = "PROD"\n')
    words = ("--op", "vacuum", "--op", "checkpoint", "--op", "analyze")
    result = dbtend("plan", tenants, *words)
    assert result.code == 0
    head, groups, rows, last = (block.splitlines() for block in result.out.split("\n\n"))
    assert head[0].startswith(f"{DATABASES} targets: {3 * DATABASES} operations, {8 * DATABASES} steps")
    assert head[1] == "run asks first for 1 target, or give --yes"
    assert [line.split()[0] for line in groups] == ["vacuum", "checkpoint", "analyze"]
    assert all(f"  {DATABASES} databases of " in groups[n] for n in (0, 2))
    assert groups[1].endswith(f"nothing to do on {DATABASES}")
    assert NO_CHECK_ON_RECORD in rows[0]
    assert len(rows) == 1 + 2 * DATABASES
    assert any(row.startswith("shop [PROD]  vacuum   ") for row in rows)
    assert last == ["dbtend plan TARGET shows every step of one target"]
    found = dbtend("plan", tenants, *words, "--json").json["jobs"]
    assert [len(job["children"]) for job in found] == [3] * DATABASES


def test_a_plan_of_many_says_how_many_fit_and_tells_a_common_warning_once(dbtend: CommandLine, tenants: Path) -> None:
    for_all = dbtend("plan", tenants, "--op", "vacuum", "--op", "reindex")
    assert for_all.out.count("REINDEX after VACUUM repeats work") == 1
    assert f"({DATABASES} targets)" in for_all.out
    assert "fit into the time limit" not in for_all.out
    passed = (datetime.now() - timedelta(minutes=10)).strftime("%H:%M")
    late = dbtend("plan", tenants, "--op", "vacuum", "--until", passed)
    assert f"about 0 of {DATABASES} targets fit into the time limit, " in late.out


def test_a_retry_with_nothing_left_says_so_and_succeeds(dbtend: CommandLine, tenants: Path) -> None:
    assert dbtend("run", tenants, "--op", "analyze").code == 0
    for what, name in (("1", "job #1"), ("b1", "batch b1")):
        said = dbtend("retry", what, "--failed")
        assert (said.code, said.out) == (0, f"{name}: nothing is left, every operation completed\n")
        assert dbtend("retry", what, "--failed", "--json").json == {"batch": None, "jobs": []}


def test_a_detached_run_of_many_is_one_batch(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.store.with_name("jobs.db.d").mkdir(parents=True)
    with serving(dbtend.store):  # so that no worker process is started
        result = dbtend("run", tenants, "--op", "analyze", "--detach", "--json")
    assert result.json["batch"] == 1


UNREACHABLE = parent(child(1, Status.FAILED, Reason.UNREACHABLE, error="gone"))


@pytest.mark.parametrize(
    ("job", "outcome"),
    [
        (parent(child(1)), JobOutcome.COMPLETED),
        (parent(child(1, Status.SKIPPED, Reason.NOT_NEEDED)), JobOutcome.COMPLETED),
        (parent(child(1, Status.COMPLETED, Reason.TIME_LIMIT)), JobOutcome.PARTIAL),
        (parent(child(1), child(2, Status.SKIPPED, Reason.TIME_LIMIT)), JobOutcome.PARTIAL),
        (parent(child(1, Status.SKIPPED, Reason.TOO_MANY_FAILURES)), JobOutcome.SKIPPED),
        (parent(child(1, Status.FAILED, Reason.OPERATION_ERROR)), JobOutcome.FAILED),
        (UNREACHABLE, JobOutcome.UNREACHABLE),
        (parent(child(1, Status.CANCELLED)), JobOutcome.CANCELLED),
        (parent(child(1, Status.RUNNING)), JobOutcome.RUNNING),
        (parent(child(1, Status.PENDING)), JobOutcome.PENDING),
    ],
)
def test_what_became_of_a_job(job: ParentJob, outcome: JobOutcome) -> None:
    assert outcome_of(job) is outcome


def test_the_summary_counts_and_adds_up() -> None:
    assert batch_summary([]) == ""
    done = parent(child(1), child(2, operation=Operation.ANALYZE))
    assert batch_summary([done, UNREACHABLE]).startswith("1 completed, 1 unreachable")
    assert given_back([parent(child(1, Status.PENDING))]) == 0


def test_an_error_that_operations_share_is_told_once() -> None:
    job = parent(
        child(1, Status.FAILED, Reason.UNREACHABLE, error="gone"),
        child(2, Status.FAILED, Reason.UNREACHABLE, error="gone", operation=Operation.ANALYZE),
    )
    assert [line for line in trouble_lines(job) if line.startswith("#")] == ["#42 sales.db unreachable: gone"]


def test_an_operation_on_a_target_that_could_not_be_opened_reads_unreachable() -> None:
    one = replace(UNREACHABLE.children[0], started_at=None, finished_at=None)
    assert ending(one) == "unreachable: gone"
    assert ending(replace(one, error=None)) == status_text(one) == "unreachable"


def test_the_block_has_counts_failures_and_what_runs_though_each_end_is_shown_only_once() -> None:
    running, gone = replace(parent(child(1, Status.RUNNING)), id=43), replace(UNREACHABLE, id=44)
    block, at = Block(), running.created_at + 3_000_000
    block([vacuumed(), running, replace(gone, status=Status.PENDING)], at, 80)
    for shown in ([running, gone], [running], [running, vacuumed(), gone]):
        lines = [text for _, text in block(shown, at, 80)]
        assert lines[0] == "2 of 3 done, 66%  about 0:02 left  9.80 MB given back"
        assert lines[1] == "1 completed, 1 unreachable"
        assert lines[2] == "× #44 sales.db unreachable"
        assert lines[3].startswith("► #43 sales.db  vacuum")
        assert len(lines) == 4
    assert block([replace(running, status=Status.COMPLETED)], at, 80) == []


def test_options_of_a_batch_mean_nothing_for_one_target(dbtend: CommandLine, tenants: Path) -> None:
    for option in (["--canary", "1"], ["--max-failures", "1"], ["--order", "urgent"], ["--max-per-host", "1"]):
        assert dbtend("run", tenants / "t0.db", "--op", "analyze", *option).code == 2
    assert dbtend("run", tenants, "--op", "analyze", "--max-per-host", "1").code == 2
    assert dbtend("run", tenants / "t0*.db", "--op", "analyze", "--canary", "1").code == 0


def test_a_filter_hides_no_server_that_is_down(dbtend: CommandLine, tenants: Path) -> None:
    down = f"postgresql://nobody@/shop?host={tenants}"
    for server in (down, down.replace("shop", "*")):
        found = dbtend("run", tenants, server, "level:ok", "--op", "analyze", "--json")
        assert found.code == 1
        assert [job["children"][0]["reason"] for job in found.json["jobs"] if job["status"] == "failed"] == [
            "unreachable"
        ]
        assert dbtend("run", tenants, server, "level:ok", "--op", "analyze", "--strict").code == 2


def test_a_plan_with_a_filter_makes_no_store(dbtend: CommandLine, tenants: Path) -> None:
    assert dbtend("plan", tenants, "size:>1B", "--op", "analyze").code == 0
    assert not dbtend.store.exists()


def test_a_label_of_a_pattern_asks_for_each_of_its_targets(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.configure(f'[targets.tenants]\nurl = "{tenants}/*.db"\nlabel = "PROD"\n')
    result = dbtend("run", "tenants", "--op", "vacuum")
    assert result.code == 2
    assert "--yes" in result.err
    assert not dbtend.store.exists()
    assert "[PROD]" in dbtend("run", "tenants", "--op", "analyze", "--yes").out


def test_the_batch_of_a_run_is_its_own(dbtend: CommandLine, tenants: Path) -> None:
    dbtend.store.with_name("jobs.db.d").mkdir(parents=True)
    words = ("run", tenants / "t0.db", tenants / "t1.db", "--op", "analyze", "--detach", "--json")
    with serving(dbtend.store):  # so that no worker process is started
        assert dbtend(*words).json["batch"] == 1
        assert dbtend(*words).json["batch"] is None
        assert dbtend("run", tenants / "t2.db", *words[1:]).json["batch"] == 2


def test_a_pattern_that_could_not_be_listed_is_not_retried_as_a_name(dbtend: CommandLine, tenants: Path) -> None:
    result = dbtend("run", f"postgresql://nobody@/*?host={tenants}", tenants / "t0.db", "--op", "analyze")
    assert result.code == 1
    assert "dbtend retry" not in result.out
    assert dbtend("retry", "2").code == 2
