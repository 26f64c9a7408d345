"""Steps wait for others: for threads that run, for a query, and for replicas, which keep what is not theirs."""

from __future__ import annotations

import asyncio
import socket

import pytest

from engine import Operation, Options, ServerOptions, Status
from engine.domain.steps import WaitsFor
from engine.targets.mysql.connection.server import Flavor
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import filled
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import NO_SERVER, MySqlServer, running_server

USER = "joe"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def networked(port: int) -> tuple[str, ...]:
    return "--skip-networking=0", "--bind-address=127.0.0.1", f"--port={port}"


async def test_a_step_waits_while_the_query_says_so(database: MySqlDatabase) -> None:
    filled(database, "item")
    database("CREATE TABLE busy (a INT)", "INSERT INTO busy VALUES (1)")
    busy = ServerOptions(pause_while=f"SELECT COUNT(*) AS n FROM {database.name}.busy")
    options = Options(objects=("item",), server=busy)
    async with asyncio.timeout(30), connected(database.url) as session:
        (step,) = (await session.plan(Operation.ANALYZE, options)).steps
        told = Told()
        running = asyncio.create_task(session.execute(step, StepContext(report=told)))
        await told.something.wait()
        assert told.all[0].waits_for is WaitsFor.LOAD
        database("DELETE FROM busy")
        assert (await running).status is Status.COMPLETED


@pytest.mark.parametrize("query", ["DROP TABLE item", "SELECT * FROM nothing", "SELECT 1 AS a; SELECT 2", "DO 1"])
async def test_a_query_that_is_none_is_refused_before_it_runs(database: MySqlDatabase, query: str) -> None:
    filled(database, "item")
    refused = (await plan(database.url, Operation.ANALYZE, ServerOptions(pause_while=query))).refused
    assert (refused or "").startswith("--pause-while failed: ")
    assert database.value("SELECT COUNT(*) FROM item") == 100


async def test_a_query_that_gives_no_number_fails_the_step(database: MySqlDatabase) -> None:
    filled(database, "item")
    results = await run(database.url, Operation.ANALYZE, ServerOptions(pause_while="SELECT 'many' AS a"))
    assert "--pause-while failed: it gives many" in (results["item"].error or "")


async def test_own_threads_do_not_count_as_running(database: MySqlDatabase) -> None:
    filled(database, "item")
    results = await run(database.url, Operation.ANALYZE, ServerOptions(max_running=50))
    assert results["item"].status is Status.COMPLETED


async def test_replicas_are_asked_for_their_delay_and_not_given_what_is_no_work_of_theirs(server: MySqlServer) -> None:
    if server.flavor is not Flavor.MARIADB:
        pytest.skip("one flavor is enough: " + NO_SERVER[Flavor.MARIADB])
    program, port, port_there = server.program, free_port(), free_port()
    binlog = ("--log-bin=bin", "--server-id=1")
    there = ("--server-id=2", "--log-bin=bin", "--report-host=127.0.0.1", f"--report-port={port_there}")
    with (
        running_server(server.flavor, program, (*networked(port), *binlog)) as source,
        running_server(server.flavor, program, (*networked(port_there), *there)) as replica,
        new_database(source) as database,
    ):
        account = f"{USER}@127.0.0.1"
        database(f"CREATE USER {account}", f"GRANT ALL ON *.* TO {account}")
        filled(database, "item")
        with replica.admin() as admin, admin.cursor() as cursor:
            cursor.execute(
                f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='{USER}',"
                " MASTER_USE_GTID=slave_pos, MASTER_SSL_VERIFY_SERVER_CERT=0"
            )
            cursor.execute("START SLAVE")
        on_replica = MySqlDatabase(replica, "mysql")
        on_replica.wait_for(f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = '{database.name}'")
        url = f"mariadb://{USER}@127.0.0.1:{port}/{database.name}?ssl-mode=DISABLED"
        polite = ServerOptions(max_delay=60.0)
        assert (await run(url, Operation.REBUILD, polite))["item"].status is Status.COMPLETED
        position = database.value("SELECT @@gtid_binlog_pos")
        quiet = ServerOptions(no_binlog=True)
        for operation in (Operation.REBUILD, Operation.ANALYZE):
            assert (await run(url, operation, quiet))["item"].status is Status.COMPLETED
        assert database.value("SELECT @@gtid_binlog_pos") == position

        there_url = f"mariadb://{USER}@127.0.0.1:{port_there}/{database.name}?ssl-mode=DISABLED"
        refused = (await plan(there_url, Operation.ANALYZE)).refused
        assert "--no-binlog" in (refused or "")
        assert (await run(there_url, Operation.ANALYZE, quiet))["item"].status is Status.COMPLETED

        on_replica("STOP SLAVE SQL_THREAD")
        async with asyncio.timeout(30), connected(url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options(server=polite))).steps
            told, cancel = Told(), asyncio.Event()
            running = asyncio.create_task(session.execute(step, StepContext(report=told, cancel=cancel)))
            await told.something.wait()
            assert "does not replicate" in told.phases[0]
            cancel.set()
            assert (await running).status is Status.CANCELLED
        on_replica.admin.close()
