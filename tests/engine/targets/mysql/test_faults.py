"""Servers that are full, strict or gone: a step says why it fails, and later steps work."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from engine import Operation, Options, ServerOptions, Status
from engine.domain.advice import TargetHistory
from engine.domain.errors import TargetRefusedError, TooManyConnectionsError
from engine.domain.requests import CheckLevel
from engine.domain.statuses import Reason
from engine.targets import connection_pool, resolve
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading import condition
from engine.targets.mysql.running.operation import CONNECTION_ENDED
from engine.targets.mysql.running.progress import DISK_IS_FULL
from engine.targets.step_execution import NOTHING_CHANGED, StepContext, StepProgress
from tests.engine.targets.mysql.a_session import a_user, filled, runs, until
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.server_session import connected, plan, run
from tests.engine.targets.sqlite.small_disks import can_mount
from tests.mysql_clusters import member, require
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.slow_lines import slow_line

pytestmark = LONG_ON_MYSQL

CRASHED = "the table may be crashed: run repair again"
CHANGING = (Operation.ANALYZE, Operation.REBUILD)


@pytest.mark.skipif(os.geteuid() != 0 or not can_mount(), reason="only root may mount a small file system")
async def test_a_disk_that_is_full_fails_the_step_in_words_and_gives_its_space_back(own_server: MySqlServer) -> None:
    small = own_server.base / "small"
    small.mkdir()
    options = [f"--innodb-directories={small}" if own_server.flavor is Flavor.MYSQL else f"--tmpdir={small}"]
    with own_server.running(*options, small_disk=(small, "24m")), new_database(own_server) as database:
        filled(database, "item", 30_000, more=f"DATA DIRECTORY='{small}'")
        filled(database, "other")
        results = await run(database.url, Operation.REBUILD)
        full = results["item"]
        assert (full.status, full.left, results["other"].status) == (Status.FAILED, NOTHING_CHANGED, Status.COMPLETED)
        assert full.error == "the disk of the server is full. Make room, then try again"
        assert database("CHECK TABLE item")[-1][3] == "OK"
        assert not list((own_server.data / database.name).glob("#sql*"))
        if own_server.flavor is Flavor.MARIADB:  # MySQL keeps all tables of MyISAM on one disk
            database("DROP TABLE item")
            await check_repair_on_a_full_disk(database, small)


async def test_statistics_that_the_server_cannot_read_keep_no_database_from_being_tended(
    own_server: MySqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MariaDB says of `mysql.table_stats` that the disk is full, until FLUSH TABLES, if it was when it wrote that."""
    with own_server.running(), new_database(own_server) as database:
        filled(database, "item")
        database(
            "CREATE FUNCTION no_room() RETURNS int BEGIN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1021; RETURN 1; END"
        )
        failing = dict.fromkeys(("rows_with_histograms", "ages_of_histograms"), "SELECT 'item', no_room()")
        monkeypatch.setattr(condition, "query", lambda name, **values: failing.get(name) or query(name, **values))
        async with connected(database.url) as session:
            advice, _ = await session.advise(TargetHistory(now=0), budget=None)
    assert Operation.REBUILD in {one.operation for one in advice}


async def check_repair_on_a_full_disk(database: MySqlDatabase, small: Path) -> None:
    filled(database, "old", 80_000, engine="MyISAM", more=f"DATA DIRECTORY='{small}'")
    async with asyncio.timeout(90), connected(database.url) as session:
        (step,) = (await session.plan(Operation.REPAIR, Options(objects=("old",), confirmed=True))).steps
        full = asyncio.Event()

        def told(progress: StepProgress) -> None:
            if progress.phase == DISK_IS_FULL:
                full.set()

        running = asyncio.create_task(session.execute(step, StepContext(report=told)))
        await full.wait()
        (who,) = (row[0] for row in database("SHOW FULL PROCESSLIST") if "*/ REPAIR" in (row[7] or ""))
        database(f"KILL QUERY {who}")
        result = await running
    assert (result.status, result.left) == (Status.FAILED, CRASHED)
    assert "No space left on device" in (result.error or "")


async def test_a_server_of_names_in_lower_case_and_one_that_is_in_a_cluster(own_server: MySqlServer) -> None:
    require(own_server.flavor)
    with own_server.running(*member(own_server.flavor)), new_database(own_server) as database:
        await check_lower_case(database)
        await check_cluster(database)


async def check_lower_case(database: MySqlDatabase) -> None:
    database("CREATE TABLE Orders (Id INT PRIMARY KEY)", "CREATE TABLE `Odd Name` (id INT PRIMARY KEY)")
    database("INSERT INTO orders VALUES (1)")
    other_name = database.server.url(database.name.upper())
    assert await resolve(other_name).identify() == await resolve(database.url).identify()
    for operation in (*CHANGING, Operation.CHECK):
        results = await run(other_name, operation, force=True)
        assert {name: result.status for name, result in results.items()} == dict.fromkeys(
            ("orders", "`odd name`"), Status.COMPLETED
        )
        (one,) = (await plan(other_name, operation, objects=("ORDERS",), force=True)).steps
        assert one.object == "orders"


