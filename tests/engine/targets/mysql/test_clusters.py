"""Maintenance on real clusters of two servers: what reaches the other one, what can be cancelled, who is refused."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from engine import Operation, Options, ServerOptions, Status
from engine.domain.errors import ServerStartingError, TargetRefusedError
from engine.domain.statuses import Reason
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.running.orphan_cleanup import end_orphans
from engine.targets.step_execution import NOTHING_CHANGED, StepContext, StepResult
from tests.engine.targets.mysql.a_session import filled, runs, until
from tests.engine.targets.mysql.looking import looking
from tests.engine.targets.mysql.test_advice import advice_on, sparse
from tests.engine.targets.server_session import connected, plan, run
from tests.mysql_clusters import status, two_servers, wait_for_status
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer

pytestmark = pytest.mark.long

ALONE = ServerOptions(no_binlog=True)
BEHIND = ServerOptions(
    pause_while="SELECT COUNT(*) FROM performance_schema.replication_group_member_stats"
    " WHERE count_transactions_remote_in_applier_queue > 1000"
)
"""As the documentation has it."""
TABLE_ID = {
    Flavor.MARIADB: "SELECT table_id FROM information_schema.innodb_sys_tables WHERE name = '{}/item'",
    Flavor.MYSQL: "SELECT table_id FROM information_schema.innodb_tables WHERE name = '{}/item'",
}
"""Another one after each rebuild."""


def on(server: MySqlServer, database: MySqlDatabase, query: str) -> object:
    with server.admin(database.name) as admin, admin.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchall()


async def who_rebuilds(
    database: MySqlDatabase, servers: tuple[MySqlServer, MySqlServer], in_step: Callable[[], None], **options: object
) -> list[bool]:
    """Whether each of the servers rebuilds the table."""
    query = TABLE_ID[database.flavor].format(database.name)
    await asyncio.to_thread(in_step)
    before = [on(server, database, query) for server in servers]
    results = await run(database.url, Operation.REBUILD, **options)  # type: ignore[arg-type]
    assert {result.status for result in results.values()} == {Status.COMPLETED}
    await asyncio.to_thread(in_step)
    return [on(server, database, query) != one for server, one in zip(servers, before, strict=True)]


async def test_a_galera_cluster() -> None:
    with two_servers(Flavor.MARIADB) as (first, second), new_database(first) as database:
        filled(database, "item", 80_000)
        refused = (await plan(database.url, Operation.REBUILD)).refused or ""
        assert "total order isolation" in refused
        assert "--no-binlog" in refused

        def in_step() -> None:
            wait_for_status(second, "wsrep_last_committed", status(first, "wsrep_last_committed"))

        assert await who_rebuilds(database, (first, second), in_step, force=True) == [True, True]
        assert await who_rebuilds(database, (first, second), in_step, server=ALONE) == [True, False]
        await check_advice(database)
        await check_statistics_stay_on_the_node(database)
        await check_cancel(database)
        await check_a_dead_attempt(database)
        await check_transactions_of_others(database)
        await check_a_node_that_lost_the_majority(database, second)


async def check_advice(database: MySqlDatabase) -> None:
    database(*sparse("sparse"))
    rebuild = (await advice_on(database))[Operation.REBUILD]
    assert not rebuild.is_needed
    assert rebuild.obstacles
    assert not (await plan(database.url, Operation.OPTIMIZE)).steps
    one_by_one = await plan(database.url, Operation.OPTIMIZE, ALONE)
    assert [step.object for step in one_by_one.steps] == ["sparse"]
    database("DROP TABLE sparse")


async def check_statistics_stay_on_the_node(database: MySqlDatabase) -> None:
    filled(database, "log", engine="MyISAM")
    before = status(database.server, "wsrep_last_committed")
    for operation in (Operation.ANALYZE, Operation.CHECK):
        assert (await run(database.url, operation))["item"].status is Status.COMPLETED
    repaired = await run(database.url, Operation.REPAIR, objects=("log",), confirmed=True)
    assert repaired["log"].status is Status.COMPLETED
    assert status(database.server, "wsrep_last_committed") == before
    database("DROP TABLE log")


async def cancelled_in_the_middle(database: MySqlDatabase, options: Options) -> StepResult:
    async with asyncio.timeout(60), connected(database.url) as session:
        (step,) = (await session.plan(Operation.REBUILD, options)).steps
        cancel = asyncio.Event()
        running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel)))
        await until(database, runs("ALTER", "altering table"))
        cancel.set()
        return await running


async def check_cancel(database: MySqlDatabase) -> None:
    assert (await cancelled_in_the_middle(database, Options(force=True))).status is Status.COMPLETED
    result = await cancelled_in_the_middle(database, Options(server=ALONE))
    assert (result.status, result.left) == (Status.CANCELLED, NOTHING_CHANGED)
    assert not list((database.server.data / database.name).glob("#sql*"))
    await asyncio.to_thread(wait_for_status, database.server, "wsrep_local_state_comment", "Synced")


async def check_a_dead_attempt(database: MySqlDatabase) -> None:
    """Its rebuild on all nodes cannot be stopped, and is waited for."""
    rebuild, said = "ALTER TABLE item FORCE, ALGORITHM=INPLACE, LOCK=NONE", list[str]()
    with database.session() as dead, dead.cursor() as cursor:
        running = asyncio.create_task(asyncio.to_thread(cursor.execute, f"/* dbtend store 1.1/1 */ {rebuild}"))
        await until(database, runs("ALTER", "altering table"))
        async with looking(database.url) as reader:
            (ended,) = await end_orphans(reader, "dbtend store 1.1/2", lambda why, *_: said.append(why))
        await running
    assert ended.endswith(f"was waited for: {rebuild}")
    assert rebuild in said[0]


async def check_transactions_of_others(database: MySqlDatabase) -> None:
    with database.session("SELECT * FROM item LIMIT 1") as other, other.cursor() as cursor:
        assert (await run(database.url, Operation.REBUILD, ALONE))["item"].reason is Reason.TARGET_BUSY
        cursor.execute("SELECT COUNT(*) FROM item")
        async with connected(database.url) as session:
            planned = await session.plan(Operation.REBUILD, Options(force=True))
            assert any("rolls back the transactions" in warning for warning in planned.warnings)
            assert not await session.find_blockers(has_window=False)
            (step,) = planned.steps
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        with pytest.raises(Exception, match="Deadlock"):
            cursor.execute("SELECT COUNT(*) FROM item")


async def check_a_node_that_lost_the_majority(database: MySqlDatabase, second: MySqlServer) -> None:
    assert second.process is not None
    async with connected(database.url) as session:
        (step,) = (await session.plan(Operation.ANALYZE, Options())).steps
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED
        second.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.to_thread(wait_for_status, database.server, "wsrep_ready", "OFF")
            result = await session.execute(step, StepContext())
            assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
            assert "not in step with its Galera cluster" in (result.error or "")
            with pytest.raises(ServerStartingError, match="not in step with its Galera cluster"):
                await plan(database.url, Operation.ANALYZE)
            database("SET GLOBAL wsrep_provider_pc_bootstrap = ON")
            await asyncio.to_thread(wait_for_status, database.server, "wsrep_ready", "ON")
            assert (await run(database.url, Operation.ANALYZE))["item"].status is Status.COMPLETED
        finally:
            second.process.send_signal(signal.SIGCONT)


async def test_group_replication() -> None:
    with two_servers(Flavor.MYSQL) as (first, second):
        other = MySqlDatabase(second, "mysql")
        with new_database(first) as database:
            database("START GROUP_REPLICATION")
            filled(database, "item")
            database("CREATE USER joe IDENTIFIED BY 'joe'", "GRANT REPLICATION SLAVE, BACKUP_ADMIN ON *.* TO joe")
            await check_a_secondary(database, other)

            def in_step() -> None:
                executed = database.value("SELECT @@gtid_executed")
                other.wait_for(f"SELECT GTID_SUBSET('{executed}', @@gtid_executed)")

            refused = (await plan(database.url, Operation.REBUILD)).refused or ""
            assert "every member repeats" in refused
            assert await who_rebuilds(database, (first, second), in_step, force=True) == [True, True]
            assert await who_rebuilds(database, (first, second), in_step, server=ALONE) == [True, False]
            assert (await run(database.url, Operation.ANALYZE, BEHIND))["item"].status is Status.COMPLETED
            there = second.url(database.name)
            assert (await run_check(there)).status is Status.COMPLETED
            other("STOP GROUP_REPLICATION")
        other.admin.close()


async def run_check(url: str) -> StepResult:
    async with connected(url, writing=False) as session:
        (step,) = (await session.plan(Operation.CHECK, Options())).steps
        return await session.execute(step, StepContext())


async def check_a_secondary(database: MySqlDatabase, other: MySqlDatabase) -> None:
    """Refused while it recovers, which it cannot without a user for that, and afterwards."""
    members = "performance_schema.replication_group_members"
    state = f"SELECT member_state = '{{}}' FROM {members} WHERE member_id = @@server_uuid"
    other("START GROUP_REPLICATION")
    for state_now in ("RECOVERING", "ONLINE"):
        await until(other, state.format(state_now))
        with pytest.raises(TargetRefusedError) as refused:
            await plan(other.server.url("mysql"), Operation.ANALYZE)
        assert refused.value.hint == "give the primary of its replication group"
        if state_now == "RECOVERING":
            other("STOP GROUP_REPLICATION", "SET GLOBAL group_replication_recovery_get_public_key = ON",
                  "START GROUP_REPLICATION USER='joe', PASSWORD='joe'")  # fmt: skip
