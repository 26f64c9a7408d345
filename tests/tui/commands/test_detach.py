"""`run --detach`: the job is stored, a worker process runs it, and the command does not wait."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine import Engine, Status
from tests.tui.command_line import CommandLine
from tui.workers.detached import serving


@pytest.fixture
def served(dbtend: CommandLine) -> Iterator[None]:
    """Some worker process serves the store already, so none is started."""
    dbtend.store.with_name("jobs.db.d").mkdir(parents=True)
    with serving(dbtend.store):
        yield


def carried_out_by_one_worker_that_ends(store: Path, job: int) -> Status:
    """How the job ended; the worker process that was started for it is ended."""

    async def wait() -> tuple[Status, list[int]]:
        async with Engine.open(store) as engine, asyncio.timeout(60):
            (done,) = await engine.wait([job])
            return done.status, [worker.pid for worker in await engine.workers()]

    status, pids = asyncio.run(wait())
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    with (store.with_name("jobs.db.d") / "worker.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    return status


def test_a_worker_process_carries_on(dbtend: CommandLine, sales: Path) -> None:
    result = dbtend.process("run", sales, "--op", "vacuum", "--detach", "--workers", "1")
    assert (result.code, result.out, result.err) == (0, "1\n", "")
    assert carried_out_by_one_worker_that_ends(dbtend.store, 1) is Status.COMPLETED


def test_the_same_request_again_is_the_same_job(dbtend: CommandLine, sales: Path, served: None) -> None:
    assert dbtend("run", sales, "--detach").out == "1\n"
    again = dbtend("run", sales, "--detach")
    assert (again.code, again.out, again.err.startswith("dbtend: job #1 ")) == (0, "1\n", True)
    assert not (dbtend.store.with_name("jobs.db.d") / "worker.log").exists()


def test_with_json_the_jobs_are_told_as_ever(dbtend: CommandLine, sales: Path, served: None) -> None:
    (job,) = dbtend("run", sales, "--op", "vacuum", "--detach", "--json").json["jobs"]
    assert (job["id"], job["status"]) == (1, "pending")
    assert [child["operation"] for child in job["children"]] == ["vacuum"]


def test_a_paused_store_takes_it_and_says_so(dbtend: CommandLine, sales: Path, served: None) -> None:
    dbtend("pause")
    result = dbtend("run", sales, "--detach")
    assert (result.code, result.out) == (0, "1\n")
    assert result.err.startswith("dbtend: paused since ")


def test_a_retry_can_be_left_to_a_worker_process_too(dbtend: CommandLine, sales: Path, served: None) -> None:
    dbtend("run", sales, "--op", "optimize")
    assert dbtend("retry", "1", "--detach").out == "2\n"
    (job,) = dbtend("show", "2", "--json").json["jobs"]
    assert (job["retry_of"], job["status"]) == (1, "pending")


def test_a_retry_takes_the_options_that_one_wants_after_a_lost_server(
    dbtend: CommandLine, sales: Path, served: None
) -> None:
    dbtend("run", sales, "--op", "check", "--lock-timeout", "7")
    again = dbtend("retry", "1", "--detach", "--until", "06:00", "--jobs", "2")
    assert (again.out, again.err) == ("2\n", "")
    (job,) = dbtend("show", "2", "--json").json["jobs"]
    assert [job["options"][name] for name in ("until", "jobs", "lock_timeout")] == ["06:00", 2, 7.0]
    assert dbtend("retry", "1", "--detach", "--server-wait", "1h").code == 2


def test_where_no_worker_process_can_be_started_the_job_waits(
    dbtend: CommandLine, sales: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    result = dbtend("run", sales, "--detach")
    assert (result.code, result.out) == (2, "")
    waits, error = result.err.splitlines()
    assert waits.endswith("worker process: #1")
    assert error.startswith("dbtend: worker: ")
    (job,) = dbtend("history", "--json").json["jobs"]
    assert job["status"] == "pending"