async def check_cluster(database: MySqlDatabase) -> None:
    alone = await plan(database.url, Operation.REBUILD)
    if database.flavor is Flavor.MYSQL:
        assert alone.steps  # a group that it has not joined
        database("START GROUP_REPLICATION")
    refused = (await plan(database.url, Operation.REBUILD)).refused
    assert refused is not None
    assert refused.endswith("Override: --force")
    for forced, operation in ((True, Operation.REBUILD), (False, Operation.ANALYZE)):
        results = await run(database.url, operation, force=forced)
        assert {result.status for result in results.values()} == {Status.COMPLETED}
    if database.flavor is Flavor.MYSQL:
        database("STOP GROUP_REPLICATION")
        with pytest.raises(TargetRefusedError) as left:
            await plan(database.url, Operation.ANALYZE)
        assert "read_only = OFF" not in left.value.hint
        assert "START GROUP_REPLICATION" in left.value.hint
        database("SET GLOBAL super_read_only = OFF")


async def test_steps_go_on_with_the_connections_that_the_server_gives(database: MySqlDatabase) -> None:
    for number in range(4):
        filled(database, f"item{number}")
    used = "SELECT COUNT(*) FROM information_schema.processlist WHERE command <> 'Daemon'"
    with a_user(database, "ALL") as url, ExitStack() as others:
        others.callback(database, f"SET GLOBAL max_connections = {database.value('SELECT @@max_connections')}")
        async with asyncio.timeout(60), connected(url) as session:
            planned = await session.plan(Operation.REBUILD, Options(jobs=4))
            assert planned.parallel == 4
            database("SET GLOBAL max_connections = 20")
            while database.value(used) < 18:
                others.enter_context(database.session())
            fewer = await session.plan(Operation.REBUILD, Options(jobs=4))
            assert fewer.parallel == 1
            assert "one step runs at a time instead of 4" in fewer.warnings[0]
            results = await asyncio.gather(*(session.execute(step, StepContext()) for step in planned.steps))
            assert [result.status for result in results] == [Status.COMPLETED] * 4
            (said,) = [warning for result in results for warning in result.warnings]
            assert said.startswith("fewer steps run at once than --jobs allows: the server has no connection left")
            while database.value(used) < 20:
                others.enter_context(database.session())
            with pytest.raises(TooManyConnectionsError):
                await resolve(url).identify()


async def test_a_table_without_a_primary_key_is_left_out_where_the_server_requires_one(database: MySqlDatabase) -> None:
    if database.flavor is Flavor.MARIADB:
        pytest.skip("MariaDB lets such a table be rebuilt")
    filled(database, "item")
    database("CREATE TABLE keyless (a INT NOT NULL UNIQUE)")
    async with connected(database.url) as session:
        early = {step.object: step for step in (await session.plan(Operation.REBUILD, Options())).steps}["keyless"]
    try:
        database("SET GLOBAL sql_require_primary_key = ON")
        planned = await plan(database.url, Operation.REBUILD)
        assert [step.object for step in planned.steps] == ["item"]
        assert any("keyless" in warning for warning in planned.warnings)
        named = await plan(database.url, Operation.REBUILD, objects=("keyless",), force=True)
        assert "sql_require_primary_key" in (named.refused or "")
        async with connected(database.url) as session:
            await session.plan(Operation.REBUILD, Options())
            result = await session.execute(early, StepContext())
        assert (result.status, result.reason, result.left) == (Status.FAILED, Reason.REFUSED, NOTHING_CHANGED)
        assert (result.error or "").count(".") <= 1
    finally:
        database("SET GLOBAL sql_require_primary_key = OFF")


async def test_who_does_not_see_the_sessions_of_others_cannot_give_way_to_them(database: MySqlDatabase) -> None:
    filled(database, "item")
    with a_user(database, "ALL") as url:
        polite = ServerOptions(yield_after=1)
        refused = (await plan(url, Operation.REBUILD, polite)).refused or ""
        assert refused.startswith("--yield-after failed: ")
        database(refused[refused.index("GRANT ") :].rstrip(";"))
        assert (await plan(url, Operation.REBUILD, polite)).steps


async def test_a_server_that_becomes_read_only_fails_steps_in_words(database: MySqlDatabase) -> None:
    filled(database, "item")
    with a_user(database, "ALL") as url:
        async with connected(url) as session:
            steps = [(await session.plan(operation, Options())).steps[0] for operation in CHANGING]
            try:
                database("SET GLOBAL read_only = ON")
                for step in steps:
                    result = await session.execute(step, StepContext())
                    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
                    assert result.error == "the server allows no change: it is read-only, such as a replica"
                with pytest.raises(TargetRefusedError, match="the server is read-only"):
                    async with connected(url):
                        pass
                async with connected(url, writing=False) as looking:
                    (check,) = (await looking.plan(Operation.CHECK, Options(check=CheckLevel.QUICK))).steps
                    assert (await looking.execute(check, StepContext())).status is Status.COMPLETED
            finally:
                database("SET GLOBAL read_only = OFF")


