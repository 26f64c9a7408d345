"""What a check found stays known until it is put right, and no longer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine import Advice, Engine, Operation, ParentJob, Request, Status
from engine.config.model import TargetEntry
from engine.domain.advice import Level, needed
from engine.domain.requests import CheckLevel, Options
from engine.domain.surveys import SurveyCause
from engine.inspection import inspector
from engine.system.clock import now
from engine.targets.mysql.connection.server import Flavor
from tests.engine.targets.mysql.a_session import filled
from tests.mysql_databases import MySqlDatabase
from tui.presentation.survey_format import check_age

ALL = (Operation.REPAIR, Operation.ANALYZE, Operation.OPTIMIZE, Operation.CHECK)
ORPHANS = (
    "CREATE TABLE parent (a INT PRIMARY KEY)",
    "CREATE TABLE child (a INT, CONSTRAINT to_parent FOREIGN KEY (a) REFERENCES parent (a))",
    "SET SESSION foreign_key_checks = 0",
    "INSERT INTO child VALUES (1), (2)",
    "SET SESSION foreign_key_checks = 1",
)


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
    damage(database)


def damage(database: MySqlDatabase) -> None:
    database("FLUSH TABLES")
    with (database.server.data / database.name / "log.MYI").open("r+b") as index:
        index.truncate(4_096)


def remove_backups(database: MySqlDatabase) -> None:
    """Those that a server makes that repairs by itself; with them, no database can be dropped."""
    for backup in (database.server.data / database.name).glob("*.BAK"):
        backup.unlink()


async def test_r31_what_was_never_checked_is_checked_before_it_is_written_to(
    database: MySqlDatabase, tmp_path: Path
) -> None:
    filled(database, "changed", 1, more="STATS_AUTO_RECALC = 0")
    filled(database, "more", 2_000)
    database("ANALYZE TABLE changed, more", "INSERT INTO changed SELECT id + 10, b FROM more")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        everything = Request(target=database.url, operations=ALL)
        request = needed(everything, await engine.advise(database.url))
        assert request is not None
        assert request.operations == (Operation.CHECK, Operation.OPTIMIZE)
        assert not (await engine.plan(request)).is_unchecked
        usual = Request(target=database.url, operations=inspector.default_operations(database.url))
        assert not (await engine.plan(usual)).is_unchecked
        await checked(engine, database)
        request = needed(everything, await engine.advise(database.url))
        assert request is not None
        assert request.operations == (Operation.OPTIMIZE,)


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


async def test_a_repair_runs_and_is_checked_whatever_else_is_due(database: MySqlDatabase, tmp_path: Path) -> None:
    filled(database, "log", 2_000, engine="MyISAM")
    filled(database, "changed", 1, more="STATS_AUTO_RECALC = 0")
    filled(database, "more", 2_000)
    damage(database)
    # FLUSH TABLES forgets what MySQL has counted.
    database("ANALYZE TABLE changed, more", "INSERT INTO changed SELECT id + 10, b FROM more", *ORPHANS)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await checked(engine, database)
        job = await run_needed(engine, database)
        assert job is not None
        ended = {child.operation: child.status for child in job.children}
        assert (ended[Operation.REPAIR], ended[Operation.OPTIMIZE]) == (Status.COMPLETED, Status.COMPLETED)
        found = await advice_on(engine, database)
        assert not found[Operation.REPAIR].is_urgent
        assert "2 rows without their parent" in found[Operation.CHECK].reason
        assert found[Operation.CHECK].needs_manual_fix
    remove_backups(database)


async def test_a_repair_alone_calls_for_a_full_check_and_for_no_other_repair(
    database: MySqlDatabase, tmp_path: Path
) -> None:
    damaged(database)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await checked(engine, database)
        request = Request(target=database.url, operations=(Operation.REPAIR,), options=Options(confirmed=True))
        assert (await run(engine, request)).status is Status.COMPLETED
        found = await advice_on(engine, database)
        assert not found[Operation.REPAIR].is_urgent
        assert (found[Operation.CHECK].check, found[Operation.CHECK].is_needed) == (CheckLevel.FULL, True)
        await checked(engine, database)
        assert not (await advice_on(engine, database))[Operation.CHECK].is_urgent
    remove_backups(database)


async def test_rows_without_their_parent_stay_known_until_a_full_check_finds_none(
    database: MySqlDatabase, tmp_path: Path
) -> None:
    database(
        *ORPHANS,
    )
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        await checked(engine, database)
        for _ in CheckLevel:
            check = (await advice_on(engine, database))[Operation.CHECK]
            assert "child (to_parent): 2 rows without their parent" in check.reason
            assert (check.level, check.needs_manual_fix) == (Level.SOON, True)
            assert await survey_of(engine, database) == (SurveyCause.BROKEN_RULE, "not ok")
            await checked(engine, database, CheckLevel.QUICK)
        database("DELETE FROM child")
        await checked(engine, database)
        assert not (await advice_on(engine, database))[Operation.CHECK].is_urgent
        assert await survey_of(engine, database) == (None, "today")


async def survey_of(engine: Engine, database: MySqlDatabase) -> tuple[SurveyCause | None, str]:
    """Its most urgent cause, and what the fleet says of its checks."""
    entry = TargetEntry(name="shop", url=database.url)
    (survey,) = [one.survey async for one in engine.survey([entry], refresh=True)]
    return survey.reason.cause if survey.reason is not None else None, check_age(survey, now())


@pytest.mark.parametrize(("engine", "suffix"), [("MyISAM", "MY"), ("Aria TRANSACTIONAL = 0", "MA")])
async def test_a_server_that_repairs_by_itself_is_named_and_not_made_to(
    database: MySqlDatabase, tmp_path: Path, engine: str, suffix: str
) -> None:
    recovers = database.flavor is Flavor.MARIADB
    if not recovers and suffix == "MA":
        pytest.skip("MySQL has no Aria")
    filled(database, "log", 2_000, engine=engine)
    database("FLUSH TABLES")
    files = database.server.data / database.name
    with (files / f"log.{suffix}I").open("r+b") as index:
        index.truncate(4_096 if suffix == "MY" else (files / f"log.{suffix}I").stat().st_size - 1_024)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as jobs:
        remarks = (await jobs.plan(Request(target=database.url, operations=(Operation.CHECK,)))).warnings
        assert any("repairs it by itself" in remark for remark in remarks) is recovers
        job = await checked(jobs, database)
        after = job.children[0].after or {}
        assert after["damaged_tables"] == ["log"]
        assert ("Copy the files of log before anything opens them" in str(after["remedy"])) is recovers
        assert (f"TABLE.{suffix}D-TIME.BAK" in str(after["remedy"])) is recovers
        assert after["tables"] == 1
        filled(database, "well")
        repair = (await advice_on(jobs, database))[Operation.REPAIR]
        assert ("the server repairs it when it is opened" in repair.reason) is recovers
        assert (await jobs.inspect(database.url)).facts["tables"] == 2
        for operation in (Operation.ANALYZE, Operation.REBUILD, Operation.OPTIMIZE, Operation.CHECK, Operation.REPAIR):
            options = Options(objects=("well",) if operation is not Operation.REPAIR else (), confirmed=True)
            request = Request(target=database.url, operations=(operation,), options=options)
            plan = await jobs.plan(request)
            (planned,) = plan.operations
            assert not any("repairs it by itself" in warning for warning in plan.warnings)
            if operation is not Operation.REPAIR:
                await run(jobs, request)
        assert not list(files.glob("*.BAK"))  # which a server makes that repairs by itself
        assert bool(planned.steps[0].disk_needed) is recovers  # by its files
        assert (await run(jobs, request)).status is Status.COMPLETED
    remove_backups(database)
