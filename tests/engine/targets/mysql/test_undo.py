"""Undo tablespaces are emptied by what the plan shows, and what a purge leaves is removed or named."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from engine import Operation, Options, Status
from engine.domain.steps import Step
from engine.inspection.inspector import inspect
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.undo_steps import MAKE_HELPER, inactivate, plan_purge
from engine.targets.mysql.reading.undo import ACTIVE, HELPER, UndoSpace
from engine.targets.mysql.running import undo
from engine.targets.mysql.running.undo import HELPER_EMPTY_WITHIN, UNKNOWN_LEFT
from engine.targets.mysql.session import MySqlSession
from engine.targets.plans import OperationPlan
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import a_user, filled, until, waits
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.mysql_databases import MySqlDatabase
from tests.waiting import eventually

STATES: Final = "SELECT name, state FROM information_schema.innodb_tablespaces WHERE space_type = 'Undo' ORDER BY name"
FIRST: Final = "innodb_undo_001"


async def test_undo_tablespaces_are_emptied_and_active_again(database: MySqlDatabase) -> None:
    planned = await plan(database.url, Operation.PURGE_UNDO)
    offered = {one.operation: one for one in (await inspect(database.url)).operations}
    assert offered[Operation.PURGE_UNDO].by_server is (database.flavor is Flavor.MARIADB)
    if database.flavor is Flavor.MARIADB:
        assert "SET GLOBAL innodb_undo_log_truncate = ON" in (planned.refused or "")
        database("SET GLOBAL innodb_undo_log_truncate = ON")
        planned = await plan(database.url, Operation.PURGE_UNDO)
        assert "larger than 10.5 MB" in (planned.not_needed or "")
        database("SET GLOBAL innodb_undo_log_truncate = OFF")
        return
    before = database(STATES)
    database("CREATE UNDO TABLESPACE more_undo ADD DATAFILE 'more_undo.ibu'")
    database("ALTER UNDO TABLESPACE more_undo SET INACTIVE")
    results = await run(database.url, Operation.PURGE_UNDO)
    assert {result.status for result in results.values()} == {Status.COMPLETED}
    assert ("more_undo", "active") in database(STATES)
    database("ALTER UNDO TABLESPACE more_undo SET INACTIVE")
    database.wait_for(f"SELECT state = 'empty' FROM ({STATES}) AS s WHERE name = 'more_undo'")
    database("DROP UNDO TABLESPACE more_undo")
    assert database(STATES) == before


async def test_without_the_rights_the_plan_names_the_grant(database: MySqlDatabase) -> None:
    with a_user(database, "ALL") as url:
        if database.flavor is Flavor.MARIADB:  # there is nothing to run, whatever the rights
            assert "SET GLOBAL innodb_undo_log_truncate = ON" in ((await plan(url, Operation.PURGE_UNDO)).refused or "")
            return
        for privilege in ("PROCESS", "CREATE TABLESPACE"):
            refused = (await plan(url, Operation.PURGE_UNDO)).refused or ""
            assert privilege in refused
            database(f"GRANT {privilege} ON *.* TO joe_{database.name}@localhost")
        planned = await plan(url, Operation.PURGE_UNDO)
        assert planned.refused is None
        database("CREATE UNDO TABLESPACE more_undo ADD DATAFILE 'more_undo.ibu'")
        database("ALTER UNDO TABLESPACE more_undo SET INACTIVE")
        results = await run(url, Operation.PURGE_UNDO)
        assert {result.status for result in results.values()} == {Status.COMPLETED}
        database("ALTER UNDO TABLESPACE more_undo SET INACTIVE")
        database.wait_for(f"SELECT state = 'empty' FROM ({STATES}) AS s WHERE name = 'more_undo'")
        database("DROP UNDO TABLESPACE more_undo")


def _purge_of_the_first() -> OperationPlan:
    """As if one of two tablespaces were large."""
    return plan_purge([UndoSpace(FIRST, ACTIVE, 10**9), UndoSpace("innodb_undo_002", ACTIVE, 0)])


def _needs_mysql(database: MySqlDatabase) -> None:
    if database.flavor is Flavor.MARIADB:
        pytest.skip("MariaDB has no command to purge undo tablespaces")


async def test_a_purge_runs_what_its_plan_shows(database: MySqlDatabase) -> None:
    _needs_mysql(database)
    before = database(STATES)
    planned = _purge_of_the_first()
    database("SET GLOBAL log_output = 'TABLE'", "TRUNCATE mysql.general_log", "SET GLOBAL general_log = ON")
    try:
        async with connected(database.url) as session:
            result = await session.running(planned, Options()).execute(planned.steps[0], StepContext())
    finally:
        database("SET GLOBAL general_log = OFF", "SET GLOBAL log_output = 'FILE'")
    assert (result.status, result.warnings) == (Status.COMPLETED, ())
    ran = database("SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log ORDER BY event_time")
    assert "; ".join(text for (text,) in ran if "UNDO TABLESPACE" in text) == planned.steps[0].command
    assert database(STATES) == before


@pytest.mark.parametrize("within", [HELPER_EMPTY_WITHIN, 0])
async def test_a_purge_that_is_cancelled_leaves_no_helper_or_names_it(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch, within: float
) -> None:
    """`within`: seconds that the helper may take to become empty."""
    _needs_mysql(database)
    filled(database, "item")
    monkeypatch.setattr(undo, "HELPER_EMPTY_WITHIN", within)
    before = database(STATES)
    planned = _purge_of_the_first()
    cancel, told = asyncio.Event(), Told()
    async with asyncio.timeout(60), connected(database.url) as session:
        with database.session("SELECT * FROM item LIMIT 1") as reads:
            # What the session may still read stays in one tablespace after the other.
            update = "UPDATE item SET b = 'x{0}' WHERE id = {0}"
            database(*map(update.format, range(1, 7)))
            running = session.running(planned, Options())
            ended = asyncio.create_task(running.execute(planned.steps[0], StepContext(cancel=cancel, report=told)))
            await told.something.wait()
            number = reads.thread_id()  # type: ignore[no-untyped-call]
            oldest = f"; the oldest: connection {number} (root@localhost), in a transaction"
            await eventually(lambda: any(oldest in one for one in told.phases))  # the server's list is old at first
            database(*map(update.format, range(7, 13)))
            cancel.set()
            if within:
                await until(database, f"SELECT state = '{ACTIVE}' FROM ({STATES}) AS s WHERE name = '{FIRST}'")
                reads.close()
            result = await ended
        assert result.status is Status.CANCELLED
        if within:
            assert (result.left, database(STATES)) == ("the undo tablespaces are unchanged", before)
            return
        assert (HELPER, ACTIVE) not in database(STATES)
        assert result.left == f"undo tablespace {HELPER} was left, which another purge-undo puts right"
    results = await run(database.url, Operation.PURGE_UNDO)
    assert [result.status for result in results.values()] == [Status.COMPLETED]
    assert database(STATES) == before


async def test_r32_a_purge_that_waits_for_a_backup_is_cancelled(database: MySqlDatabase) -> None:
    _needs_mysql(database)
    before, cancel, planned = database(STATES), asyncio.Event(), _purge_of_the_first()
    async with asyncio.timeout(60), connected(database.url, lock_timeout=3600) as session:
        running = session.running(planned, Options())
        with database.session("LOCK INSTANCE FOR BACKUP"):
            ended = asyncio.create_task(running.execute(planned.steps[0], StepContext(cancel=cancel)))
            await until(database, waits("CREATE UNDO", "Waiting for backup lock"))
            cancel.set()
            result = await ended
    assert result.status is Status.CANCELLED
    assert database(STATES) == before


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_a_purge_needs_no_other_connection_to_end_well(database: MySqlDatabase, *, is_cancelled: bool) -> None:
    """The one that reads the catalog is ended while it runs, and the account gets no other."""
    _needs_mysql(database)
    filled(database, "item")
    before, planned, user = database(STATES), _purge_of_the_first(), f"joe_{database.name}@localhost"
    cancel, told = asyncio.Event(), Told()
    with a_user(database, "ALL") as url, database.session("SELECT * FROM item LIMIT 1") as reads:
        database(f"GRANT PROCESS, CREATE TABLESPACE ON *.* TO {user}")
        async with asyncio.timeout(60), connected(url) as session:
            assert isinstance(session.session, MySqlSession)
            number = session.session._reader.server.connection_id
            database(*(f"UPDATE item SET b = 'x{row}' WHERE id = {row}" for row in range(1, 7)))
            running = session.running(planned, Options())
            ended = asyncio.create_task(running.execute(planned.steps[0], StepContext(cancel=cancel, report=told)))
            await told.something.wait()
            database(f"ALTER USER {user} ACCOUNT LOCK", f"KILL {number}")
            database.wait_for(f"SELECT COUNT(*) = 0 FROM information_schema.processlist WHERE id = {number}")
            if is_cancelled:
                cancel.set()
                await until(database, f"SELECT state = '{ACTIVE}' FROM ({STATES}) AS s WHERE name = '{FIRST}'")
            reads.close()
            result = await ended
    ends = (Status.CANCELLED, UNKNOWN_LEFT) if is_cancelled else (Status.COMPLETED, "")
    assert (result.status, result.left, result.error) == (*ends, None)
    assert database(STATES) == before


async def test_what_a_purge_of_a_dead_process_left_is_put_right(database: MySqlDatabase) -> None:
    _needs_mysql(database)
    before = database(STATES)
    database(MAKE_HELPER, inactivate(FIRST))
    effect = {"method": "purge_undo", "tablespace": FIRST}
    earlier = Step(number=1, attempt=1, object=FIRST, command="", status=Status.FAILED, started_at=0, effect=effect)
    async with connected(database.url) as session:
        recovery = await session.recover([earlier], Options(), StepContext())
    assert (recovery.is_well, recovery.found) == (True, f"undo tablespace {FIRST} is active again")
    assert database(STATES) == before
