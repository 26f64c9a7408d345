"""A lock of notifications that cannot be taken changes no exit code, and is said in a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.receivers import WebServer, web_server
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine, err_line
from tests.waiting import wait_until
from tui.presentation.exit_codes import FAILED, OK

LOCK = "notify.lock"
Block = Callable[[Path], None]


@pytest.fixture
def web() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=5)


def by_directory(lock: Path) -> None:
    lock.mkdir()


def by_link(lock: Path) -> None:
    lock.symlink_to("/dev/null")


@pytest.fixture(params=[by_directory, by_link], ids=["directory", "link"])
def blocked(dbtend: CommandLine, web: WebServer, request: pytest.FixtureRequest) -> Path:
    dbtend.configure(f'[notify.ops]\nwebhook = "{web.url}"\nsettle = "0s"\nfrom_runs = true\n')
    lock = dbtend.store.with_name(f"{dbtend.store.name}.d") / LOCK
    dbtend("run", "--op", "analyze", make_database(dbtend.home / "first.db", rows=1))
    lock.unlink()
    block: Block = request.param
    block(lock)
    return lock


def test_a_run_ends_as_it_would_without_and_says_so_in_a_line(
    dbtend: CommandLine, blocked: Path, sales: Path, web: WebServer
) -> None:
    done = dbtend.process("run", sales, "--op", "analyze")
    assert done.code == OK
    (said,) = [line for line in done.err.splitlines() if "notify" in line]
    assert said.startswith(f"dbtend: notify {blocked}: ")
    assert "Traceback" not in done.err
    failed = dbtend.process("run", sales, sales.with_name("missing.db"), "--op", "analyze")
    assert failed.code == FAILED
    assert web.none_waits()
    blocked.rmdir() if blocked.is_dir() else blocked.unlink()
    dbtend("run", sales, "--op", "analyze")
    assert [event["name"] for event in web.taken().json["events"]] == ["missing.db"]


def test_a_worker_that_ends_when_it_is_idle_ends_well(dbtend: CommandLine, blocked: Path, sales: Path) -> None:
    done = dbtend.process("worker", "--workers", "1", "--idle-exit", "0.1")
    assert done.code == OK
    assert str(blocked) in done.err
    assert "Traceback" not in done.err


def test_a_permanent_worker_works_on(dbtend: CommandLine, blocked: Path, sales: Path) -> None:
    worker = dbtend.start("worker", "--workers", "1")
    try:
        while str(blocked) not in (said := err_line(worker)):
            assert said, "it ended"
        assert dbtend("run", sales, "--op", "analyze", "--detach").code == OK
        wait_until(lambda: "sales.db" in dbtend("history", "--status", "completed").out)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    assert worker.returncode == OK


def test_the_list_of_recipients_and_the_doctor_say_what_is_wrong(dbtend: CommandLine, blocked: Path) -> None:
    listed = dbtend("notify")
    assert "ops" in listed.out
    assert "internal error" not in listed.err
    assert f"{blocked}" in dbtend("doctor").out
