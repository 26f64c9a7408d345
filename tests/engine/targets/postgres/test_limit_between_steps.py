"""A time limit holds between the tables and indexes of one operation on a server."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, Reason, Request, ServerOptions, Status
from engine.domain import time_limits
from engine.domain.steps import PAUSED, WaitsFor
from engine.domain.time_limits import Window
from engine.targets.step_execution import StepContext
from tests.building import StoppedClock
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import Told, connected
from tests.engine.working import job_once
from tests.postgres_databases import SLEEPS, Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PUBLIC = ServerOptions(schemas=("public",))
HOUR = 3600
VACUUM_WAITS = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'VACUUM'"


class LimitedClock(StoppedClock):
    """A clock that moves only past the limit of an hour: whatever begins before, begins in time."""

    def __init__(self) -> None:
        super().__init__()
        self.windows: list[Window] = []
        """Those of the operations that have begun."""

    def pass_limit(self) -> None:
        self.at += HOUR * 1_000_000
        for window in self.windows:
            window.closed.set()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LimitedClock:
    clock, open_window = LimitedClock(), time_limits.window

    @contextmanager
    def kept(time_left: float | None, since: float | None = None) -> Iterator[Window]:
        with open_window(time_left, since) as window:
            clock.windows.append(window)
            yield window

    monkeypatch.setattr(time_limits, "window", kept)
    return clock


async def test_what_runs_goes_on_and_nothing_else_begins(
    database: Database, tmp_path: Path, clock: LimitedClock
) -> None:
    database.make_slow()
    for number in range(5):
        database(f"CREATE TABLE t{number} (a int)", f"CREATE INDEX i{number} ON t{number} (a)")
    options = Options(time_limit=HOUR, jobs=1, server=PUBLIC)
    request = Request(target=database.url, operations=(Operation.REINDEX, Operation.ANALYZE), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(60):
        (job,) = await engine.submit([request])
        await until(database, SLEEPS)
        clock.pass_limit()
        await job_once(engine, job.id, lambda job: job.children[1].status is not Status.PENDING)
        database.let_go()
        (job,) = await engine.wait([job.id])
    reindex, analyze = job.children
    done = sum(step.status is Status.COMPLETED for step in reindex.steps)
    assert (reindex.status, reindex.reason, reindex.left) == (Status.COMPLETED, Reason.TIME_LIMIT, 6 - done)
    assert str(reindex.error).startswith(f"{done} of 6 ")
    assert f" {6 - done} not begun: public.i" in str(reindex.error)
    assert (analyze.status, analyze.reason) == (Status.SKIPPED, Reason.TIME_LIMIT)
    assert database.invalid_indexes() == []


async def test_what_completes_the_others_runs_after_the_limit(
    database: Database, tmp_path: Path, clock: LimitedClock
) -> None:
    """VACUUM (ONLY_DATABASE_STATS), once there were tables."""
    if database.major < 16:
        return
    database("CREATE TABLE a (a int)", "CREATE TABLE b (a int)")
    async with connected(database.url) as session:
        plan = await session.plan(Operation.VACUUM, Options(server=PUBLIC))
    assert [step.mandatory_follow_up for step in plan.steps] == [False, False, True]
    database("INSERT INTO a SELECT generate_series(1, 100)")
    options = Options(time_limit=HOUR, lock_timeout=60, server=PUBLIC)
    request = Request(target=database.url, operations=(Operation.VACUUM, Operation.ANALYZE), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(60):
        with database.session("LOCK TABLE b"):
            (job,) = await engine.submit([request])
            await until(database, VACUUM_WAITS)
            clock.pass_limit()
            await job_once(engine, job.id, lambda job: job.children[1].status is not Status.PENDING)
        (job,) = await engine.wait([job.id])
    vacuum, _ = job.children
    assert (vacuum.status, vacuum.reason, vacuum.left) == (Status.COMPLETED, Reason.TIME_LIMIT, 1)
    assert vacuum.steps[-1].command == "VACUUM (ONLY_DATABASE_STATS)"
    assert vacuum.steps[-1].status is Status.COMPLETED


async def test_what_is_held_back_by_the_load_until_the_limit_does_not_begin(database: Database) -> None:
    database("CREATE TABLE item (a int)")
    told = Told()
    async with connected(database.url) as session:
        server = ServerOptions(pause_while="SELECT true")
        step = (await session.plan(Operation.VACUUM, Options(objects=("item",), server=server))).steps[0]
        opened = Window(closes_at=time.monotonic() + HOUR)
        running = asyncio.create_task(session.execute(step, StepContext(report=told, window=opened)))
        await told.something.wait()
        opened.closed.set()
        result = await running
    assert (result.status, result.never_began) == (Status.SKIPPED, True)
    assert told.all[0].waits_for is WaitsFor.LOAD
    assert told.phases[0].startswith(PAUSED)
