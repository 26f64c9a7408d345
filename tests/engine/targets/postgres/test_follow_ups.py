"""Mandatory follow-ups are held back like any step, and end in bounded time after a cancel or the time limit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, Options, ParentJob, Request, ServerOptions, Status
from engine.domain.jobs import JobId
from engine.domain.statuses import Reason
from engine.domain.steps import PAUSED
from engine.targets import limits
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.postgres.test_limit_between_steps import HOUR, VACUUM_WAITS, LimitedClock, clock
from tests.engine.working import job_once
from tests.postgres_databases import Database

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["clock"]
FOLLOW_UP = "VACUUM (ONLY_DATABASE_STATS)"
LOAD = ServerOptions(schemas=("public",), pause_while="SELECT active FROM load.now")


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FOLLOW_UP_BEGINS_WITHIN", 0.1)


async def held_back(engine: Engine, database: Database, options: Options) -> ParentJob:
    """A job whose tables are done, and whose follow-up waits for the load to go down, which it never does."""
    database("CREATE TABLE a (a int)", "CREATE SCHEMA load", "CREATE TABLE load.now AS SELECT false AS active")
    request = Request(target=database.url, operations=(Operation.VACUUM, Operation.ANALYZE), options=options)
    with database.session("LOCK TABLE a"):
        (job,) = await engine.submit([request])
        await until(database, VACUUM_WAITS)
        database("UPDATE load.now SET active = true")

    def waits(job: ParentJob) -> bool:
        vacuum = job.children[0]
        has_begun = any(step.command == FOLLOW_UP for step in vacuum.steps)
        return has_begun and (vacuum.progress.phase or "").startswith(PAUSED)

    return await job_once(engine, job.id, waits)


def check_left_out(job: ParentJob, status: Status, reason: Reason) -> None:
    vacuum = job.children[0]
    assert (vacuum.status, vacuum.reason) == (status, reason)
    assert [step.status for step in vacuum.steps[:-1]] == [Status.COMPLETED]
    follow_up = vacuum.steps[-1]
    assert (follow_up.command, follow_up.status) == (FOLLOW_UP, Status.SKIPPED)


@pytest.mark.parametrize("stop_at_limit", [False, True])
async def test_r32_past_the_limit_a_follow_up_that_is_held_back_is_left_out(
    database: Database, tmp_path: Path, clock: LimitedClock, stop_at_limit: bool
) -> None:
    if database.major < 16:
        pytest.skip("has no such follow-up")
    options = Options(time_limit=HOUR, stop_at_limit=stop_at_limit, lock_timeout=60, server=LOAD)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(60):
        job = await held_back(engine, database, options)
        clock.pass_limit()
        (job,) = await engine.wait([job.id])
    check_left_out(job, Status.COMPLETED, Reason.TIME_LIMIT)


async def test_r32_a_cancel_ends_a_follow_up_that_is_held_back(database: Database, tmp_path: Path) -> None:
    if database.major < 16:
        pytest.skip("has no such follow-up")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        job = await held_back(engine, database, Options(lock_timeout=60, server=LOAD))
        await engine.cancel(JobId(job.id))
        (job,) = await engine.wait([job.id])
    vacuum = job.children[0]
    assert (vacuum.status, vacuum.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    assert [step.status for step in vacuum.steps] == [Status.COMPLETED, Status.CANCELLED]


async def test_r32_a_stop_ends_a_follow_up_that_is_held_back(database: Database, tmp_path: Path) -> None:
    if database.major < 16:
        pytest.skip("has no such follow-up")
    async with asyncio.timeout(60):
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            job = await held_back(engine, database, Options(lock_timeout=60, server=LOAD))
        async with Engine.open(tmp_path / "jobs.db", workers=0) as engine:
            vacuum = (await engine.job(job.id)).children[0]
    assert vacuum.status is Status.PENDING


async def test_r32_the_server_is_asked_to_stop_a_follow_up_that_waits_there(database: Database, tmp_path: Path) -> None:
    """For a lock on the catalog: as long as its lock timeout lasts, which is long here."""
    if database.major < 16:
        pytest.skip("has no such follow-up")
    database("CREATE TABLE a (a int)")
    request = Request(
        target=database.url,
        operations=(Operation.VACUUM,),
        options=Options(lock_timeout=3600, server=ServerOptions(schemas=("public",))),
    )
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with database.session("LOCK TABLE pg_database IN SHARE MODE"):
            (job,) = await engine.submit([request])
            await until(database, VACUUM_WAITS)
            await engine.cancel(JobId(job.id))
            (job,) = await engine.wait([job.id])
    vacuum = job.children[0]
    assert vacuum.status is Status.CANCELLED
    assert vacuum.steps[-1].command == FOLLOW_UP


async def test_r32_past_the_limit_a_follow_up_that_waits_on_the_server_is_left_out(
    database: Database, tmp_path: Path, clock: LimitedClock
) -> None:
    if database.major < 16:
        pytest.skip("has no such follow-up")
    database("CREATE TABLE a (a int)")
    options = Options(time_limit=HOUR, lock_timeout=3600, server=ServerOptions(schemas=("public",)))
    request = Request(target=database.url, operations=(Operation.VACUUM,), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(60):
        with database.session("LOCK TABLE pg_database IN SHARE MODE"):
            (job,) = await engine.submit([request])
            await until(database, VACUUM_WAITS)
            clock.pass_limit()
            (job,) = await engine.wait([job.id])
    check_left_out(job, Status.COMPLETED, Reason.TIME_LIMIT)
