"""Advice on real databases; optimize does exactly what it calls for."""

from __future__ import annotations

import shutil
from typing import Any

import pymysql
import pytest

from engine.domain.advice import CRITICAL, Advice, Level, TargetHistory
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.condition import Undo, undo
from engine.targets.plans import OperationPlan
from tests.engine.targets.mysql.a_session import filled, locked_out
from tests.engine.targets.mysql.looking import looking
from tests.engine.targets.server_session import plan, run
from tests.mysql_databases import MySqlDatabase, new_database
from tests.mysql_server import MySqlServer
from tests.waiting import eventually

NOTHING = TargetHistory(now=0)
SPARSE = (
    "CREATE TABLE {name} (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(4000))",
    "INSERT INTO {name} (v) VALUES (REPEAT('v', 4000))",
    *["INSERT INTO {name} (v) SELECT v FROM {name}"] * 13,
    "DELETE FROM {name} WHERE id % 4 > 0",
    "ANALYZE TABLE {name}",
)


def sparse(name: str) -> list[str]:
    return [statement.format(name=name) for statement in SPARSE]


async def advice_on(database: MySqlDatabase, url: str = "") -> dict[Operation, Advice]:
    async with resolve(url or database.url).look(lock_timeout=1) as session:
        found, _ = await session.advise(NOTHING, budget=None)
    return {one.operation: one for one in found}


async def plan_of(database: MySqlDatabase, options: Options = DEFAULT_OPTIONS) -> OperationPlan:
    async with resolve(database.url).connect(lock_timeout=1, planning=True) as session:
        return (await session.plan(Operation.OPTIMIZE, options)).plan


async def test_an_empty_database_needs_nothing_but_a_check(database: MySqlDatabase) -> None:
    found = await advice_on(database)
    assert [operation for operation, one in found.items() if one.is_urgent] == [Operation.CHECK]
    assert (await plan_of(database)).not_needed


async def test_optimize_plans_exactly_what_advice_names(database: MySqlDatabase) -> None:
    database(
        *sparse("sparse"),
        *sparse("words"),
        "ALTER TABLE words ADD FULLTEXT (v)",
        "DELETE FROM words WHERE id % 8 > 0",
        "CREATE TABLE changed (id INT PRIMARY KEY) STATS_AUTO_RECALC = 0",
        "INSERT INTO changed SELECT id FROM sparse",
        "ANALYZE TABLE changed",
        "INSERT INTO changed SELECT id + 100000 FROM sparse",
        "CREATE TABLE well (id INT PRIMARY KEY)",
    )
    found = await advice_on(database)
    planned = await plan_of(database)
    asked = {
        (operation, name) for operation in (Operation.ANALYZE, Operation.REBUILD) for name in found[operation].objects
    }
    assert asked == {(Operation.REBUILD, "sparse"), (Operation.ANALYZE, "changed")}
    assert {(step.operation, step.object) for step in planned.steps if "(" not in step.object} == asked


async def test_a_table_that_another_session_has_locked_hides_no_advice_on_others(database: MySqlDatabase) -> None:
    filled(database, "item")
    database(*sparse("sparse"), "UPDATE sparse SET v = 'x' WHERE id = 4")
    async with locked_out(database, "item"):
        found, planned = await advice_on(database), await plan_of(database)
    analyze, rebuild = found[Operation.ANALYZE], found[Operation.REBUILD]
    assert (analyze.level, analyze.facts["locked_tables"], analyze.inspection_can_tell) == (
        Level.UNKNOWN, ("item",), False,
    )  # fmt: skip
    assert (rebuild.is_needed, rebuild.objects, rebuild.facts["locked_tables"]) == (True, ("sparse",), ("item",))
    assert [step.object for step in planned.steps] == ["sparse"]
    assert any(warning.endswith("not looked at: item") for warning in planned.warnings)


async def test_a_table_that_grew_is_analyzed_also_where_a_lock_keeps_its_changes_from_being_counted(
    database: MySqlDatabase,
) -> None:
    filled(database, "item")
    database("CREATE TABLE grown LIKE item", "ALTER TABLE grown STATS_AUTO_RECALC = 0", "ANALYZE TABLE grown")
    database("INSERT INTO grown SELECT a.id + 1000 * b.id, a.b FROM item AS a, item AS b")
    async with locked_out(database, "item"):
        found, planned = await advice_on(database), await plan_of(database)
    assert found[Operation.ANALYZE].objects == ("grown",)
    assert [step.object for step in planned.steps] == ["grown"]


