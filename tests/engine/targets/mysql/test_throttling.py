"""Steps wait for others: for threads that run, for a query, and for replicas, which keep what is not theirs."""

from __future__ import annotations

import asyncio
import re
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import pytest

from engine import Operation, Options, Reason, ServerOptions, Status
from engine.domain.errors import TargetError
from engine.domain.steps import WaitsFor
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading import load_query
from engine.targets.mysql.session import MySqlSession
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import a_user, filled, grant_in
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.server_session import Told, connected, plan, run
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_replicas import replica_of
from tests.mysql_server import MySqlServer
from tests.waiting import eventually

pytestmark = LONG_ON_MYSQL


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


WRITES: Final = (
    "DELETE FROM item",
    "INSERT INTO unsafe VALUES (1)",
    "SET SESSION transaction_read_only = 0",
)
"""What a function that a query calls may try."""


@pytest.mark.parametrize("write", WRITES)
async def test_r33_a_query_writes_nothing_by_a_function(database: MySqlDatabase, write: str) -> None:
    filled(database, "item")
    is_mariadb = "mariadb" in database.value("SELECT LOWER(CONCAT(VERSION(), @@version_comment))")
    if is_mariadb:
        write = write.replace("transaction_read_only", "tx_read_only")
    database(
        "SET GLOBAL log_bin_trust_function_creators = 1",
        "CREATE TABLE unsafe (a INT) ENGINE=MyISAM",
        "CREATE FUNCTION deed() RETURNS INT READS SQL DATA BEGIN DELETE FROM item; RETURN 0; END",
        f"CREATE FUNCTION load_now() RETURNS INT READS SQL DATA BEGIN {write}; RETURN 0; END",
    )
    for _ in range(2):
        await run(database.url, Operation.ANALYZE, ServerOptions(pause_while=f"SELECT {database.name}.load_now() AS n"))
        await run(database.url, Operation.ANALYZE, ServerOptions(pause_while=f"SELECT {database.name}.deed() AS n"))
    assert database.value("SELECT COUNT(*) FROM item") == 100
    assert database.value("SELECT COUNT(*) FROM unsafe") == 0


@pytest.mark.parametrize("call", ["NEXTVAL({})", "SETVAL({}, 100)", "NEXT VALUE FOR {}"])
async def test_r33_a_query_draws_no_number_of_a_sequence(database: MySqlDatabase, call: str) -> None:
    filled(database, "item")
    if "mariadb" not in database.value("SELECT LOWER(CONCAT(VERSION(), @@version_comment))"):
        pytest.skip("MySQL has no sequences")
    database("CREATE SEQUENCE numbers")
    query = f"SELECT 0 * {call.format(f'{database.name}.numbers')} AS n"
    await run(database.url, Operation.ANALYZE, ServerOptions(pause_while=query))
    assert database.value("SELECT next_not_cached_value FROM numbers") == 1


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1) AS a UNION SELECT 2 INTO OUTFILE '{file}' FROM (SELECT 3",
        "SELECT 1) AS a UNION SELECT 2 INTO DUMPFILE '{file}' FROM (SELECT 3",
        "SELECT 1 AS a INTO OUTFILE '{file}'",
        "SELECT 1) AS a INTO OUTFILE '{file}' #",
        "SELECT 1) AS a INTO OUTFILE '{file}' /*",
    ],
)
async def test_r33_a_query_writes_no_file_past_its_brackets(database: MySqlDatabase, query: str) -> None:
    filled(database, "item")
    directory = database.value("SELECT @@datadir")
    file = f"{directory}{database.name}_stolen"
    query = query.format(file=file)
    refused = (await plan(database.url, Operation.ANALYZE, ServerOptions(pause_while=query))).refused
    assert (refused or "").startswith("--pause-while failed: ")
    async with connected(database.url) as session:
        reader = cast("MySqlSession", session)._reader
        with pytest.raises(TargetError, match="--pause-while failed: "):
            await load_query.ask(reader, query)
    assert not Path(file).exists()


