"""What a check found stays known until it is put right, and no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine import Advice, Engine, Operation, ParentJob, Request, Status
from engine.domain.advice import Level, needed
from engine.domain.requests import CheckLevel, Options
from tests.engine.targets.mysql.a_session import filled
from tests.mysql_databases import MySqlDatabase

ALL = (Operation.REPAIR, Operation.ANALYZE, Operation.OPTIMIZE, Operation.CHECK)


async def run(engine: Engine, request: Request) -> ParentJob:
    (job,) = await engine.submit([request])
    async with asyncio.timeout(60):
        (job,) = await engine.wait([job.id])
    return job


async def checked(engine: Engine, database: MySqlDatabase, level: CheckLevel = CheckLevel.FULL) -> ParentJob:
    options = Options(check=level)
    return await run(engine, Request(target=database.url, operations=(Operation.CHECK,), options=options))


async def advice_on(engine: Engine, database: MySqlDatabase) -> dict[Operation, Advice]:
    return {one.operation: one for one in await engine.advise(database.url)}


async def run_needed(engine: Engine, database: MySqlDatabase) -> ParentJob | None:
    request = Request(target=database.url, operations=ALL, options=Options(confirmed=True))
    narrowed = needed(request, await engine.advise(database.url))
    return await run(engine, narrowed) if narrowed is not None else None


def damaged(database: MySqlDatabase) -> None:
    filled(database, "log", 2_000, engine="MyISAM")
    filled(database, "well")
    database("FLUSH TABLES")
    with (database.server.data / database.name / "log.MYI").open("r+b") as index:
        index.truncate(4_096)


def remove_backups(database: MySqlDatabase) -> None:
    """Those that a server makes that repairs by itself; with them, no database can be dropped."""
    for backup in (database.server.data / database.name).glob("*.BAK"):
        backup.unlink()


async def test_repair_does_what_its_plan_shows(database: MySqlDatabase, tmp_path: Path) -> None:
    damaged(database)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await checked(engine, database, CheckLevel.QUICK)
        request = Request(target=database.url, operations=(Operation.REPAIR,), options=Options(confirmed=True))
        (planned,) = (await engine.plan(request)).operations
        job = await run(engine, request)
    assert [step.object for step in planned.steps] == ["log"]
    assert [(step.object, step.status) for step in job.children[0].steps] == [("log", Status.COMPLETED)]
    remove_backups(database)


async def test_what_is_repaired_is_checked_as_thoroughly_as_it_was_found(
    database: MySqlDatabase, tmp_path: Path
) -> None:
    damaged(database)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        assert (await checked(engine, database)).status is Status.FAILED
        assert (await advice_on(engine, database))[Operation.REPAIR].level is Level.NOW
        job = await run_needed(engine, database)
        assert job is not None
        assert [(child.operation, child.status) for child in job.children] == [
            (Operation.REPAIR, Status.COMPLETED),
            (Operation.CHECK, Status.COMPLETED),
        ]
        assert not (await advice_on(engine, database))[Operation.REPAIR].is_urgent
    remove_backups(database)
