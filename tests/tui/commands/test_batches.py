"""`show`, `cancel` and `retry` of a batch, and its filter."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest

from engine import BatchOptions, Engine, FailedRequest, Operation, Request
from engine.domain.errors import TargetUnavailableError
from tests.sqlite_files import make_database, transaction
from tests.tui.command_line import CommandLine, workers_of, write_locked
from tests.waiting import wait_until

PATTERN = "postgresql://dba@127.0.0.1:1/*"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [make_database(tmp_path / f"t{number}.db", rows=10) for number in range(1, 5)]


@pytest.fixture
def mixed(dbtend: CommandLine, files: list[Path], tmp_path: Path) -> CommandLine:
    """Batch 1: #1 and #4 complete, #2 is locked, #3 is missing."""
    with transaction(files[1], "EXCLUSIVE"):
        result = dbtend(
            "run", *files[:2], tmp_path / "missing.db", files[2],
            "--op", "analyze", "--op", "reindex", "--lock-timeout", "0", "--quiet",
        )  # fmt: skip
    assert result.code == 1
    return dbtend


def submit(dbtend: CommandLine, files: list[Path], *, pattern: bool = False, **options: int) -> None:
    """A batch that nobody executes."""
    requests = [Request(target=str(path), operations=(Operation.ANALYZE,)) for path in files]
    unlisted = FailedRequest(
        Request(target=PATTERN, operations=(Operation.ANALYZE,)),
        TargetUnavailableError(PATTERN, "is down"),
        is_pattern=True,
    )

    async def store() -> None:
        async with Engine.open(dbtend.store) as engine:
            await engine.submit(requests, batch=BatchOptions(**options), failed=[unlisted] if pattern else [])

    asyncio.run(store())


def test_show_counts_and_names_what_failed_first(mixed: CommandLine) -> None:
    shown = mixed("show", "b1")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert re.fullmatch(r"b1  2 completed, 1 failed, 1 unreachable in .*", lines[0])
    jobs = [re.sub(r" in .*", "", line) for line in lines[lines.index("") + 1 :]]
    assert [line.split()[1] for line in jobs] == ["#2", "#3", "#1", "#4"]
    assert "#2 t2.db failed: " in jobs[0]
    assert "locked" in jobs[0]
    assert "#3 missing.db unreachable: " in jobs[1]
    assert jobs[2].endswith("#1 t1.db completed")


def test_show_as_json_has_the_batch_and_whole_jobs(mixed: CommandLine) -> None:
    shown = mixed("show", "b1", "--json").json
    assert (shown["batch"], shown["retry_of"], shown["canary"]) == (1, None, None)
    assert shown["counts"] == {
        "completed": 2,
        "partial": 0,
        "failed": 1,
        "unreachable": 1,
        "inconsistent": 0,
        "cancelled": 0,
        "skipped": 0,
        "running": 0,
        "interrupted": 0,
        "pending": 0,
    }
    assert [job["id"] for job in shown["jobs"]] == [1, 2, 3, 4]
    assert {job["batch"] for job in shown["jobs"]} == {1}
    assert shown["jobs"][0]["children"][0]["steps"]


def test_all_count_what_never_began_as_skipped(dbtend: CommandLine, files: list[Path], tmp_path: Path) -> None:
    run = dbtend("run", tmp_path / "missing.db", *files[:3], "--op", "analyze", "--canary", "1", "--quiet")
    assert run.out.startswith("1 unreachable, 3 skipped")
    counts = dbtend("show", "b1", "--json").json["counts"]
    assert {name: number for name, number in counts.items() if number} == {"unreachable": 1, "skipped": 3}
    assert dbtend("show", "b1").out.startswith("b1  1 unreachable, 3 skipped")


def test_a_job_names_its_batch(mixed: CommandLine) -> None:
    assert "  batch    b1\n" in mixed("show", "3").out
    for words in (("b1", "--commands"), ("3", "--commands", "--json")):
        assert mixed("show", *words).code == 2
    assert mixed("show", "3", "--json").json["jobs"][0]["batch"] == 1


def test_the_history_of_a_batch(mixed: CommandLine, files: list[Path]) -> None:
    mixed("run", files[0], "--op", "analyze", "--quiet")
    for words in (["batch:1"], ["batch:b1"], ["batch:B1"]):
        assert [job["id"] for job in mixed("history", *words, "--json").json["jobs"]] == [4, 3, 2, 1]
    failed = mixed("history", "batch:1", "status:failed", "--json").json["jobs"]
    assert [job["id"] for job in failed] == [3, 2]
    assert mixed("history", "batch:7", "--json").json["jobs"] == []
    wrong = mixed("history", "batch:x")
    assert (wrong.code, wrong.err.startswith("dbtend: batch:x: ")) == (2, True)


