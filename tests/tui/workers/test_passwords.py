"""Typed passwords: read without echo, and only in the memory of dbtend's processes."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from engine import Engine, Operation, Options, Request, ServerOptions, Status
from engine.domain import typed_passwords
from tests.postgres_databases import SECRET, WAITS, Database
from tests.tui.command_line import CommandLine
from tests.tui.commands.test_detach import carried_out_by_one_worker_that_ends
from tui.workers.detached import DetachedWorker, serving

# The terminal becomes the one that the process belongs to, as it is for a person.
ON_THIS_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "tui.cli", *sys.argv[1:]])
"""
pytestmark = pytest.mark.usefixtures("no_password_is_known")


class Person:
    """Somebody at a terminal who reads, and types."""

    def __init__(self, terminal: int, process: subprocess.Popen[bytes]) -> None:
        self._terminal = terminal
        self.process = process
        self.seen = ""
        self._read = 0

    def type(self, line: str) -> None:
        os.write(self._terminal, line.encode())

    def wait_for(self, words: str) -> None:
        """Read on until it says this once more."""
        while (at := self.seen.find(words, self._read)) < 0:
            self.seen += os.read(self._terminal, 4096).decode()
        self._read = at + len(words)

    def read_to_the_end(self) -> str:
        with suppress(OSError):
            while more := os.read(self._terminal, 4096):
                self.seen += more.decode()
        self.process.wait(60)
        return self.seen.replace("\r\n", "\n")

    def known_to_others(self) -> bytes:
        """What anybody could read of the process."""
        place = Path("/proc") / str(self.process.pid)
        return (place / "cmdline").read_bytes() + (place / "environ").read_bytes()


@contextmanager
def at_a_terminal(dbtend: CommandLine, *argv: str | Path) -> Iterator[Person]:
    terminal, far_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", ON_THIS_TERMINAL, *map(str, argv)],
        env={**os.environ, **dbtend.environment, "TERM": "xterm", "NO_COLOR": "1"},
        stdin=far_end,
        stdout=far_end,
        stderr=far_end,
    )
    os.close(far_end)
    try:
        yield Person(terminal, process)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def is_in_a_file(place: Path) -> bool:
    return any(SECRET.encode() in path.read_bytes() for path in place.rglob("*") if path.is_file())


def test_run_asks_without_echo_until_it_is_right_and_the_password_gets_nowhere(
    dbtend: CommandLine, guarded: Database
) -> None:
    url = guarded.as_user("ann")
    command = ("run", url, "--op", "vacuum-full", "--object", "item", "--lock-timeout", "60", "--yes")
    with (
        guarded.session("LOCK TABLE item IN ACCESS SHARE MODE") as other,
        at_a_terminal(dbtend, *command) as person,
    ):
        person.wait_for("Password for postgresql://ann@")
        person.type("wrong-one\n")
        person.wait_for("the password that was typed is wrong")
        person.wait_for("Password for ")
        person.type(f"{SECRET}\n")
        guarded.wait_for(WAITS)
        assert SECRET.encode() not in person.known_to_others()
        other.rollback()
        seen = person.read_to_the_end()
        assert person.process.returncode == 0
    assert re.search(r"^#1 .* completed in", seen, re.MULTILINE)
    assert SECRET not in seen
    assert "wrong-one" not in seen
    assert not is_in_a_file(dbtend.home)


@pytest.mark.parametrize("command", [("plan", "--op", "vacuum"), ("advise",), ("run", "--needed")])
def test_other_commands_ask_once_too(dbtend: CommandLine, guarded: Database, command: tuple[str, ...]) -> None:
    name, *options = command
    with at_a_terminal(dbtend, name, guarded.as_user("ann"), *options) as person:
        person.wait_for("Password for ")
        person.type(f"{SECRET}\n")
        seen = person.read_to_the_end()
        assert person.process.returncode == 0
    assert seen.count("Password for ") == 1


