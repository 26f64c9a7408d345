"""Nobody reads what a worker logs: it works on, and ends when it is asked to."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine
from tests.tui.workers.test_one_pool import open_jobs, submit_to_nobody
from tests.waiting import wait_until
from tui.workers.detached import is_served
from tui.workers.worker_log import PipeHandler, log_to_stderr


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    yield read_end, write_end
    os.close(read_end)
    os.close(write_end)


def fill(pipe: int) -> None:
    os.set_blocking(pipe, False)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 4096)
    os.set_blocking(pipe, True)


def read_all(pipe: int) -> bytes:
    read = b""
    with suppress(BlockingIOError):
        while more := os.read(pipe, 65_536):
            read += more
    return read


def test_workers_whose_stderr_is_full_carry_out_jobs_and_end(
    dbtend: CommandLine, tmp_path: Path, pipe: tuple[int, int]
) -> None:
    read_end, write_end = pipe
    databases = [make_database(tmp_path / f"db{number}.db", rows=50) for number in range(3)]
    fill(write_end)
    with dbtend.start("worker", "--workers", "2", stdout=subprocess.DEVNULL, stderr=write_end) as pool:
        wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
        submit_to_nobody(dbtend, databases)
        wait_until(lambda: not open_jobs(dbtend.store))
        assert os.get_blocking(write_end)  # it is not theirs alone
        read_all(read_end)
        submit_to_nobody(dbtend, databases)
        wait_until(lambda: not open_jobs(dbtend.store))
        said = read_all(read_end)
        assert b"of this log dropped: its reader took nothing" in said
        assert b"completed" in said
        fill(write_end)
        pool.terminate()
        assert pool.wait(timeout=60) == 0
    jobs = dbtend("history", "--json").json["jobs"]
    assert [job["status"] for job in jobs] == ["completed"] * 6


@pytest.fixture
def logged(pipe: tuple[int, int]) -> Iterator[tuple[Callable[[str], None], Callable[[], str], int]]:
    """Logs a message; reads what was logged; the end that is written to."""
    handler = PipeHandler(pipe[1])

    def log(message: str) -> None:
        handler.handle(logging.LogRecord("dbtend", logging.INFO, "", 0, message, None, None))

    yield log, lambda: read_all(pipe[0]).decode(), pipe[1]
    handler.close()


def test_what_is_dropped_is_counted(logged: tuple[Callable[[str], None], Callable[[], str], int]) -> None:
    log, read, write_end = logged
    log("before")
    fill(write_end)
    for number in range(4):
        log(f"message {number}")
    assert read().startswith("before\nxxx")
    log("after")
    assert read() == ("message 0\n3 messages of this log dropped: its reader took nothing\nafter\n")


def test_a_message_larger_than_the_pipe_comes_whole(
    logged: tuple[Callable[[str], None], Callable[[], str], int],
) -> None:
    log, read, _ = logged
    long = "l" * 500_000
    log(long)
    said = read()
    while "\n" not in said:
        log("later")
        said += read()
    assert said.startswith(f"{long}\n")


def test_a_forked_process_leaves_the_rest_of_a_message_to_the_one_that_logged_it(
    logged: tuple[Callable[[str], None], Callable[[], str], int],
) -> None:
    log, read, _ = logged
    log("x" * 500_000)
    said = read()
    if (forked := os.fork()) == 0:
        log("forked")
        os._exit(0)
    os.waitpid(forked, 0)
    while said.count("\n") < 2:
        said += read()
        log("later")
    assert said.count("x") == 500_000


def test_a_message_that_cannot_be_formatted_is_logged_as_it_is(pipe: tuple[int, int]) -> None:
    handler = PipeHandler(pipe[1])
    handler.handle(logging.LogRecord("library", logging.WARNING, "", 0, "%d connections", ("many",), None))
    handler.close()
    assert read_all(pipe[0]) == b"%d connections\n"


def test_nothing_waits_for_a_socket_either() -> None:
    near, far = socket.socketpair()
    with near, far:
        handler = PipeHandler(near.fileno())
        for number in range(5_000):
            handler.handle(logging.LogRecord("dbtend", logging.INFO, "", 0, f"{number:0500}", None, None))
        handler.close()
        assert far.recv(501) == b"0" * 500 + b"\n"


def test_a_pipe_that_nobody_can_read_any_more_is_no_problem() -> None:
    read_end, write_end = os.pipe()
    handler = PipeHandler(write_end)
    os.close(read_end)
    handler.handle(logging.LogRecord("dbtend", logging.INFO, "", 0, "lost", None, None))
    handler.close()
    os.close(write_end)


def test_a_process_without_stderr_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = list(logging.getLogger().handlers)
    monkeypatch.setattr("sys.__stderr__", None)
    log_to_stderr()
    assert logging.getLogger().handlers == handlers
