"""Attempts of two stores never work on one file at once; applications, plans and inspections wait for neither."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine import Engine, Operation, Options, Reason, Request, Status
from engine.domain.errors import TargetBusyError
from engine.domain.jobs import ChildJob
from engine.system.lock_holders import whole_file_holders
from engine.targets import resolve
from engine.targets.sqlite.connection import target_lock
from engine.targets.sqlite.system.page_cache import descriptors_of
from tests.engine.processes import Process, python
from tests.sqlite_files import content, files_beside, make_database
from tests.two_users import as_nobody, needs_root, shared_directory
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="on other systems there is no such lock")

WORKS = """
    from engine.targets import resolve

    async def main():
        async with resolve(sys.argv[1]).connect(lock_timeout=1) as session:
            await session.lock()
            print("locked", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
        print("closed", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

    asyncio.run(main())
"""
LOCKS_FOR_EVER = """
    import fcntl
    file = open(sys.argv[1])
    fcntl.flock(file, fcntl.LOCK_SH)
    print("locked", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "a.db", rows=100)


@contextmanager
def working(path: Path, script: str = WORKS) -> Iterator[Process]:
    with python(script, path) as process:
        yield process


async def job(store: Path, path: Path, *operations: Operation, lock_timeout: float = 0.3) -> tuple[ChildJob, ...]:
    """Of a store of its own."""
    request = Request(target=str(path), operations=operations, options=Options(lock_timeout=lock_timeout))
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        (submitted,) = await engine.submit([request])
        (ended,) = await engine.wait([submitted.id])
    return ended.children


async def waits(engine: Engine) -> bool:
    """Whether the first job waits for a lock."""
    return any(child.progress.waits_for for parent in await engine.jobs([1]) for child in parent.children)


def is_locked(path: Path) -> bool:
    """As another process sees it."""
    return bool(whole_file_holders(str(path)))


@pytest.mark.parametrize("stopped", [False, True])
async def test_r30_no_attempt_begins_while_one_of_another_store_lives(
    path: Path, tmp_path: Path, stopped: bool
) -> None:
    before = path.read_bytes()
    with working(path) as other:
        assert await other.says() == "locked"
        if stopped:
            other.signal(signal.SIGSTOP)
        for child in await job(tmp_path / "jobs.db", path, Operation.VACUUM, Operation.CHECK):
            assert (child.status, child.reason, child.steps) == (Status.FAILED, Reason.TARGET_BUSY, ())
            assert f"{path}: no lock within 0.3 s: process {other.pid} (" in str(child.error)
    assert path.read_bytes() == before


async def test_r30_a_holder_that_is_killed_lets_the_next_begin_at_once(path: Path, tmp_path: Path) -> None:
    with working(path) as other:
        assert await other.says() == "locked"
        waiting = asyncio.create_task(job(tmp_path / "jobs.db", path, Operation.VACUUM, lock_timeout=600))
        async with Engine.open(tmp_path / "jobs.db") as engine, asyncio.timeout(30):
            await eventually(lambda: waits(engine))
        other.kill()
        (child,) = await waiting
    assert child.status is Status.COMPLETED


async def test_a_session_that_ends_lets_go_and_leaves_nothing_behind(path: Path, tmp_path: Path) -> None:
    beside = sorted(tmp_path.iterdir())
    with working(path) as other:
        assert await other.says() == "locked"
        assert sorted(tmp_path.iterdir()) == beside
        other.tell()
        assert await other.says() == "closed"
        (child,) = await job(tmp_path / "store" / "jobs.db", path, Operation.VACUUM)
        assert child.status is Status.COMPLETED
    assert files_beside(path) == {"a.db", "store"}


async def test_somebody_who_holds_it_for_ever_is_named_and_waited_for_no_longer_than_the_lock_timeout(
    path: Path, tmp_path: Path
) -> None:
    with working(path, LOCKS_FOR_EVER) as other:
        assert await other.says() == "locked"
        (child,) = await job(tmp_path / "jobs.db", path, Operation.ANALYZE)
        assert child.reason is Reason.TARGET_BUSY
        assert f"process {other.pid} (" in str(child.error)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_applications_plans_and_inspections_do_not_wait_for_it(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=100, journal_mode=journal_mode)
    with working(path) as other:
        assert await other.says() == "locked"
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as application:
            application.execute("BEGIN EXCLUSIVE")
            application.execute("DELETE FROM item")
            application.execute("COMMIT")
            application.execute("VACUUM")
        async with Engine.open(tmp_path / "jobs.db") as engine:
            await engine.plan(Request(target=str(path), operations=(Operation.VACUUM,)))
            await engine.advise(str(path))
            await engine.submit([Request(target=str(path), operations=(Operation.VACUUM,))])


async def test_it_stays_while_other_sessions_of_this_process_come_and_go(path: Path) -> None:
    target = resolve(str(path))
    async with target.look(lock_timeout=1), target.connect(lock_timeout=0) as other:
        async with target.look(lock_timeout=1) as before, target.connect(lock_timeout=1) as session:
            await before.info()
            assert await session.lock() == ()
            async with target.look(lock_timeout=1) as meanwhile:
                await meanwhile.info()
            assert is_locked(path)
            with pytest.raises(TargetBusyError, match=f"process {os.getpid()} "):
                await other.lock()
        assert await other.lock() == ()
    assert not is_locked(path)


async def test_an_attempt_that_does_not_get_it_leaves_no_connection_open(path: Path) -> None:
    target, file = resolve(str(path)), path.stat()
    async with target.connect(lock_timeout=1) as session, target.connect(lock_timeout=0) as other:
        assert await session.lock() == ()
        known = descriptors_of((file.st_dev, file.st_ino))
        for _ in range(3):
            with pytest.raises(TargetBusyError):
                await other.lock()
        assert descriptors_of((file.st_dev, file.st_ino)) == known


async def test_it_is_not_held_by_a_descriptor_that_sqlite_keeps_for_somebody_else(path: Path) -> None:
    """A connection that is closed while another reads leaves its descriptor to the next one."""
    uri = f"file:{path}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM item").fetchone()
        sqlite3.connect(uri, uri=True).close()
        async with resolve(str(path)).connect(lock_timeout=1) as session:
            assert await session.lock() == ()
            reader.execute("COMMIT")
            assert is_locked(path)
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM item").fetchone()
        assert not is_locked(path)


async def test_sqlites_own_locks_are_still_there_when_it_is_let_go(path: Path) -> None:
    """Closing a descriptor of the file would drop them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        async with resolve(str(path)).connect(lock_timeout=1) as session:
            await session.lock()
            writer.execute("BEGIN IMMEDIATE")
        with python(
            "import sqlite3\nsqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')", path
        ) as another:
            assert await another.ended() == 1
        writer.execute("DELETE FROM item")
        writer.execute("COMMIT")


@needs_root
async def test_another_user_who_can_only_read_the_file_is_excluded() -> None:
    with shared_directory(0o755) as directory:
        path = make_database(directory / "a.db", rows=100)
        path.chmod(0o644)

        def try_as_nobody() -> None:
            async def attempt() -> None:
                async with resolve(str(path)).connect(lock_timeout=0, writing=False) as session:
                    with pytest.raises(TargetBusyError):
                        await session.lock()

            asyncio.run(attempt())

        with working(path) as other:
            assert await other.says() == "locked"
            await asyncio.to_thread(as_nobody, try_as_nobody)


@pytest.mark.parametrize("why", ["of another machine", "without such locks"])
async def test_on_a_file_system_without_such_locks_the_job_runs_and_says_so(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    if why == "of another machine":
        monkeypatch.setattr(target_lock, "is_local", lambda _: False)
    else:
        monkeypatch.setattr(fcntl, "flock", refuse)
        async with resolve(str(path)).connect(lock_timeout=1) as session:
            assert await session.lock() == (target_lock.NO_LOCK,)
        return
    (child,) = await job(tmp_path / "jobs.db", path, Operation.VACUUM)
    assert child.status is Status.COMPLETED
    assert [line.message for line in child.log if line.message == target_lock.NO_LOCK]
    assert content(path)