def test_a_retry_asks_too(dbtend: CommandLine, guarded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", SECRET)
    assert dbtend("run", guarded.as_user("ann"), "--op", "vacuum", "--object", "item").code == 0
    monkeypatch.delenv("PGPASSWORD")
    with at_a_terminal(dbtend, "retry", "1") as person:
        person.wait_for("Password for ")
        person.type(f"{SECRET}\n")
        person.read_to_the_end()
        assert person.process.returncode == 0


@pytest.mark.parametrize("typed", ["\n", "\x04", "a\nb\nc\n"], ids=["nothing", "an end", "three times wrong"])
def test_who_has_none_is_told_where_to_put_it(dbtend: CommandLine, guarded: Database, typed: str) -> None:
    with at_a_terminal(dbtend, "plan", guarded.as_user("ann")) as person:
        for line in typed.splitlines(keepends=True):
            person.wait_for("Password for ")
            person.type(line)
        seen = person.read_to_the_end()
        assert person.process.returncode == 2
    assert "; a typed password" in seen.replace("\n", " ")
    assert "Traceback" not in seen


def test_without_a_terminal_nobody_is_asked(dbtend: CommandLine, guarded: Database) -> None:
    url = guarded.as_user("ann")
    for command in (("run", url), ("plan", url), ("advise", url), ("run", url, "--detach")):
        result = dbtend.process(*command)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith("dbtend: postgresql://ann@")
        assert "none was found" in result.err
    assert not dbtend.store.exists() or dbtend("history", "--json").json["jobs"] == []


def test_the_worker_of_a_detached_run_is_handed_it_and_nobody_else(dbtend: CommandLine, guarded: Database) -> None:
    url = guarded.as_user("ann")
    command = ("run", url, "--op", "vacuum-full", "--object", "item", "--lock-timeout", "60", "--yes", "--detach")
    with guarded.session("LOCK TABLE item IN ACCESS SHARE MODE") as other:
        with at_a_terminal(dbtend, *command) as person:
            person.wait_for("Password for ")
            person.type(f"{SECRET}\n")
            assert person.read_to_the_end().endswith("\n1\n")
            assert person.process.returncode == 0
        guarded.wait_for(WAITS)
        # Another job, by the same person: the worker that runs is told nothing any more.
        with at_a_terminal(dbtend, "run", url, "--op", "analyze", "--detach") as person:
            person.wait_for("Password for ")
            person.type(f"{SECRET}\n")
            seen = person.read_to_the_end()
            assert person.process.returncode == 2
        assert "is not told" in seen
        workers = dbtend("workers", "--json").json["workers"]
        for pid in [worker["pid"] for worker in workers]:
            place = Path("/proc") / str(pid)
            assert SECRET.encode() not in (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        other.rollback()
        assert carried_out_by_one_worker_that_ends(dbtend.store, 1) is Status.COMPLETED
    assert not is_in_a_file(dbtend.home)


async def test_a_worker_that_was_not_told_fails_the_job_in_plain_words(dbtend: CommandLine, guarded: Database) -> None:
    url = guarded.as_user("ann")
    async with Engine.open(dbtend.store) as engine:
        typed_passwords.remember(url, SECRET)
        options = Options(server=ServerOptions(schemas=("public",)))
        (job,) = await engine.submit([Request(target=url, operations=(Operation.VACUUM,), options=options)])
        await asyncio.to_thread(dbtend.process, "worker", "--idle-exit", "0", "--workers", "1")
        (done,) = await engine.wait([job.id])
    assert done.status is Status.FAILED
    assert "none was found" in str(done.children[0].error)
    assert "a typed password" in str(done.children[0].error)


def test_it_is_known_what_the_next_worker_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSFILE")  # which the environment that this process was started with does not have
    store = tmp_path / "jobs.db"
    worker = DetachedWorker(store)
    assert worker.lacks("postgresql:///shop") == ""
    typed_passwords.remember("postgresql:///shop", SECRET)
    assert worker.lacks("postgresql:///shop") == ""
    with serving(store):
        assert "typed here" in worker.lacks("postgresql:///shop")
        assert "typed here" in worker.lacks("postgresql:///other")  # it is that of the server
        assert worker.lacks("postgresql://db2/shop") == ""
    worker.ensure()
    try:
        assert worker.lacks("postgresql:///shop") == ""
        typed_passwords.remember("postgresql:///shop", "another")
        assert "typed here" in worker.lacks("postgresql:///shop")
    finally:
        worker.stop()


@pytest.mark.parametrize("given", ["", "[1]", "{"])
def test_a_worker_that_is_handed_nonsense_says_so(dbtend: CommandLine, given: str) -> None:
    command = [sys.executable, "-m", "tui.cli", "worker", "--passwords-from-stdin"]
    environment = {**os.environ, **dbtend.environment}
    result = subprocess.run(command, input=given, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "no JSON object" in result.stderr


def test_what_shows_variables_does_not_show_it() -> None:
    typed_passwords.remember("postgresql:///shop", SECRET)
    assert SECRET not in repr((typed_passwords.typed(), typed_passwords.typed_for("postgresql:///shop")))
    assert SECRET not in pretty_repr({"asked": {"password": typed_passwords.typed_for("postgresql:///shop")}})
    assert typed_passwords.typed_for("postgresql:///shop") == SECRET
