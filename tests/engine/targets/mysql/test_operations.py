"""Operations on real tables: what the plan shows is what the server does, and its verdict is what is reported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from engine import Engine, Operation, ServerOptions, Status
from engine.domain.errors import UsageError
from engine.domain.jobs import ChildJob
from engine.domain.requests import CheckLevel, Options
from engine.domain.statuses import Reason
from engine.domain.thresholds import Thresholds
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.planning.steps import MySqlStep
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import filled
from tests.engine.targets.server_session import connected, plan, run
from tests.mysql_databases import MySqlDatabase

OFFLINE = ServerOptions(offline=True)
ODD = ("or`der", "é 100%s", "SELECT", "a.b", "semi;colon -- */", "q'u\"o\\te", "new\nline\x1b[31m", "*/ {x} /*\u202e")


def statuses(results: object) -> set[Status]:
    return {result.status for result in results.values()}  # type: ignore[attr-defined]


def checksum(database: MySqlDatabase, name: str) -> int:
    return int(database(f"CHECKSUM TABLE `{name}`")[0][1])


async def test_analyze_collects_statistics_of_every_table(database: MySqlDatabase) -> None:
    filled(database, "item")
    filled(database, "old", engine="MyISAM")
    results = await run(database.url, Operation.ANALYZE)
    assert {"item", "old"} <= results.keys()
    assert statuses(results) == {Status.COMPLETED}
    if database.flavor is Flavor.MARIADB:
        assert database.value("SELECT COUNT(*) FROM mysql.column_stats WHERE db_name = DATABASE()") > 0


async def test_mysql_makes_histograms_once_and_renews_them_with_each_analyze(database: MySqlDatabase) -> None:
    if database.flavor is Flavor.MARIADB:
        pytest.skip("MariaDB collects them with PERSISTENT FOR ALL")
    database("CREATE TABLE item (id INT PRIMARY KEY, kind INT)", "INSERT INTO item VALUES (1, 1), (2, 2)")
    values = (
        "SELECT JSON_LENGTH(histogram->'$.buckets') FROM information_schema.column_statistics"
        " WHERE schema_name = DATABASE()"
    )
    (first,) = (await plan(database.url, Operation.ANALYZE)).steps
    assert first.command.startswith("ANALYZE TABLE"), "histograms made before it would be made again"
    assert statuses(await run(database.url, Operation.ANALYZE)) == {Status.COMPLETED}
    assert database.value(values) == 2
    database("INSERT INTO item VALUES (3, 3)")
    (later,) = (await plan(database.url, Operation.ANALYZE)).steps
    assert ("HISTOGRAM" in first.command, "HISTOGRAM" in later.command) == (True, False)
    assert later.command != first.command, "the one takes longer"
    assert statuses(await run(database.url, Operation.ANALYZE)) == {Status.COMPLETED}
    assert database.value(values) == 3


async def test_a_step_that_is_not_stopped_runs_all_its_commands(database: MySqlDatabase) -> None:
    if database.flavor is Flavor.MARIADB:
        pytest.skip("one command collects them")
    database("CREATE TABLE item (id INT PRIMARY KEY, kind INT)", "INSERT INTO item VALUES (1, 1)")
    async with connected(database.url) as session:
        (step,) = (await session.plan(Operation.ANALYZE, Options())).steps
        assert isinstance(step, MySqlStep)
        result = await session.execute(replace(step, in_total_order=True), StepContext())
    assert result.status is Status.COMPLETED
    made = "SELECT COUNT(*) FROM information_schema.column_statistics WHERE schema_name = DATABASE()"
    assert database.value(made) == 1


async def test_histograms_are_not_made_of_a_table_that_cannot_be_analyzed(database: MySqlDatabase) -> None:
    database("CREATE TABLE item (id INT PRIMARY KEY, kind INT)", "INSERT INTO item VALUES (1, 1)")
    async with connected(database.url) as session:
        (step,) = (await session.plan(Operation.ANALYZE, Options())).steps
        database("RENAME TABLE item TO other", "CREATE VIEW item AS SELECT * FROM other")
        result = await session.execute(step, StepContext())
    assert result.status is not Status.COMPLETED
    assert (result.error or "").count("item") == 1


async def test_an_encrypted_table_is_tended_like_others_and_stays_encrypted(
    database: MySqlDatabase, tmp_path: Path
) -> None:
    encrypted = "ENCRYPTION='Y'" if database.flavor is Flavor.MYSQL else "`ENCRYPTED`='YES'"
    try:
        filled(database, "secret", 20_000, more=encrypted)
    except pymysql.OperationalError as error:
        pytest.skip(f"the server encrypts no table: {error}")
    database("DELETE FROM secret WHERE id % 10 > 0", "ANALYZE TABLE secret")
    before = checksum(database, "secret")
    limits = Thresholds(reclaim_soon=1_000_000)
    async with Engine.open(tmp_path / "jobs.db") as engine:
        advice = {one.operation: one for one in await engine.advise(database.url, limits=limits)}
    assert advice[Operation.REBUILD].objects == ("secret",)
    for operation in (Operation.OPTIMIZE, Operation.CHECK, Operation.REBUILD):
        results = await run(database.url, operation, limits=limits)
        assert statuses(results) == {Status.COMPLETED}
    assert encrypted in database("SHOW CREATE TABLE secret")[0][1]
    assert checksum(database, "secret") == before


async def test_a_rebuild_tells_the_rows_of_the_new_table_not_those_that_old_statistics_said(
    database: MySqlDatabase,
) -> None:
    filled(database, "item", 20_000, more="STATS_PERSISTENT=1 STATS_AUTO_RECALC=0")
    database(
        "ANALYZE TABLE item",
        "UPDATE mysql.innodb_table_stats SET n_rows = 5 WHERE database_name = DATABASE() AND table_name = 'item'",
        "FLUSH TABLE item",
    )
    effect = (await run(database.url, Operation.REBUILD))["item"].effect or {}
    assert isinstance(effect["rows"], int)
    assert effect["rows"] > 15_000


async def test_rebuild_gives_space_back_online_and_changes_no_row(database: MySqlDatabase) -> None:
    filled(database, "item", 20_000)
    database("DELETE FROM item WHERE id % 10 > 0")
    before = checksum(database, "item")
    results = await run(database.url, Operation.REBUILD)
    effect = results["item"].effect or {}
    assert results["item"].status is Status.COMPLETED
    assert isinstance(effect["size"], int)
    assert isinstance(effect["size_before"], int)
    assert effect["size"] < effect["size_before"] / 2
    assert checksum(database, "item") == before


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("(id INT PRIMARY KEY) ENGINE=MyISAM", "a table of MyISAM"),
        ("(id INT PRIMARY KEY, t TEXT, FULLTEXT (t))", "a FULLTEXT index"),
        ("(id INT PRIMARY KEY, g GEOMETRY NOT NULL, SPATIAL INDEX (g))", "a SPATIAL index"),
    ],
)
async def test_what_cannot_be_rebuilt_online_is_refused_in_words_and_done_offline(
    database: MySqlDatabase, definition: str, why: str
) -> None:
    database(f"CREATE TABLE item {definition}")
    refused = (await plan(database.url, Operation.REBUILD)).refused
    assert refused is not None
    assert f"item ({why})" in refused
    assert "--offline" in refused
    assert statuses(await run(database.url, Operation.REBUILD, OFFLINE)) == {Status.COMPLETED}


async def test_what_only_the_server_knows_to_be_impossible_online_is_refused_with_its_words_and_done_offline(
    database: MySqlDatabase,
) -> None:
    filled(database, "item")
    async with connected(database.url) as session:
        options = [Options(server=server) for server in (ServerOptions(), OFFLINE)]
        steps = [(await session.plan(Operation.REBUILD, one)).steps[0] for one in options]
        database("ALTER TABLE item ADD t TEXT", "ALTER TABLE item ADD FULLTEXT (t)")
        result, done = [await session.execute(step, StepContext()) for step in steps]
    assert (result.status, result.reason) == (Status.FAILED, Reason.REFUSED)
    assert "--offline" in (result.error or "")
    assert done.status is Status.COMPLETED


async def test_a_check_finds_nothing_in_sound_tables_of_every_engine(database: MySqlDatabase) -> None:
    filled(database, "item")
    filled(database, "old", engine="MyISAM")
    database("CREATE TABLE part (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3", "CREATE VIEW v AS SELECT 1")
    for level in CheckLevel:
        results = await run(database.url, Operation.CHECK, check=level)
        assert results.keys() == {"item", "old", "part"}
        assert statuses(results) == {Status.COMPLETED}


@pytest.mark.parametrize("level", CheckLevel)
async def test_a_check_finds_rows_without_their_parent(database: MySqlDatabase, level: CheckLevel) -> None:
    database(
        "CREATE TABLE parent (a INT, b INT, PRIMARY KEY (a, b))",
        "CREATE TABLE child (a INT, b INT, CONSTRAINT to_parent FOREIGN KEY (a, b) REFERENCES parent (a, b))",
        "INSERT INTO parent VALUES (1, 1)",
        "SET SESSION foreign_key_checks = 0",
        "INSERT INTO child VALUES (1, 1), (1, NULL), (2, 1), (2, 2)",
        "SET SESSION foreign_key_checks = 1",
    )
    async with connected(database.url, writing=False) as session:
        planned = await session.plan(Operation.CHECK, Options(check=level))
        results = {step.object: await session.execute(step, StepContext()) for step in planned.steps}
        facts = await session.planned.facts()
    found = results.pop("child (to_parent)")
    assert found.status is Status.FAILED
    assert found.error_is_finding
    assert found.findings == ("child (to_parent): 2 rows without their parent",)
    assert statuses(results) == {Status.COMPLETED}
    assert (facts["findings"], facts["damage"], facts["complete"]) == (1, None, True)
    child = ChildJob(parent_id=1, ordinal=1, operation=Operation.CHECK, status=Status.FAILED, after=facts)
    assert child.found_inconsistency


async def test_a_repair_says_how_many_rows_it_could_not_read(database: MySqlDatabase) -> None:
    filled(database, "item", 2_000, engine="MyISAM")
    database("FLUSH TABLES")
    rows = database.server.data / database.name / "item.MYD"
    with rows.open("r+b") as file:
        file.truncate(rows.stat().st_size // 2)
    (result,) = (await run(database.url, Operation.REPAIR, objects=("item",))).values()
    assert result.status is Status.COMPLETED
    assert (result.effect or {})["rows_lost"] == 2_000 - database.value("SELECT COUNT(*) FROM item") > 0


async def test_a_damaged_table_is_found_and_repaired(database: MySqlDatabase) -> None:
    filled(database, "item", 2_000, engine="MyISAM")
    filled(database, "well")
    database("FLUSH TABLES")
    with (database.server.data / database.name / "item.MYI").open("r+b") as index:
        index.truncate(4_096)
    async with connected(database.url, writing=False) as session:
        planned = await session.plan(Operation.CHECK, Options())
        results = {step.object: await session.execute(step, StepContext()) for step in planned.steps}
        facts = await session.planned.facts()
    assert results["well"].status is Status.COMPLETED
    assert results["item"].status is Status.FAILED
    assert results["item"].findings
    assert facts["damaged_tables"] == ("item",)
    assert "run repair" in str(facts["remedy"])
    repaired = await run(database.url, Operation.REPAIR, objects=("item",))
    assert repaired["item"].status is Status.COMPLETED
    assert statuses(await run(database.url, Operation.CHECK)) == {Status.COMPLETED}
    assert database.value("SELECT COUNT(*) FROM item") == 2_000
    for backup in (database.server.data / database.name).glob("*.BAK"):  # MariaDB has made it
        backup.unlink()


async def test_repair_without_a_known_damage_does_nothing(database: MySqlDatabase) -> None:
    filled(database, "item", engine="MyISAM")
    planned = await plan(database.url, Operation.REPAIR)
    assert planned.not_needed is not None
    assert not planned.steps


async def test_repair_of_a_table_that_has_transactions_is_refused(database: MySqlDatabase) -> None:
    filled(database, "item")
    with pytest.raises(UsageError, match="is a table of InnoDB"):
        await plan(database.url, Operation.REPAIR, objects=("item",))


async def test_names_of_every_kind(database: MySqlDatabase) -> None:
    for name in ODD:
        database(f"CREATE TABLE `{name.replace('`', '``')}` (id INT PRIMARY KEY)")
    for operation in (Operation.ANALYZE, Operation.CHECK, Operation.REBUILD):
        results = await run(database.url, operation)
        assert len(results) == len(ODD)
        assert statuses(results) == {Status.COMPLETED}
        (result,) = (await run(database.url, operation, objects=("or`der",))).values()
        assert result.status is Status.COMPLETED


async def test_an_object_that_is_no_table_is_refused(database: MySqlDatabase) -> None:
    database("CREATE VIEW v AS SELECT 1")
    for name in ("nothing", "v"):
        with pytest.raises(UsageError, match="is no table of the database"):
            await plan(database.url, Operation.ANALYZE, objects=(name,))


@pytest.mark.parametrize("operation", [Operation.ANALYZE, Operation.CHECK, Operation.REBUILD])
async def test_a_table_that_was_dropped_meanwhile_is_skipped(database: MySqlDatabase, operation: Operation) -> None:
    filled(database, "item")
    async with connected(database.url) as session:
        (step,) = (await session.plan(operation, Options())).steps
        database("DROP TABLE item")
        assert (await session.execute(step, StepContext())).status is Status.SKIPPED


async def test_missing_rights_are_told_with_the_grant_to_copy(database: MySqlDatabase) -> None:
    filled(database, "item")
    user = f"joe_{database.name}"
    database(f"CREATE USER {user}@localhost", f"GRANT SELECT ON {database.name}.* TO {user}@localhost")
    planned = await plan(database.as_user(user), Operation.REBUILD)
    assert planned.forbidden == ("item",)
    refused = planned.refused or ""
    grant = refused[refused.index("GRANT ") :].rstrip(".")
    database(grant.rstrip(";"))
    assert statuses(await run(database.as_user(user), Operation.REBUILD)) == {Status.COMPLETED}
    database(f"DROP USER {user}@localhost")