@pytest.mark.long
@pytest.mark.parametrize("server", [Flavor.MARIADB], ids=str, indirect=True, scope="session")
async def test_changed_rows_are_counted_before_the_server_forgets_them(own_server: MySqlServer) -> None:
    """Advice opens all tables, and InnoDB of MariaDB forgets those that are closed and too many for its cache."""
    caches = "--table-open-cache=10", "--table-definition-cache=400"
    with own_server.running(*caches), new_database(own_server) as database:
        database(*[f"CREATE TABLE t{number} (a INT)" for number in range(450)])
        filled(database, "waits")
        database("CREATE TABLE changed (id INT PRIMARY KEY) STATS_AUTO_RECALC = 0", "ANALYZE TABLE changed")
        own_server.stop()
        own_server.start()  # now its caches are empty
        database.reconnect()
        database("INSERT INTO changed SELECT seq FROM seq_1_to_5000")
        async with locked_out(database, "waits"):  # it takes a second to open it, and InnoDB looks every second
            found = await advice_on(database)
        assert found[Operation.ANALYZE].objects == ("changed",)


async def test_advice_that_is_followed_ends(database: MySqlDatabase) -> None:
    database(
        *sparse("sparse"),
        "CREATE TABLE changed (id INT PRIMARY KEY) STATS_AUTO_RECALC = 0",
        "ANALYZE TABLE changed",
        "INSERT INTO changed SELECT id FROM sparse",
    )
    assert (await advice_on(database))[Operation.OPTIMIZE].is_needed
    results = await run(database.url, Operation.OPTIMIZE)
    assert {result.status for result in results.values()} == {Status.COMPLETED}
    found = await advice_on(database)
    assert [operation for operation, one in found.items() if one.is_urgent] == [Operation.CHECK]


async def test_a_crashed_table_is_to_be_repaired(database: MySqlDatabase) -> None:
    recovers = database.flavor is Flavor.MARIADB
    if recovers:
        database("SET GLOBAL aria_recover_options = 'OFF'")
    try:
        engine, suffix = ("Aria TRANSACTIONAL = 0", "MAI") if recovers else ("MyISAM", "MYI")
        database(f"CREATE TABLE log (a INT, KEY (a)) ENGINE = {engine}", "INSERT INTO log VALUES (1)", "FLUSH TABLES")
        path = database.server.data / database.name / f"log.{suffix}"
        path.write_bytes(path.read_bytes()[:-1024])
        database("CHECK TABLE log", "FLUSH TABLES")
        found = await advice_on(database)
    finally:
        if recovers:
            database("SET GLOBAL aria_recover_options = DEFAULT")
    assert (found[Operation.REPAIR].level, found[Operation.REPAIR].objects) == (Level.NOW, ("log",))


def connection_of(session: pymysql.Connection[Any]) -> int:
    with session.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        ((found,),) = cursor.fetchall()
    return int(found)


async def test_whoever_holds_old_rows_is_named(database: MySqlDatabase) -> None:
    database("CREATE TABLE t (a INT)", "INSERT INTO t VALUES (1)")
    with database.session("SELECT * FROM t") as other:
        async with looking(database.url) as reader:

            async def held() -> Undo | None:
                found = await undo(reader)
                return found if found.holder is not None else None

            found = await eventually(held)  # InnoDB renews that table 0.1 s after it was last read
        assert found.holder is not None
        assert found.holder.connection == connection_of(other)
        assert found.history is not None
        assert found.bytes


async def test_a_user_without_process_gets_the_grant(database: MySqlDatabase) -> None:
    database("CREATE USER plain@localhost", f"GRANT SELECT ON {database.name}.* TO plain@localhost")
    try:
        found = await advice_on(database, database.as_user("plain"))
        assert "GRANT PROCESS ON *.* TO 'plain'@'localhost'" in found[Operation.ANALYZE].reason
    finally:
        database("DROP USER plain@localhost")


async def test_what_the_server_cannot_open_is_told_by_its_engine(database: MySqlDatabase) -> None:
    if database.flavor is Flavor.MYSQL:
        pytest.skip("MySQL says it of no table")
    filled(database, "item")
    filled(database, "log", engine="MyISAM")
    database("CREATE TABLE merged LIKE log", "ALTER TABLE merged ENGINE=MERGE UNION=(log)", "FLUSH TABLES")
    files = database.server.data / database.name
    shutil.copy(files / "item.frm", files / "ghost.frm")
    (files / "ghost.frm").chmod(0o666)
    (files / "log.MYD").unlink()
    found = await advice_on(database)
    assert found[Operation.REPAIR].objects == ("log",)
    check = found[Operation.CHECK]
    assert (check.urgency, check.facts["damaged_tables"], check.needs_manual_fix) == (CRITICAL, ("ghost",), True)
    for operation in (Operation.ANALYZE, Operation.REBUILD):
        assert {step.object for step in (await plan(database.url, operation)).steps} == {"item"}
    (files / "ghost.frm").unlink()
