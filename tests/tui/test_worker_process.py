"""The worker process that a console starts: there is one, and only one, and it outlives the console."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

from engine import Engine, Operation, Request, Status
from tui.worker_process import DetachedWorker, is_served, serving

A_CONSOLE = """
import pathlib, sys
from tui.worker_process import DetachedWorker
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


def test_where_a_worker_serves_no_other_is_started(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    with serving(store):
        DetachedWorker(store).ensure()
    assert not (tmp_path / "jobs.db.d" / "worker.log").exists()


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
        (worker,) = await engine.workers()
        assert os.getsid(worker.pid) == worker.pid
        os.kill(worker.pid, signal.SIGTERM)
        await asyncio.to_thread(wait_until_unserved, store)
    assert "stopping safely" in (tmp_path / "jobs.db.d" / "worker.log").read_text()


def test_a_worker_can_be_stopped_by_who_started_it(tmp_path: Path) -> None:
    store = tmp_path / "jobs.db"
    worker = DetachedWorker(store)
    worker.stop()
    worker.ensure()
    worker.stop()
    assert not is_served(store)
    assert (tmp_path / "jobs.db.d" / "worker.log").stat().st_mode & 0o077 == 0
