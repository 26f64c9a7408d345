"""The notices for a command that waits for jobs: what keeps them waiting."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine import Engine, EngineName, Operation, Options, Request, Status
from engine.domain.requests import OnDuplicate
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from tests.sqlite_files import make_database
from tests.tui.command_line import write_locked
from tests.tui.console.harness import Clock, worker_process
from tests.waiting import eventually
from tui.commands.waiting import Waiting, notices


@pytest.mark.parametrize(
    ("host", "told"), [(None, ["#2 b.db: waiting: 1 of 1 workers busy"]), ("elsewhere", [])], ids=["here", "elsewhere"]
)
async def test_only_what_runs_on_this_host_takes_its_slots(tmp_path: Path, host: str | None, told: list[str]) -> None:
    paths = [make_database(tmp_path / name) for name in ("a.db", "b.db")]
    said: list[str] = []
    store = tmp_path / "state" / "jobs.db"
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        with write_locked(paths[0]):
            options = Options(lock_timeout=60)
            asked = [Request(target=str(path), operations=(Operation.VACUUM,), options=options) for path in paths]
            await engine.pause("a test")  # each is read before it starts
            first, second = [(await engine.submit([one]))[0] for one in asked]
            await engine.resume()
            await eventually(lambda: is_at_work(engine))
            if host is not None:
                with closing(sqlite3.connect(store)) as file:
                    file.execute("UPDATE worker SET host = ?", (host,))
                    file.commit()
            assert first.status is Status.PENDING
            await Waiting(engine, said.append, max_running=1).tell([second])
        await engine.wait([first.id, second.id])
    assert said == told


async def test_while_nothing_may_be_written_it_is_told_which_jobs_lost_their_worker(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteStore.open(path) as store:
        async with worker_process(store, Clock(), pid=4711) as owner:
            request = Request(target="sqlite:///srv/a.db", operations=(Operation.VACUUM,))
            await store.submit([NewJob(request=request, engine=EngineName.SQLITE, target_key="a")], OnDuplicate.REFUSE)
            await store.claim(owner)
        async with Engine.open(path, read_only=True) as engine:
            first, second = await notices(engine, [1])
            (of_another,) = await notices(engine, [2])
    assert of_another == second
    assert first == "#1.1: the worker died; the next one takes over"
    assert second.startswith("1 job waits")


async def is_at_work(engine: Engine) -> bool:
    return any(worker.running for worker in await engine.workers())


async def test_that_no_worker_is_free_is_said_once(tmp_path: Path) -> None:
    paths = [make_database(tmp_path / name) for name in ("a.db", "b.db", "c.db", "d.db")]
    said: list[str] = []
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with write_locked(paths[0]):
            options = Options(lock_timeout=60)
            asked = [Request(target=str(path), operations=(Operation.VACUUM,), options=options) for path in paths]
            first, *others = [(await engine.submit([one]))[0] for one in asked]
            await eventually(lambda: is_at_work(engine))
            read_before_it_started = replace(first, status=Status.PENDING)
            await Waiting(engine, said.append, max_running=1).tell([read_before_it_started, *others])
            assert said == [], "the worker is busy with one of these jobs"
            await Waiting(engine, said.append, max_running=None).tell(others)
            assert said == [], "it was asked to be quiet"
            waiting = Waiting(engine, said.append, max_running=1)
            for some in (others[:2], others):
                await waiting.tell(some)
        await engine.wait([job.id for job in others])
    assert said == ["2 jobs: waiting: 1 of 1 workers busy"]
