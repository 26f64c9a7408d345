"""Retention: `prune`, `pin` and `unpin`, and the pruning by a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, command_line, out_line, write_locked
from tests.waiting import wait_until

NOTHING_IS_KEPT = '[retention]\ncompleted = "0s"\nkeep_last = 0\n'


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("prepared")
    sales = make_database(directory / "sales.db", rows=10)
    with command_line(directory / "home") as dbtend:
        for _ in range(3):
            dbtend("run", sales, "--op", "optimize")
    return directory / "home"


@pytest.fixture
def three_jobs(dbtend: CommandLine, prepared: Path) -> CommandLine:
    shutil.copytree(prepared, dbtend.home)
    dbtend.configure(NOTHING_IS_KEPT)
    return dbtend


def kept(dbtend: CommandLine) -> list[int]:
    return [job["id"] for job in dbtend("history", "--json").json["jobs"]]


def test_what_would_be_removed_is_told_first(three_jobs: CommandLine) -> None:
    assert three_jobs("prune", "--dry-run").out == "would remove 3 jobs: 3 completed, 0 failed, 0 cancelled\n"
    assert kept(three_jobs) == [3, 2, 1]
    assert three_jobs("prune", "--json").json == {
        "removed": {"completed": 3, "failed": 0, "cancelled": 0},
        "dry_run": False,
    }
    assert kept(three_jobs) == []
    assert three_jobs("prune").out.startswith("removed 0 jobs: ")


def test_a_job_that_is_pinned_stays(three_jobs: CommandLine) -> None:
    assert three_jobs("pin", "#2").out.startswith("#2 sales.db is pinned")
    assert "completed, pinned" in three_jobs("history").out
    assert "retention keeps it" in three_jobs("show", "2").out
    (job,) = three_jobs("pin", "2", "--json").json["jobs"]
    assert job["pinned"] is True
    three_jobs("prune")
    assert kept(three_jobs) == [2]
    assert three_jobs("unpin", "2").out.startswith("#2 sales.db is not")
    assert "retention keeps it" not in three_jobs("show", "2").out
    three_jobs("prune")
    assert kept(three_jobs) == []


def test_the_newest_of_each_target_stay_unless_the_config_says_otherwise(three_jobs: CommandLine) -> None:
    three_jobs.configure('[retention]\ncompleted = "0s"\nkeep_last = 1')
    three_jobs("prune")
    assert kept(three_jobs) == [3]


def test_without_a_store_there_is_nothing_to_remove(dbtend: CommandLine) -> None:
    assert dbtend("prune").out.startswith("removed 0 jobs: ")
    assert not dbtend.store.parent.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pin"], "no JOB was given"),
        (["pin", "99"], "job 99"),
        (["unpin", "2.1"], "give the job itself: 2"),
        (["prune", "1"], "takes no such word"),
    ],
)
def test_what_cannot_be_kept(three_jobs: CommandLine, words: list[str], said: str) -> None:
    result = three_jobs(*words)
    assert result.code == 2
    assert said in result.err


def test_a_run_removes_what_is_too_old_by_the_way(three_jobs: CommandLine, sales: Path) -> None:
    with three_jobs.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        with write_locked(sales):
            out_line(process)
            wait_until(lambda: kept(three_jobs) == [4])
        process.wait(timeout=30)
    assert process.returncode == 0
