"""R5: no limit by default; after a limit no operation starts, and a running one ends by itself."""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, Reason, Request, Status
from engine.domain.errors import UsageError
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.store.sqlite.store import SqliteStore
from engine.targets import resolve
from tests.building import StoppedClock
from tests.conformance.test_time_limits import HOUR, SKIPPED
from tests.engine.working import processing
from tests.sqlite_files import make_database, transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.domain.jobs import ParentJob


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def store(store_path: Path, clock: StoppedClock) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(store_path, clock=clock) as opened:
        yield opened


def ends(parent: ParentJob) -> list[tuple[Status, Reason | None]]:
    return [(child.status, child.reason) for child in parent.children]


async def test_r5_a_limit_is_kept_by_whoever_has_the_store_open(
    tmp_path: Path, clock: StoppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real operation that waits for a lock, under a process without workers that looks after the store."""
    monkeypatch.setattr("engine.execution.supervision.INTERVAL", 0.01)
    path = make_database(tmp_path / "sales.db", rows=20)
    options = Options(lock_timeout=600, time_limit=3600, stop_at_limit=True)
    store_path = tmp_path / "jobs.db"
    request = Request(target=str(path), operations=(Operation.VACUUM, Operation.ANALYZE), options=options)
    async with (
        SqliteStore.open(store_path, clock=clock) as store,
        Engine.open(store_path, clock=clock) as watching,
        processing(store, DatabaseMaintenanceWorker(resolve)),
        asyncio.timeout(30),
    ):
        changes = watching.changes()
        with transaction(path, "IMMEDIATE"):
            (parent,) = await watching.submit([request])
            assert parent.deadline_at == clock.at + HOUR
            while (await watching.job(parent.id)).status is not Status.RUNNING:
                await anext(changes)
            clock.at += HOUR
            (parent,) = await watching.wait([parent.id])
    assert ends(parent) == [(Status.CANCELLED, Reason.TIME_LIMIT), SKIPPED]
    assert parent.status is Status.CANCELLED


@pytest.mark.parametrize(
    ("options", "opens_for"),
    [
        (Options(), 2 * HOUR),
        (Options(time_limit=3600), HOUR),
        (Options(time_limit=3 * 3600), 2 * HOUR),
        (Options(stop_at_limit=True), 2 * HOUR),
    ],
)
async def test_an_instant_closes_the_window_whatever_the_zone_of_this_process(
    tmp_path: Path, clock: StoppedClock, options: Options, opens_for: int
) -> None:
    paths = [make_database(tmp_path / f"{name}.db", rows=20) for name in "ab"]
    requests = [Request(target=str(path), operations=(Operation.VACUUM,), options=options) for path in paths]
    async with Engine.open(tmp_path / "jobs.db", clock=clock) as engine:
        submitted = await engine.submit(requests, closes_at=clock.at + 2 * HOUR)
    assert {parent.deadline_at for parent in submitted} == {clock.at + opens_for}
    assert {parent.request.options for parent in submitted} == {options}  # it can be run again in another window


async def test_in_a_window_that_has_closed_nothing_runs(tmp_path: Path, clock: StoppedClock) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(30):
        (parent,) = await engine.submit(
            [Request(target=str(path), operations=(Operation.VACUUM,))], closes_at=clock.at - HOUR
        )
        (parent,) = await engine.wait([parent.id])
    assert ends(parent) == [SKIPPED]


@pytest.mark.parametrize("by", ["application", "attempt", "writer"])
async def test_r32_what_waits_for_its_file_at_the_end_of_the_window_does_not_begin(tmp_path: Path, by: str) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    options = Options(time_limit=1, lock_timeout=3600)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, path.open("rb") as file:
        if by == "application":
            other.execute("BEGIN EXCLUSIVE")
        elif by == "attempt":
            fcntl.flock(file, fcntl.LOCK_EX)
        else:
            other.execute("BEGIN IMMEDIATE")
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
            (parent,) = await engine.submit(
                [Request(target=str(path), operations=(Operation.VACUUM,), options=options)]
            )
            (parent,) = await engine.wait([parent.id])
    assert ends(parent) == [SKIPPED]


async def test_a_retry_does_not_take_over_the_instant_that_closed_the_window(
    tmp_path: Path, clock: StoppedClock
) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    request = Request(target=str(path), operations=(Operation.VACUUM,), options=Options(stop_at_limit=True))
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(30):
        (parent,) = await engine.submit([request], closes_at=clock.at)
        await engine.wait([parent.id])
        again = await engine.retry(parent.id, only_incomplete=True)
        assert again.deadline_at is None
        (again,) = await engine.wait([again.id])
    assert ends(again) == [(Status.COMPLETED, None)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (Options(time_limit=0), "time limit 0 s: is not possible"),
        (Options(time_limit=-1), "is not possible"),
        (Options(time_limit=float("nan")), "is not possible"),
        (Options(time_limit=float("inf")), "is not possible"),
        (Options(until="25:00"), "until '25:00': is no time of day"),
        (Options(stop_at_limit=True), "there is no limit"),
    ],
)
async def test_r5_an_impossible_limit_is_refused(tmp_path: Path, options: Options, complaint: str) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    async with Engine.open(tmp_path / "jobs.db") as engine:
        with pytest.raises(UsageError, match=complaint):
            await engine.submit([Request(target=str(path), operations=(Operation.VACUUM,), options=options)])
        assert await engine.history() == []
