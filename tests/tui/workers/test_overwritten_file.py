"""A database that is overwritten while an operation maps it: the job fails with that reason, and no other harm."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engine import Engine
from engine.store.ending_texts import OVERWRITTEN
from tests.tui.command_line import CommandLine, out_line
from tests.waiting import wait_until
from tui.workers.detached import is_served

PART = 1_000
"""Kilobytes."""
MAPPED = ["check", "reindex", "vacuum", "analyze"]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that takes a moment to read."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, number INTEGER);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 250000)
                INSERT INTO t SELECT i, hex(randomblob(60)), i * 7919 % 1000 FROM n;
            CREATE INDEX by_text ON t (text);
            CREATE INDEX by_number ON t (number);
        """)
    return path


@pytest.fixture(params=["delete", pytest.param("wal", marks=pytest.mark.long)])
def app(request: pytest.FixtureRequest, large: Path, tmp_path: Path) -> Path:
    path = Path(shutil.copy(large, tmp_path / "app.db"))
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA journal_mode = {request.param}")
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """What is copied over it: much smaller."""
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE z (a); INSERT INTO z VALUES (1);")
    return path


@contextmanager
def stopped_in_the_middle(database: Path, ended: Callable[[], object] = lambda: False) -> Iterator[None]:
    """The process that runs an operation stands still while inside, having read a part of the mapped database.

    With none to stop once `ended` is so.
    """
    found: list[int] = []

    def stop_it() -> bool:
        found.extend(pid for pid in processes() if mapped_and_read(pid, database))
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        return bool(found or ended())

    wait_until(stop_it)
    if not found:
        yield
        return
    (pid,) = found
    try:
        while 0 < mapped_and_read(pid, database) < PART:
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.0005)
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        with suppress(ProcessLookupError):  # it was about to read when it was stopped
            os.kill(pid, signal.SIGCONT)


