"""A time limit holds between the tables and indexes of one operation on a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine import Engine, Operation, Options, Reason, Request, ServerOptions, Status
from engine.domain.steps import PAUSED, WaitsFor
from engine.domain.time_limits import window
from engine.targets.step_execution import StepContext
from tests.engine.targets.postgres.a_session import until
from tests.engine.targets.server_session import Told, connected
from tests.postgres_databases import SLEEPS, Database

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC = ServerOptions(schemas=("public",))


async def test_what_runs_goes_on_and_nothing_else_begins(database: Database, tmp_path: Path) -> None:
    database.make_slow()
    for number in range(5):
        database(f"CREATE TABLE t{number} (a int)", f"CREATE INDEX i{number} ON t{number} (a)")
    options = Options(time_limit=4, jobs=1, server=PUBLIC)
    request = Request(target=database.url, operations=(Operation.REINDEX, Operation.ANALYZE), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        (job,) = await engine.submit([request])
        await until(database, SLEEPS)
        while (await engine.job(job.id)).children[1].status is Status.PENDING:  # noqa: ASYNC110 - whoever changes it
            await asyncio.sleep(0.05)
        database.let_go()
        (job,) = await engine.wait([job.id])
    reindex, analyze = job.children
    done = sum(step.status is Status.COMPLETED for step in reindex.steps)
    assert (reindex.status, reindex.reason, reindex.left) == (Status.COMPLETED, Reason.TIME_LIMIT, 6 - done)
    assert str(reindex.error).startswith(f"{done} of 6 ")
    assert f" {6 - done} not begun: public.i" in str(reindex.error)
    assert (analyze.status, analyze.reason) == (Status.SKIPPED, Reason.TIME_LIMIT)
    assert database.invalid_indexes() == []


async def test_what_completes_the_others_runs_after_the_limit(database: Database, tmp_path: Path) -> None:
    """VACUUM (ONLY_DATABASE_STATS), once there were tables."""
    if database.major < 16:
        return
    database("CREATE TABLE a (a int)", "CREATE TABLE b (a int)")
    async with connected(database.url) as session:
        plan = await session.plan(Operation.VACUUM, Options(server=PUBLIC))
    assert [step.mandatory_follow_up for step in plan.steps] == [False, False, True]
    database("INSERT INTO a SELECT generate_series(1, 100)")
    options = Options(time_limit=3, lock_timeout=60, server=PUBLIC)
    request = Request(target=database.url, operations=(Operation.VACUUM, Operation.ANALYZE), options=options)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        with database.session("LOCK TABLE a", "LOCK TABLE b"):
            (job,) = await engine.submit([request])
            while (await engine.job(job.id)).children[1].status is Status.PENDING:  # noqa: ASYNC110 - whoever changes it
                await asyncio.sleep(0.05)
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
        with window(0.5) as opened:
            result = await session.execute(step, StepContext(report=told, window=opened))
    assert (result.status, result.never_began) == (Status.SKIPPED, True)
    assert told.all[0].waits_for is WaitsFor.LOAD
    assert told.phases[0].startswith(PAUSED)