async def test_a_server_whose_innodb_is_read_only_is_inspected_and_checked_and_nothing_else(
    own_server: MySqlServer,
) -> None:
    own, url = own_server, own_server.url("frozen")
    with own.running(), own.admin() as admin, admin.cursor() as cursor:
        cursor.execute("CREATE DATABASE frozen")
        filled(MySqlDatabase(own, "frozen"), "item")
        own.stop()
    with own.running("--innodb-read-only=ON"):  # there MariaDB crashes where it is asked for tablespaces
        with pytest.raises(TargetRefusedError, match="read-only"):
            await plan(url, Operation.REBUILD)
        async with connected(url, writing=False) as session:
            advice, _ = await session.advise(TargetHistory(now=0), budget=None)
            assert {one.operation for one in advice} >= {Operation.REBUILD, Operation.PURGE_UNDO}
            (check,) = (await session.plan(Operation.CHECK, Options())).steps
            assert (await session.execute(check, StepContext())).status is Status.COMPLETED
            assert (await session.facts())["tables"] == 1
        own.stop()
    with own.running(), own.admin() as admin, admin.cursor() as cursor:
        cursor.execute("DROP DATABASE frozen")


@pytest.mark.parametrize("operation", [*CHANGING, Operation.CHECK, Operation.REPAIR])
async def test_the_grant_that_is_told_is_all_that_was_missing(database: MySqlDatabase, operation: Operation) -> None:
    filled(database, "item", engine="MyISAM" if operation is Operation.REPAIR else "InnoDB")
    with a_user(database) as url:
        database(f"GRANT DELETE ON {database.name}.* TO joe_{database.name}@localhost")  # it may see the table
        refused = (await plan(url, operation, objects=("item",))).refused or ""
        database(refused[refused.index("GRANT ") :].rstrip(".;"))
        async with connected(url) as session:
            (step, *_) = (await session.plan(operation, Options(objects=("item",)))).steps
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
            database(f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM joe_{database.name}@localhost")
            database(f"GRANT DELETE ON {database.name}.* TO joe_{database.name}@localhost")
            result = await session.execute(step, StepContext())
        if operation is Operation.CHECK and database.flavor is Flavor.MARIADB:  # any right on the table is enough there
            assert result.status is Status.COMPLETED
            return
        assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
        assert "GRANT " in str(result.error)
        assert result.left != CRASHED


async def test_a_connection_that_an_administrator_ends_fails_its_step_and_no_other(database: MySqlDatabase) -> None:
    filled(database, "item")
    async with asyncio.timeout(60), connected(database.url, lock_timeout=60) as session:
        (step,) = (await session.plan(Operation.REBUILD, Options())).steps
        with database.session("SELECT * FROM item LIMIT 1"):
            running = asyncio.create_task(session.execute(step, StepContext()))
            await until(database, runs("ALTER", "Waiting for table metadata lock"))
            database(f"KILL {database.value(runs('ALTER').replace('COUNT(*)', 'MAX(id)'))}")
            result = await running
        assert (result.status, result.reason, result.error) == (Status.FAILED, None, CONNECTION_ENDED)
        assert (await session.execute(step, StepContext())).status is Status.COMPLETED


async def test_a_connection_that_was_ended_while_it_was_idle_fails_no_step(
    database: MySqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_pool, "ASSUMED_ALIVE", 0.0)
    filled(database, "item")
    ours = "FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
    async with connected(database.url) as session:
        (step,) = (await session.plan(Operation.REBUILD, Options())).steps
        for _ in range(2):
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
            for (number,) in database(f"SELECT id {ours}"):
                database(f"KILL {number}")
            await until(database, f"SELECT COUNT(*) = 0 {ours}")


async def test_a_network_that_breaks_ends_the_step_here_and_on_the_server(
    database: MySqlDatabase, tmp_path: Path
) -> None:
    filled(database, "item")
    async with asyncio.timeout(60), slow_line(database.server.socket, tmp_path, delay=0) as line:
        url = f"mysql://root@localhost/{database.name}?socket={tmp_path / database.server.socket.name}"
        async with connected(url, lock_timeout=60) as session:
            (step,) = (await session.plan(Operation.REBUILD, Options())).steps
            with database.session("SELECT * FROM item LIMIT 1"):
                running = asyncio.create_task(session.execute(step, StepContext()))
                await until(database, runs("ALTER", "Waiting for table metadata lock"))
                line.cut()
                line.join()
                result = await running
                assert (result.status, result.error) == (Status.FAILED, CONNECTION_ENDED)
                assert not database.value(runs("ALTER"))
            assert (await session.execute(step, StepContext())).status is Status.COMPLETED
