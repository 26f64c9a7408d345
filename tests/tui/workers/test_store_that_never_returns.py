"""A worker that ends when idle does not wait for ever for the server of its store."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from engine import Engine, Operation, Options, Request, Retention, StoreLocation
from engine.domain.claims import Claim, Outcome
from engine.domain.errors import StoreUnreachableError
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.store.postgres import connections
from tests.postgres_server import PostgresServer, running_server
from tests.shared_stores import make_template
from tests.tui.command_line import write_locked
from tests.waiting import eventually, wait_until
from tui.commands import worker
from tui.presentation.exit_codes import OK
from tui.workers.pool import PoolProcess


@pytest.fixture
def server(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """One that is stopped, with a store."""
    monkeypatch.setattr(worker, "UNREACHABLE_EXIT", 0.1)
    monkeypatch.setattr(connections, "ANSWERS_WITHIN", 0.5)  # else its end takes longer
    with running_server(postgres.binaries) as server:
        make_template(server)
        yield server


@pytest.fixture
def process() -> Iterator[PoolProcess]:
    lifeline, _ = pipe = os.pipe()
    process = PoolProcess(0, lifeline, None, os.open(os.devnull, os.O_WRONLY))
    yield process
    for number in (*pipe, process._words):
        os.close(number)


def number_of_looks_whether_it_is_busy(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A worker looks each time that the server could not be reached for so long that an idle one ends."""
    looks, is_busy = list[bool](), vars(Engine)["is_busy"].fget

    def looked(engine: Engine) -> bool:
        looks.append(is_busy(engine))
        return looks[-1]

    monkeypatch.setattr(Engine, "is_busy", property(looked))
    return looks


def test_it_ends_and_says_so_once(
    server: PostgresServer, process: PoolProcess, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    store = StoreLocation.parse(server.url("empty_store"))
    host = worker._Host(store, 600.0, 1.0, Retention(), 2, tmp_path / "config.toml")

    async def serves_while_the_server_stops() -> bool:
        async with Engine.open(store, workers=1) as engine:
            await asyncio.to_thread(server.stop)
            return await host._take_jobs(engine, process, asyncio.Event(), asyncio.Event())

    assert not asyncio.run(serves_while_the_server_stops())
    assert worker._begin(host.work, process) == OK
    assert sum("this worker ends" in text for text in caplog.messages) == 2  # once each


async def test_it_goes_on_while_an_operation_runs_and_a_permanent_one_always(
    server: PostgresServer, process: PoolProcess, sales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StoreLocation.parse(server.url("empty_store"))
    hosts = [
        worker._Host(store, idle_exit, 1.0, Retention(), 2, tmp_path / "config.toml") for idle_exit in (600.0, None)
    ]
    with suppress(StoreUnreachableError):  # the result of the operation is kept on its host
        async with Engine.open(store, workers=1) as engine:
            with write_locked(sales):
                options = Options(lock_timeout=600)
                await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,), options=options)])
                await asyncio.to_thread(wait_until, lambda: engine.is_busy)
                await asyncio.to_thread(server.stop)
                while engine.lost is None:
                    await engine.reach_changed()
                stop = asyncio.Event()
                at_work, permanent = (
                    asyncio.create_task(host._take_jobs(engine, process, stop, asyncio.Event())) for host in hosts
                )
                looks = number_of_looks_whether_it_is_busy(monkeypatch)
                await eventually(lambda: len(looks) > 2 or at_work.done())
                ended = {task for task in (at_work, permanent) if task.done()}
            was_asked_to_stop = await at_work
            permanent_ended = permanent.done()
            stop.set()
            await permanent
    assert (ended, was_asked_to_stop, permanent_ended) == (set(), False, False)  # inside, another error would hide it


@pytest.mark.parametrize("has_log", [False, True])
async def test_what_was_claimed_when_the_server_stopped_runs_and_then_the_worker_ends(
    server: PostgresServer,
    process: PoolProcess,
    sales: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_log: bool,
) -> None:
    """Where a log lies beside the file, only the store knows whether it may be opened: nothing runs."""
    execute, submitted = DatabaseMaintenanceWorker.execute, asyncio.Event()

    async def without_the_server(by: DatabaseMaintenanceWorker, claim: Claim, *more: Any) -> Outcome:
        await submitted.wait()  # a job may be claimed before its submission has its answer
        await asyncio.to_thread(server.stop)
        return await execute(by, claim, *more)

    monkeypatch.setattr(DatabaseMaintenanceWorker, "execute", without_the_server)
    store = StoreLocation.parse(server.url("empty_store"))
    host = worker._Host(store, 600.0, 1.0, Retention(), 2, tmp_path / "config.toml")
    asked = None
    with closing(sqlite3.connect(sales)) as application:
        if has_log:
            application.executescript("PRAGMA journal_mode = WAL; CREATE TABLE other(a)")
        before = sales.stat().st_mtime_ns
        with suppress(StoreUnreachableError):  # the result of the operation is kept on its host
            async with Engine.open(store, workers=1) as engine, asyncio.timeout(30):
                await engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
                submitted.set()
                asked = await host._take_jobs(engine, process, asyncio.Event(), asyncio.Event())
        assert asked is False
        assert (sales.stat().st_mtime_ns != before) is not has_log
