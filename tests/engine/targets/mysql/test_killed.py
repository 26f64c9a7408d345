"""Processes killed during an operation: nothing of it goes on, nothing is left, and the history says so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from engine import Engine, JobId, Operation, Options, Reason, Status
from engine.domain.steps import Step
from engine.store.ending_texts import format_worker_death
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.condition import undo
from engine.targets.mysql.reading.undo import ACTIVE, HELPER
from engine.targets.mysql.running import orphan_cleanup
from engine.targets.mysql.running import undo as running_undo
from engine.targets.step_execution import StepContext
from tests.engine.processes import python
from tests.engine.targets.mysql.a_session import WORKS, filled, runs, until
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.mysql.looking import looking
from tests.engine.targets.mysql.test_damage_on_record import checked, damage
from tests.engine.targets.server_session import connected, plan, run
from tests.engine.working import job_once
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer

if TYPE_CHECKING:
    from engine import ChildJob

pytestmark = LONG_ON_MYSQL


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def over(store: Path, number: int) -> ChildJob:
    """The child, when another process has seen to it."""
    async with Engine.open(store, workers=1) as engine, asyncio.timeout(60):
        (job,) = await engine.wait([number])
    return job.children[0]


async def waits_or_is_over(store: Path, number: int, seeing_to_it: asyncio.Task[ChildJob]) -> None:
    """Wait until the process that sees to a job says that a command still runs on the server, or has seen to it."""
    async with Engine.open(store) as engine:
        await job_once(
            engine,
            number,
            lambda job: seeing_to_it.done() or "still runs on the server" in str(job.children[0].progress.phase),
        )


@pytest.mark.parametrize(
    ("operation", "command", "state"),
    [
        (Operation.REBUILD, "ALTER", "altering table"),
        pytest.param(Operation.CHECK, "CHECK", "%", marks=pytest.mark.long),
    ],
)
async def test_killed_in_the_middle_it_is_ended_on_the_server_and_run_again(
    database: MySqlDatabase, store_path: Path, operation: Operation, command: str, state: str
) -> None:
    filled(database, "item", 80_000)
    with python(WORKS, store_path, database.url, operation, "item") as process:
        number = int(await process.says())
        await until(database, runs(command, state))
        process.kill()
    child = await over(store_path, number)
    assert (child.status, child.attempt) == (Status.COMPLETED, 2)
    await until(database, runs("").replace("COUNT(*)", "COUNT(*) = 0"))
    assert not list((database.server.data / database.name).glob("#sql*"))
    assert database("CHECK TABLE item QUICK")[-1][3] == "OK"


async def test_a_command_on_another_database_belongs_to_a_job_that_goes_on(
    database: MySqlDatabase, server: MySqlServer
) -> None:
    def asleep(number: int, session: pymysql.Connection[Any]) -> None:
        with session.cursor() as cursor:
            cursor.execute(f"/* dbtend store {number}.1/1 */ SELECT SLEEP(600)")

    with new_database(server) as other, database.session() as dead, other.session() as alive:
        running = [asyncio.create_task(asyncio.to_thread(asleep, *one)) for one in enumerate((dead, alive))]
        await until(database, runs("SELECT SLEEP").replace("COUNT(*)", "COUNT(*) = 2"))
        async with looking(database.url) as reader:
            (ended,) = await orphan_cleanup.end_orphans(reader, "dbtend store 0.1/2")
        still = database(runs("SELECT SLEEP").replace("COUNT(*)", "id, db"))
        for number, _ in still:
            database(f"KILL {number}")
        await asyncio.gather(*running, return_exceptions=True)
    assert [name for _, name in still] == [other.name], ended


async def test_cancelled_by_force_what_runs_on_the_server_is_ended(database: MySqlDatabase, store_path: Path) -> None:
    filled(database, "item")
    with database.session("SELECT * FROM item LIMIT 1"):
        with python(WORKS, store_path, database.url, Operation.REBUILD, "item") as process:
            number = int(await process.says())
            await until(database, runs("ALTER", "Waiting for table metadata lock"))
            async with Engine.open(store_path) as engine:
                await engine.cancel(JobId(number), force=True)
            assert await process.ended() < 0
        child = await over(store_path, number)
        await until(database, runs("").replace("COUNT(*)", "COUNT(*) = 0"))
    assert (child.status, child.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    # MySQL itself ends a statement that waits for a lock once its client is gone.
    assert any(text in str(child.error) for text in ("was ended: ALTER TABLE", "nothing of it runs any more"))


async def test_killed_in_a_repair_it_is_waited_for_and_told(database: MySqlDatabase, store_path: Path) -> None:
    filled(database, "item", engine="MyISAM")
    filled(database, "log", 2_000, engine="MyISAM")
    damage(database)
    async with Engine.open(store_path, workers=1) as engine:
        await checked(engine, database)
    database("FLUSH TABLES")
    with database.session("LOCK TABLES item READ"):
        with python(WORKS, store_path, database.url, Operation.REPAIR, "item") as process:
            number = int(await process.says())
            await until(database, runs("REPAIR"))
            process.kill()
        seeing_to_it = asyncio.create_task(over(store_path, number))
        await waits_or_is_over(store_path, number, seeing_to_it)
        # MariaDB itself ends a statement that waits for a lock once its client is gone.
        assert database.flavor is Flavor.MARIADB or database.value(runs("REPAIR"))
    child = await seeing_to_it
    assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
    assert str(child.error).startswith(format_worker_death(1))
    waited = "was waited for: REPAIR TABLE" in str(child.error)
    assert waited or (database.flavor is Flavor.MARIADB and "completed or ended on the server" in str(child.error))
    assert "a check of item found nothing wrong. Rows that the repair could not read" in str(child.error)
    assert not list((database.server.data / database.name).glob("*.BAK"))  # of another damaged table, which was read


async def test_killed_in_a_purge_what_it_left_is_named(
    database: MySqlDatabase, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if database.flavor is Flavor.MARIADB:
        assert (await plan(database.url, Operation.PURGE_UNDO)).refused
        return
    monkeypatch.setattr(running_undo, "HELPER_EMPTY_WITHIN", 0)
    filled(database, "item")
    database(f"CREATE UNDO TABLESPACE {HELPER} ADD DATAFILE '{HELPER}.ibu'")  # as of a purge that was interrupted
    async with looking(database.url) as reader:
        assert (await undo(reader)).left == (HELPER,)
    state = f"SELECT state FROM information_schema.innodb_tablespaces WHERE name = '{HELPER}'"
    with database.session("SELECT * FROM item LIMIT 1"):
        for number in range(6):  # what the session may still read stays in one of them after the other
            database(f"UPDATE item SET b = 'x{number}' WHERE id = {number + 1}")
        with python(WORKS, store_path, database.url, Operation.PURGE_UNDO) as process:
            job = int(await process.says())
            await until(database, state.replace("state", "state = 'inactive'", 1))
            process.kill()
        child = await over(store_path, job)
        assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
        assert f"undo tablespace {HELPER} was left, which another purge-undo puts right" in str(child.error)
        assert database.value(state) != ACTIVE
    assert {result.status for result in (await run(database.url, Operation.PURGE_UNDO)).values()} == {Status.COMPLETED}
    assert not database(state)


async def test_a_table_that_an_interrupted_repair_left_crashed_is_repaired(database: MySqlDatabase) -> None:
    filled(database, "item", 2_000, engine="MyISAM")
    database("FLUSH TABLES")
    with (database.server.data / database.name / "item.MYI").open("r+b") as index:
        index.truncate(4_096)
    effect = {"method": "repair", "table": "item"}
    earlier = Step(number=1, attempt=1, object="item", command="", status=Status.FAILED, started_at=0, effect=effect)
    async with connected(database.url) as session:
        recovery = await session.recover([earlier], Options(), StepContext())
    assert recovery.is_well
    assert "item was left crashed, and is repaired" in recovery.found
    assert database.value("SELECT COUNT(*) FROM item") == 2_000
    for backup in (database.server.data / database.name).glob("*.BAK"):  # MariaDB has made it
        backup.unlink()


async def test_an_attempt_waits_for_one_of_another_store_and_for_its_commands(database: MySqlDatabase) -> None:
    filled(database, "item")
    async with asyncio.timeout(60), connected(database.url, name="one 1/1") as first:
        await first.lock()
        (step,) = (await first.plan(Operation.REBUILD, Options())).steps
        await first.execute(step, StepContext())
        async with connected(database.url, lock_timeout=0.3, name="two 1/1") as second:
            with pytest.raises(Exception, match="is being worked on by connection"):
                await second.lock()
    async with connected(database.url, lock_timeout=5, name="two 1/1") as second:
        await second.lock()
