"""The other commands that are processes: demo, worker, console."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from engine import Engine, Operation, Request, Status
from engine.inspection import demo_database
from tests.tui.command_line import CommandLine, out_line, write_locked
from tests.waiting import wait_until
from tui.commands import demo


def test_the_demo_runs_everything_without_a_terminal(dbtend: CommandLine, tmp_path: Path) -> None:
    result = dbtend("demo", "--keep", tmp_path / "kept", "--json")
    assert result.code == 0
    (job,) = result.json["jobs"]
    assert [child["status"] for child in job["children"]] == ["completed"] * 4
    vacuum = job["children"][0]
    assert vacuum["after"]["size"] < vacuum["before"]["size"]
    assert sorted(path.name for path in (tmp_path / "kept").glob("*.db")) == ["jobs.db", "sample.db"]
    assert not dbtend.store.exists()


def test_the_demo_tells_the_size_before_and_after_and_tidies_up(
    dbtend: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = dbtend("demo")
    assert result.code == 0
    first, *_, last = result.out.splitlines()
    assert (first, " before, " in last) == ("Making a sample database that needs maintenance.", True)
    assert list(tmp_path.glob("dbtend-demo-*")) == []


def test_the_demo_tells_again_and_again_how_far_its_sample_is(
    dbtend: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_database, "EVENTS", 10_000)
    monkeypatch.setattr(demo, "_SAID_EVERY", 0)
    lines = dbtend("demo").out.splitlines()
    said = [line for line in lines if line.endswith(" % of the sample is made")]
    assert (lines[1], len(said) > 20) == ("0 % of the sample is made", True)


def test_the_demo_never_touches_what_is_there(dbtend: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "sample.db").write_text("mine")
    assert dbtend("demo", "--keep", tmp_path).code == 2
    assert dbtend("demo", "mine.db").code == 2
    assert (tmp_path / "sample.db").read_text() == "mine"


def submit(store: Path, target: Path) -> int:
    async def submitted() -> int:
        async with Engine.open(store) as engine:
            (job,) = await engine.submit([Request(target=str(target), operations=(Operation.VACUUM,))])
            return job.id

    return asyncio.run(submitted())


async def over(store: Path, job: int) -> Status:
    async with Engine.open(store) as engine, asyncio.timeout(30):
        (done,) = await engine.wait([job])
        return done.status


def test_a_worker_carries_out_what_others_submit_and_leaves_when_idle(dbtend: CommandLine, sales: Path) -> None:
    job = submit(dbtend.store, sales)
    result = dbtend.process("worker", "--idle-exit", "0.2")
    assert (result.code, result.out) == (0, "")
    assert f"#{job}.1 completed" in result.err
    assert asyncio.run(over(dbtend.store, job)) is Status.COMPLETED


def test_a_worker_stops_when_told_to(dbtend: CommandLine, sales: Path) -> None:
    job = submit(dbtend.store, sales)
    with dbtend.start("worker") as process:
        assert asyncio.run(over(dbtend.store, job)) is Status.COMPLETED
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("words", [[], ["SALES"]])
def test_the_console_needs_a_terminal(dbtend: CommandLine, sales: Path, words: list[str]) -> None:
    result = dbtend(*(str(sales) for _ in words))
    assert result.code == 2
    assert "needs a terminal" in result.err
    assert "dbtend run" in result.err
    assert not dbtend.store.exists()


def test_a_dumb_terminal_is_sent_to_the_headless_commands(
    dbtend: CommandLine, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    result = dbtend(sales)
    assert result.code == 2
    assert "TERM=dumb" in result.err


def test_version_and_help(dbtend: CommandLine) -> None:
    assert dbtend("--version").out.startswith("dbtend 0.")
    assert dbtend("run", "--help").out.startswith("usage: dbtend run ")
    assert dbtend("--help").out == dbtend("-h").out


def test_a_worker_whose_store_is_taken_away_ends_and_begins_no_new_one(dbtend: CommandLine) -> None:
    with dbtend.start("worker", "--workers", "2") as worker:
        wait_until(lambda: dbtend.store.exists() and len(dbtend("workers", "--json").json["workers"]) == 2)
        dbtend.store.rename(dbtend.store.with_name("moved.db"))
        _, err = worker.communicate(timeout=30)
    assert "was removed" in err
    assert not dbtend.store.exists()


def test_a_run_whose_store_is_taken_away_says_so(dbtend: CommandLine, sales: Path) -> None:
    with write_locked(sales), dbtend.start("run", sales, "--op", "vacuum", "--lock-timeout", "600") as process:
        out_line(process)
        dbtend.store.rename(dbtend.store.with_name("moved.db"))
        _, err = process.communicate(timeout=30)
    assert process.returncode != 0
    assert "was removed" in err
    assert "Traceback" not in err
    assert not dbtend.store.exists()


@pytest.mark.parametrize("words", [["--help"], ["plan", "--help"], ["--version"]])
def test_a_reader_that_is_gone_is_no_error(dbtend: CommandLine, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with dbtend.start(*words, stdout=writing) as process:
        os.close(writing)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("words", [["--csv"], ["--json", "--limit=500"], ["--limit=1000"]], ids=str)
def test_a_listing_ends_silently_at_once_when_its_reader_has_gone(
    dbtend: CommandLine, sales: Path, words: list[str]
) -> None:
    async def submit() -> None:
        async with Engine.open(dbtend.store) as engine:
            for _ in range(4):
                paths = [f"{sales}-{number}" for number in range(250)]
                await engine.submit([Request(target=path, operations=(Operation.CHECK,)) for path in paths])

    asyncio.run(submit())
    with dbtend.start("history", *words) as process:
        assert process.stdout is not None
        assert process.stdout.read(10)
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize(
    "words",
    [["history"], ["show", "1"], ["schedules"], ["notify"], ["metrics"], ["doctor", "--json"], ["prune", "--dry-run"]],
    ids=lambda words: words[0],
)
def test_what_only_tells_ends_as_a_filter_when_nobody_reads(dbtend: CommandLine, sales: Path, words: list[str]) -> None:
    dbtend.configure(
        '[notify.ops]\ncommand = ["true"]\n[schedules.n]\ntargets = ["/x"]\noperations = ["check"]\n'
        'start = "0 1 * * *"\n'
    )
    dbtend("run", sales, "--op", "analyze")
    reading, writing = os.pipe()
    os.close(reading)
    with dbtend.start(*words, stdout=writing) as process:
        os.close(writing)
        _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGPIPE
    assert "Traceback" not in said