def test_retry_repeats_what_did_not_complete(mixed: CommandLine, tmp_path: Path) -> None:
    make_database(tmp_path / "missing.db", rows=10)
    again = mixed("retry", "b1", "--failed", "--json")
    assert again.code == 0
    assert [(job["retry_of"], job["batch"], job["status"]) for job in again.json["jobs"]] == [
        (2, 2, "completed"),
        (3, 2, "completed"),
    ]
    assert ", retry of b1\n" in mixed("show", "b2").out
    nothing = mixed("retry", "b2", "--failed")
    assert (nothing.code, nothing.out) == (0, "batch b2: nothing is left, every operation completed\n")


def test_retry_repeats_all(mixed: CommandLine) -> None:
    again = mixed("retry", "b1", "--quiet")
    assert again.code == 1
    assert again.out.splitlines()[0].startswith("3 completed, 1 unreachable in ")
    assert len(mixed("show", "b2", "--json").json["jobs"]) == 4


def test_a_pattern_that_could_not_be_listed_is_told_and_not_repeated(dbtend: CommandLine, files: list[Path]) -> None:
    submit(dbtend, files[:2], pattern=True)
    dbtend("cancel", "b1")
    again = dbtend("retry", "b1", "--failed", "--quiet")
    assert again.code == 0
    assert "is not repeated" in again.err
    assert again.out.startswith("2 completed in ")


def test_a_retry_joins_what_is_done_already_and_names_it(dbtend: CommandLine, files: list[Path]) -> None:
    submit(dbtend, files[:3])
    dbtend("cancel", "b1")
    submit(dbtend, files[:1])
    again = dbtend("retry", "b1", "--failed", "--quiet")
    assert again.code == 0
    assert "job #4 already does exactly this" in again.err
    assert again.out.startswith("3 completed in ")


def test_what_is_open_is_not_repeated(dbtend: CommandLine, files: list[Path]) -> None:
    submit(dbtend, files)
    refused = dbtend("retry", "b1")
    assert (refused.code, refused.err.startswith("dbtend: batch b1: ")) == (2, True)
    assert "not over" in refused.err


def test_cancel_ends_all_of_it(dbtend: CommandLine, files: list[Path]) -> None:
    submit(dbtend, files, pattern=True, canary=2, max_failures=3, max_per_host=4)
    shown = dbtend("show", "b1").out
    assert shown.startswith("b1  1 unreachable, 4 pending")
    assert "  options  max failures 3, canary 2, max per host 4\n" in shown
    cancelled = dbtend("cancel", "b1")
    assert (cancelled.code, cancelled.out) == (0, "b1 4 jobs cancelled, 1 already over\n")
    again = dbtend("cancel", "b1")
    assert (again.code, again.out.startswith("b1 is over")) == (0, True)
    assert dbtend("cancel", "b1", "--json").json["counts"]["cancelled"] == 4


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_what_waits_for_a_canary_too(
    dbtend: CommandLine, files: list[Path], how: signal.Signals
) -> None:
    words = ("--op", "vacuum", "--canary", "1", "--lock-timeout", "60", "--grace", "0", "--json")
    with write_locked(files[0]), dbtend.start("run", *files, *words) as run:
        wait_until(lambda: dbtend.store.exists() and bool(workers_of(dbtend.store)))
        run.send_signal(how)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    reason = "cancelled_by_user" if how is signal.SIGINT else "shutdown"
    jobs = json.loads(out)["jobs"]
    assert [(child["status"], child["reason"]) for job in jobs for child in job["children"]] == [
        ("cancelled", reason)
    ] * 4
    if how is signal.SIGTERM:
        assert ", ".join(f"#{n} t{n}.db" for n in range(1, 5)) + ": cancelling" in err
        assert "retry b1 --failed" in err


@pytest.mark.parametrize("command", ["show", "cancel", "retry"])
def test_there_is_no_such_batch(dbtend: CommandLine, files: list[Path], command: str) -> None:
    nothing = dbtend(command, "b1")
    assert (nothing.code, nothing.out) == (2, "")
    assert nothing.err.startswith("dbtend: batch b1: ")
    assert not dbtend.store.exists()
    submit(dbtend, files)
    unknown = dbtend(command, "b7")
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err.startswith("dbtend: batch b7: ")
    for wrong in ("b", "b1.1", "17b"):
        assert dbtend(command, wrong).err.startswith(f"dbtend: '{wrong}': ")


def test_force_is_for_one_operation(dbtend: CommandLine, files: list[Path]) -> None:
    submit(dbtend, files)
    for words in (["--force"], ["--force", "--confirm", "1.1"], ["--confirm", "1.1"]):
        assert dbtend("cancel", "b1", *words).code == 2
    assert dbtend("show", "b1", "--json").json["counts"]["pending"] == 4


@pytest.mark.parametrize("command", ["pin", "unpin"])
def test_other_commands_take_jobs_only(dbtend: CommandLine, files: list[Path], command: str) -> None:
    submit(dbtend, files)
    refused = dbtend(command, "b1")
    assert (refused.code, refused.err.startswith("dbtend: 'b1': ")) == (2, True)


def test_read_only(mixed: CommandLine) -> None:
    assert mixed("--read-only", "show", "b1").code == 0
    assert mixed("--read-only", "cancel", "b1").code == 2
    assert mixed("--read-only", "retry", "b1").code == 2
