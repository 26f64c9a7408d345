"""Work is kept out of the binary log, and what the user has no right to is refused before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engine import Engine, Operation, Options, Reason, Request, ServerOptions, Status
from engine.targets.mysql.connection.server import Flavor
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import a_user, filled, grant_in
from tests.engine.targets.server_session import connected, plan, run
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer

QUIET: Final = ServerOptions(no_binlog=True)
POSITION: Final = {Flavor.MARIADB: "SHOW MASTER STATUS", Flavor.MYSQL: "SHOW BINARY LOG STATUS"}


async def test_a_rebuild_outside_the_binary_log_needs_a_right_and_the_plan_says_which(own_server: MySqlServer) -> None:
    with own_server.running("--log-bin=bin", "--server-id=1"), new_database(own_server) as database:
        filled(database, "item")
        filled(database, "log", engine="MyISAM")
        with a_user(database, "ALL") as url:
            position = database(POSITION[database.flavor])
            for operation, objects in ((Operation.ANALYZE, ()), (Operation.CHECK, ()), (Operation.REPAIR, ("log",))):
                results = await run(url, operation, QUIET, objects=objects)
                assert {one.status for one in results.values()} == {Status.COMPLETED}
            assert position == database(POSITION[database.flavor])
            refused = (await plan(url, Operation.REBUILD, QUIET, objects=("item",))).refused
            database(grant_in(refused))
            position = database(POSITION[database.flavor])
            results = await run(url, Operation.REBUILD, QUIET, objects=("item",))
            assert {one.status for one in results.values()} == {Status.COMPLETED}
            assert position == database(POSITION[database.flavor])


async def test_a_right_that_is_taken_away_refuses_the_steps_and_loses_no_server(database: MySqlDatabase) -> None:
    filled(database, "item")
    with a_user(database, "ALL") as url:
        grant = grant_in((await plan(url, Operation.REBUILD, QUIET)).refused)
        database(grant)
        async with connected(url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options(server=QUIET))).steps
            database(grant.replace("GRANT ", "REVOKE ").replace(" TO ", " FROM "))
            result = await session.execute(step, StepContext())
    assert (result.status, result.reason, result.never_began) == (Status.SKIPPED, Reason.REFUSED, True)
    assert grant in result.stop_reason


async def test_a_job_without_the_right_is_refused(database: MySqlDatabase, tmp_path: Path) -> None:
    filled(database, "item")
    with a_user(database, "ALL") as url:
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            request = Request(target=url, operations=(Operation.REBUILD,), options=Options(server=QUIET))
            (job,) = await engine.wait([job.id for job in await engine.submit([request])])
    (child,) = job.children
    assert (child.status, child.reason) == (Status.FAILED, Reason.REFUSED)
    assert grant_in(child.error)