def processes() -> list[int]:
    """Those of dbtend."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"tui.cli" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def mapped_and_read(pid: int, database: Path) -> int:
    """How many kilobytes of the database a process has in its memory as a mapped file."""
    ours = False
    with suppress(OSError):
        if str(database) not in Path(f"/proc/{pid}/maps").read_text():
            return 0
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            name, *rest = line.split()
            if not name.endswith(":"):
                ours = line.endswith(str(database))
            elif ours and name == "Rss:":
                return int(rest[0])
    return 0


def overwrite(database: Path, other: Path) -> None:
    subprocess.run(["cp", other, database], check=True)


def children(dbtend: CommandLine, job: int = 1) -> list[Any]:
    (parent,) = dbtend("show", str(job), "--json").json["jobs"]
    found: list[Any] = parent["children"]
    return found


def was_killed(dbtend: CommandLine, job: int) -> bool:
    """Whether its process was stopped in the midst of a mapped page, and died of the overwritten file.

    Else its operation had ended, or the next statement opened the new file and found that it is another one.
    """
    return bool(children(dbtend, job)[0]["reason"] == "owner_lost")


def assert_failed_with_its_reason(dbtend: CommandLine, job: int) -> None:
    first, *others = children(dbtend, job)
    assert (first["status"], first["reason"], first["attempt"]) == ("failed", "owner_lost", 1)
    assert first["error"].startswith(f"{OVERWRITTEN}: ")
    assert [(child["status"], child["reason"]) for child in others] == [("skipped", "previous_failed")] * len(others)


@pytest.mark.parametrize("operation", MAPPED)
def test_a_run_tells_of_a_failed_job(dbtend: CommandLine, app: Path, other: Path, operation: str) -> None:
    asked = ("run", app, "--op", operation, "--op", "fts-optimize", "--force")
    for attempt in attempts(app):
        job = attempt
        with dbtend.start(*asked, interpreter=True) as run:
            try:
                with stopped_in_the_middle(app, ended=lambda: run.poll() is not None):
                    overwrite(app, other)
                out, err = run.communicate(timeout=60)
            finally:
                run.kill()
        if was_killed(dbtend, job):
            break
    assert (run.returncode, err) == (1, "")
    assert f"#{job}.1 app.db {operation} failed" in out
    assert OVERWRITTEN in out
    assert not any(words in out for words in ("owner lost", "worker died", "process died"))
    assert_failed_with_its_reason(dbtend, job)
    assert not list(app.parent.glob("core*"))


def test_a_worker_goes_on_with_other_jobs(dbtend: CommandLine, app: Path, other: Path, sales: Path) -> None:
    with dbtend.start("worker", "--workers", "1", interpreter=True) as worker:
        try:
            wait_until(lambda: dbtend.store.exists() and is_served(dbtend.store))
            for job in attempts(app):
                dbtend("run", app, "--op", "check", "--op", "analyze", "--detach", "--force")
                with stopped_in_the_middle(app):
                    overwrite(app, other)
                over(dbtend.store, job)
                wait_until(lambda: is_served(dbtend.store))  # again, where the only process has died
                if was_killed(dbtend, job):
                    break
            dbtend("run", sales, "--op", "analyze", "--detach")
            assert over(dbtend.store, job + 1) == ["completed"]
        finally:
            worker.terminate()
    assert_failed_with_its_reason(dbtend, job)


def test_the_worker_that_a_console_starts_goes_on_too(dbtend: CommandLine, app: Path, other: Path) -> None:
    try:
        for job in attempts(app):
            assert dbtend.process("run", app, "--op", "check", "--detach", "--force").code == 0
            with stopped_in_the_middle(app):
                overwrite(app, other)
            over(dbtend.store, job)
            if was_killed(dbtend, job):
                break
        wait_until(lambda: is_served(dbtend.store))
    finally:
        wait_until(lambda: bool(serving_processes(dbtend.store)))
        for pid in serving_processes(dbtend.store):
            with suppress(ProcessLookupError):  # it ends by itself once it has nothing to do
                os.kill(pid, signal.SIGTERM)
    assert_failed_with_its_reason(dbtend, job)


def attempts(app: Path) -> Iterator[int]:
    """The numbers of the jobs, each over the same database: an operation may be over before it could be stopped."""
    copy = shutil.copy(app, app.with_name("copy.db"))
    for job in range(1, 21):
        shutil.copy(copy, app)
        yield job


def over(store: Path, *jobs: int) -> list[str]:
    async def wait() -> list[str]:
        async with Engine.open(store) as engine, asyncio.timeout(60):
            return [job.status.value for job in await engine.wait(jobs)]

    return asyncio.run(wait())


def serving_processes(store: Path) -> list[int]:
    async def look() -> list[int]:
        async with Engine.open(store) as engine:
            return [worker.pid for worker in await engine.workers() if worker.alive and worker.serves_all]

    return asyncio.run(look())


def test_of_overwrites_at_any_time_none_ends_the_run_itself(dbtend: CommandLine, app: Path, other: Path) -> None:
    with dbtend.start("run", app, "--force", interpreter=True) as run:
        try:
            out_line(run)
            overwrite(app, other)
            out, err = run.communicate(timeout=60)
        finally:
            run.kill()
    assert run.returncode in {0, 1, 3, 4}
    assert "Traceback" not in out + err
    assert all(child["status"] in {"completed", "failed", "skipped"} for child in children(dbtend))


@contextmanager
def stopped_as_it_writes(database: Path, ended: Callable[[], object]) -> Iterator[None]:
    """The process that runs an operation stands still while inside, with a journal that whoever opens it applies.

    With none to stop once `ended` is so.
    """
    journal = database.with_name(f"{database.name}-journal")
    found: list[int] = []

    def stop_it() -> bool:
        if journal.exists() and journal.stat().st_size:
            found.extend(pid for pid in processes() if mapped_and_read(pid, database))
            for pid in found:
                os.kill(pid, signal.SIGSTOP)
        return bool(found or ended())

    wait_until(stop_it)
    try:
        yield
    finally:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def test_what_is_left_beside_the_new_file_is_named_and_keeps_it_from_being_opened(
    dbtend: CommandLine, large: Path, other: Path
) -> None:
    app = Path(shutil.copy(large, other.with_name("app.db")))
    journal = app.with_name("app.db-journal")
    for attempt in attempts(app):
        job = attempt
        with dbtend.start("run", app, "--op", "reindex", "--force", interpreter=True) as run:
            try:
                with stopped_as_it_writes(app, ended=lambda: run.poll() is not None):
                    overwrite(app, other)
                out, _ = run.communicate(timeout=60)
            finally:
                run.kill()
        if run.returncode:
            break
    assert (run.returncode, journal.exists()) == (1, True)
    do = "remove app.db-journal before any program opens app.db, then put a good copy in its place"
    assert f"{OVERWRITTEN}: {do}" in " ".join(out.split())
    copy = app.read_bytes()  # with what was written before it died
    for asked in (("advise", app), ("plan", app), ("run", app), ("retry", str(job)), ("run", app, "--needed")):
        refused = dbtend(*asked)
        assert (refused.code, refused.out) == (4, ""), asked
        assert "app.db-journal of the" in refused.err
        assert do in refused.err
    assert dbtend("doctor", app).code == 1
    assert app.read_bytes() == copy
    journal.unlink()
    assert dbtend("run", app, "--op", "check").code == 0
    assert dbtend("advise", app).code == 0