async def test_own_threads_do_not_count_as_running(database: MySqlDatabase) -> None:
    filled(database, "item")
    results = await run(database.url, Operation.ANALYZE, ServerOptions(max_running=50))
    assert results["item"].status is Status.COMPLETED


POSITION: Final = {Flavor.MARIADB: "SELECT @@gtid_binlog_pos", Flavor.MYSQL: "SELECT @@gtid_executed"}


async def test_replicas_are_asked_for_their_delay_and_not_given_what_is_no_work_of_theirs(
    own_server: MySqlServer,
) -> None:
    source = own_server
    with replica_of(source) as replica, new_database(source) as database:
        filled(database, "item")
        replica.follow(database)
        replica.database.wait_for(f"SELECT COUNT(*) FROM {database.name}.item")
        url, there = (replica.url(server, database.name) for server in (source, replica.server))
        polite, quiet = ServerOptions(max_delay=0.5), ServerOptions(no_binlog=True)
        assert (await run(url, Operation.REBUILD, polite))["item"].status is Status.COMPLETED
        position = database.value(POSITION[source.flavor])
        assert position
        for operation in (Operation.REBUILD, Operation.ANALYZE):
            assert (await run(url, operation, quiet))["item"].status is Status.COMPLETED
        assert position == database.value(POSITION[source.flavor])
        assert "--no-binlog" in ((await plan(there, Operation.ANALYZE)).refused or "")
        assert (await run(there, Operation.ANALYZE, quiet))["item"].status is Status.COMPLETED

        replica.set_delay(3600)
        database("DELETE FROM item WHERE id = 1")
        async with asyncio.timeout(60), connected(url) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options(server=polite))).steps
            await asyncio.to_thread(replica.wait_until_late)
            told, cancel = Told(), asyncio.Event()
            running = asyncio.create_task(session.execute(step, StepContext(report=told)))
            await told.something.wait()
            assert re.search(r"behind \(limit .*delayed by 1h on purpose .*--ignore-standby 127", told.phases[0])
            name = f"127.0.0.1:{replica.server.port}"
            (warning,) = (await plan(url, Operation.ANALYZE, polite)).warnings
            assert f"--ignore-standby {name}" in warning
            ignores = replace(polite, ignored_standbys=(name,))
            assert (await plan(url, Operation.ANALYZE, ignores)).warnings == ()
            assert (await run(url, Operation.ANALYZE, ignores))["item"].status is Status.COMPLETED
            replica.set_delay(0)
            assert (await running).status is Status.COMPLETED
            replica.stop_applying()
            told = Told()
            running = asyncio.create_task(session.execute(step, StepContext(report=told, cancel=cancel)))
            await told.something.wait()
            assert "does not replicate" in told.phases[0]
            replica.server.stop(signal.SIGKILL)
            await eventually(lambda: running.done() or "cannot be asked" in told.phases[-1])
            assert not running.done(), running
            cancel.set()
            assert (await running).status is Status.CANCELLED


async def test_who_may_not_see_the_replicas_is_refused_with_the_grant(database: MySqlDatabase) -> None:
    filled(database, "item")
    polite = ServerOptions(max_delay=5)
    with a_user(database, "ALL") as url:
        refused = (await plan(url, Operation.ANALYZE, polite)).refused
        assert "report_host" not in (refused or "")
        grant = grant_in(refused)
        database(grant)
        assert (await run(url, Operation.ANALYZE, polite))["item"].status is Status.COMPLETED
        async with connected(url) as session:
            (step,) = (await session.plan(Operation.ANALYZE, Options(server=polite))).steps
            database(grant.replace("GRANT ", "REVOKE ").replace(" TO ", " FROM "), f"KILL {sessions_of(database)}")
            result = await session.execute(step, StepContext())
        assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
        assert grant in (result.error or "")


def sessions_of(database: MySqlDatabase) -> int:
    """The id of the connection of the user of `a_user`: once it ends, the next one has the new rights."""
    return int(database.value(f"SELECT id FROM information_schema.processlist WHERE user = 'joe_{database.name}'"))
