"""The worker process that a console starts: exactly one, and it outlives the console."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine import Change, Engine, JobId, Lagged, Operation, Options, Reason, Request, Status
from engine.domain.errors import StoreError
from engine.system import locks
from tests.sqlite_files import transaction
from tests.waiting import wait_until
from tui.workers.detached import DetachedWorker, is_served, serving

A_CONSOLE = """
import pathlib, sys
from tui.workers.detached import DetachedWorker
worker = DetachedWorker(pathlib.Path(sys.argv[1]))
worker.ensure()
worker.ensure()
"""


def test_a_store_is_served_while_a_worker_says_so(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    assert not is_served(store)
    with serving(store), serving(store):
        assert is_served(store)
    assert not is_served(store)


def test_a_directory_that_cannot_be_read_is_no_sign_of_a_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(locks, "open_private", refused)
    assert not is_served(tmp_path / "jobs.db")


def test_where_a_worker_serves_no_other_is_started(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    with serving(store):
        DetachedWorker(store).ensure()
    assert not (tmp_path / "jobs.db.d" / "worker.log").exists()


def test_a_store_is_served_under_every_name(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "jobs.db")
    with serving(tmp_path / "link.db"):
        assert is_served(tmp_path / "jobs.db")


def wait_until_unserved(store: Path) -> None:
    with (store.with_name("jobs.db.d") / "worker.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


async def test_the_worker_of_a_console_outlives_it(tmp_path: Path, sales: Path) -> None:
    store = tmp_path / "jobs.db"
    async with Engine.open(store) as engine, asyncio.timeout(60):
        (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", A_CONSOLE, str(store)], check=True)
        (done,) = await engine.wait([job.id])
        assert done.status is Status.COMPLETED
        processes = await engine.workers()
        assert all(os.getsid(process.pid) == process.pid and process.serves_all for process in processes)
        for process in processes:
            os.kill(process.pid, signal.SIGTERM)
        await asyncio.to_thread(wait_until_unserved, store)
    log = (tmp_path / "jobs.db.d" / "worker.log").read_text()
    assert f"#{job.id}.1 vacuum {done.target} started, attempt 1" in log
    assert f"#{job.id}.1 completed" in log


def test_a_worker_can_be_stopped_by_who_started_it(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    worker = DetachedWorker(store)
    worker.stop()
    worker.ensure()
    worker.stop()
    assert not is_served(store)
    assert (tmp_path / "jobs.db.d" / "worker.log").stat().st_mode & 0o077 == 0


def test_a_worker_that_fails_at_once_is_told_of_and_not_started_again_and_again(tmp_path: Path) -> None:
    worker = DetachedWorker(tmp_path / "jobs.db", config_path=tmp_path / "missing.toml")
    with pytest.raises(StoreError, match=r"^worker: .*missing.toml: "):
        wait_until(worker.ensure)
    assert (tmp_path / "jobs.db.d" / "worker.log").read_text().count("no such config") == 1


def test_a_log_that_has_grown_large_makes_room(tmp_path: Path) -> None:
    log = tmp_path / "jobs.db.d" / "worker.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * 1_000_001)
    worker = DetachedWorker(tmp_path / "jobs.db")
    worker.ensure()
    worker.stop()
    assert log.with_name("worker.log.1").stat().st_size == 1_000_001
    assert log.stat().st_size < 1_000


@asynccontextmanager
async def busy_worker(store: Path, target: Path, *options: str) -> AsyncIterator[tuple[Engine, Process, JobId]]:
    """A worker process whose VACUUM waits for a lock held by another session until the block ends it."""
    async with Engine.open(store) as engine, asyncio.timeout(60):
        options = ("--workers", "1", "--store", str(store), *options)
        worker = await asyncio.create_subprocess_exec(sys.executable, "-m", "tui.cli", "worker", *options)
        await asyncio.to_thread(wait_until, lambda: is_served(store))
        changes = engine.changes()
        asked = Request(target=str(target), operations=(Operation.VACUUM,), options=Options(lock_timeout=60))
        (job,) = await engine.submit([asked])
        await moved(changes, Status.RUNNING)
        try:
            yield engine, worker, JobId(job.id, 1)
        finally:
            if worker.returncode is None:
                worker.kill()
            await worker.wait()


async def moved(changes: AsyncIterator[Change | Lagged], to: Status) -> None:
    """Until a child goes into this status."""
    async for change in changes:
        if isinstance(change, Change) and change.job and change.job.ordinal and change.new is to:
            return


async def test_a_worker_that_is_told_to_stop_lets_what_runs_end(tmp_path: Path, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE") as lock:
        async with busy_worker(tmp_path / "jobs.db", sales, "--grace", "60") as (engine, worker, job):
            worker.send_signal(signal.SIGTERM)
            await asyncio.to_thread(wait_until_unserved, tmp_path / "jobs.db")
            lock.execute("ROLLBACK")
            assert await worker.wait() == 0
            assert (await engine.job(job.parent)).status is Status.COMPLETED


async def test_what_outlasts_the_grace_period_is_handed_back(tmp_path: Path, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE"):
        async with busy_worker(tmp_path / "jobs.db", sales, "--grace", "0") as (engine, worker, job):
            (process,) = await engine.workers()
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0
            (child,) = (await engine.job(job.parent)).children
            assert child.status is Status.PENDING
            (attempt,) = child.attempts
            assert (attempt.pid, attempt.status, attempt.reason) == (process.pid, Status.CANCELLED, Reason.SHUTDOWN)
            assert await engine.workers() == []


async def test_told_twice_a_worker_leaves_at_once(tmp_path: Path, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE"):
        async with busy_worker(tmp_path / "jobs.db", sales, "--grace", "60") as (engine, worker, job):
            changes = engine.changes()
            worker.send_signal(signal.SIGTERM)
            await asyncio.to_thread(wait_until_unserved, tmp_path / "jobs.db")
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 130
            await moved(changes, Status.PENDING)
            (child,) = (await engine.job(job.parent)).children
            assert [attempt.reason for attempt in child.attempts] == [Reason.OWNER_LOST]


async def test_an_operation_can_be_ended_by_killing_the_process_that_runs_it(tmp_path: Path, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE") as lock:
        async with busy_worker(tmp_path / "jobs.db", sales) as (engine, _, job):
            changes = engine.changes()
            (process,) = await engine.workers()
            os.kill(process.pid, signal.SIGKILL)
            await moved(changes, Status.PENDING)
            await moved(changes, Status.RUNNING)
            lock.execute("ROLLBACK")
            (done,) = await engine.wait([job.parent])
            (child,) = done.children
            assert [(a.number, a.status, a.reason) for a in child.attempts] == [
                (1, Status.FAILED, Reason.OWNER_LOST),
                (2, Status.COMPLETED, None),
            ]
            assert child.attempts[0].pid == process.pid != child.pid


async def test_who_outlives_its_pool_ends_what_is_open_and_leaves(tmp_path: Path, sales: Path) -> None:
    store = tmp_path / "jobs.db"
    with transaction(sales, "EXCLUSIVE") as lock:
        async with busy_worker(store, sales) as (engine, worker, job):
            worker.kill()
            (later,) = await engine.submit([Request(target=str(sales), operations=(Operation.ANALYZE,))])
            lock.execute("ROLLBACK")
            done = await engine.wait([job.parent, later.id])
            assert [(job.status, job.children[0].attempt) for job in done] == [(Status.COMPLETED, 1)] * 2
            await asyncio.to_thread(wait_until_unserved, store)


async def test_a_process_of_a_worker_that_is_told_to_stop_takes_the_worker_with_it(tmp_path: Path, sales: Path) -> None:
    with transaction(sales, "EXCLUSIVE") as lock:
        async with busy_worker(tmp_path / "jobs.db", sales) as (engine, worker, job):
            (process,) = await engine.workers()
            os.kill(process.pid, signal.SIGTERM)
            await asyncio.to_thread(wait_until_unserved, tmp_path / "jobs.db")
            lock.execute("ROLLBACK")
            assert await worker.wait() == 0
            assert (await engine.job(job.parent)).status is Status.COMPLETED
