"""Sizes: those of files, whatever old statistics say, and whatever tables are called."""

from __future__ import annotations

import pytest

from engine import Operation, Options
from engine.domain.advice import TargetHistory
from engine.domain.steps import Facts
from engine.domain.thresholds import Thresholds
from engine.targets.mysql.advising.collect import collect_condition
from engine.targets.mysql.advising.findings import needs
from engine.targets.mysql.connection.server import Flavor
from engine.targets.mysql.reading.facts import facts
from engine.targets.mysql.reading.files import file_sizes
from engine.targets.mysql.reading.tables import Part, known_tables, tables
from engine.targets.step_execution import StepContext
from tests.engine.targets.mysql.a_session import filled
from tests.engine.targets.mysql.flavors import LONG_ON_MYSQL
from tests.engine.targets.mysql.looking import looking
from tests.engine.targets.server_session import connected, plan, run
from tests.mysql_databases import MySqlDatabase

ROWS = 20_000
LEAST = ROWS * 150
"""Bytes of their values."""
SMALL = Thresholds(reclaim_soon=100_000)
STALE = "STATS_AUTO_RECALC = 0"


def counted_when_empty(database: MySqlDatabase, name: str, more: str = "") -> None:
    """A table whose statistics tell of no row."""
    filled(database, name, 1, more=f"{STALE} {more}")
    database(f"TRUNCATE TABLE `{name}`", f"ANALYZE TABLE `{name}`")
    filled(database, "source", ROWS)
    database(f"INSERT INTO `{name}` SELECT * FROM source", "DROP TABLE source")
    told = "SELECT data_length + index_length FROM information_schema.tables WHERE table_schema = DATABASE()"
    assert database.value(told) < LEAST


async def facts_of(database: MySqlDatabase) -> Facts:
    async with looking(database.url) as reader:
        return await facts(reader)


@LONG_ON_MYSQL
@pytest.mark.parametrize("more", ["", "PARTITION BY HASH (id) PARTITIONS 2"])
async def test_old_statistics_do_not_hide_how_large_a_table_is(database: MySqlDatabase, more: str) -> None:
    counted_when_empty(database, "item", more)
    on_disk = sum(path.stat().st_size for path in (database.server.data / database.name).glob("*.ibd"))
    (step,) = (await plan(database.url, Operation.REBUILD)).steps
    assert step.disk_needed is not None
    assert LEAST < step.disk_needed <= on_disk
    assert sum(need.bytes for need in step.needs) == step.disk_needed
    assert step.estimate is not None
    assert step.estimate > LEAST * 10e-9
    assert (await facts_of(database))["size"] == on_disk
    results = await run(database.url, Operation.REBUILD)
    assert (results["item"].effect or {})["size_before"] == on_disk


def test_extents_without_a_page_need_no_disk_space() -> None:
    part = Part(data_bytes=10, index_bytes=5, free_bytes=60, file_bytes=100)
    assert (part.size, part.used_bytes) == (100, 40)
    assert Part(data_bytes=10, index_bytes=5, free_bytes=60).used_bytes == 15


@LONG_ON_MYSQL
@pytest.mark.parametrize("more", ["", "PARTITION BY HASH (id) PARTITIONS 2"])
async def test_the_effect_of_a_rebuild_is_true_whatever_the_names(database: MySqlDatabase, more: str) -> None:
    name, table = f"a-b {database.name}", "ör-der #1"
    database(f"CREATE DATABASE `{name}`")
    other = MySqlDatabase(database.server, name)
    try:
        counted_when_empty(other, table, more)
        before = (await facts_of(other))["size"]
        other(f"DELETE FROM `{table}` WHERE id > 100")
        (result,) = (await run(other.url, Operation.REBUILD)).values()
        effect = result.effect or {}
        after = (await facts_of(other))["size"]
        assert (effect["size_before"], effect["size"]) == (before, after)
        assert isinstance(before, int)
        assert isinstance(after, int)
        assert before > LEAST
        assert after < before
    finally:
        other.admin.close()
        database(f"DROP DATABASE `{name}`")


async def test_a_table_in_a_shared_file_gives_no_space_back(database: MySqlDatabase) -> None:
    shared = "SET GLOBAL innodb_file_per_table = {}"
    space = f"TABLESPACE {database.name}" if database.flavor is Flavor.MYSQL else ""
    if space:
        database(f"CREATE {space} ADD DATAFILE '{database.name}.ibd'")
    else:
        database(shared.format("OFF"))
    filled(database, "item", ROWS, more=space)
    database("DELETE FROM item WHERE id % 10 > 0", "ANALYZE TABLE item", shared.format("ON"))
    async with looking(database.url) as reader:
        condition = await collect_condition(reader, budget=None, limits=SMALL)
    assert condition.samples
    assert not needs(condition, TargetHistory(now=0), SMALL).rebuild
    if space:
        (result,) = (await run(database.url, Operation.REBUILD)).values()
        assert not result.effect
        database("DROP TABLE item", f"DROP {space}")


@LONG_ON_MYSQL
async def test_tables_whose_names_differ_only_in_case_have_files_of_their_own(database: MySqlDatabase) -> None:
    filled(database, "Item", 1)
    filled(database, "item", ROWS)
    sizes = {path.stem: path.stat().st_size for path in (database.server.data / database.name).glob("*.ibd")}
    async with looking(database.url) as reader:
        assert {table.name: table.file_bytes for table in await tables(reader, files=await file_sizes(reader))} == sizes
        assert (await facts(reader))["size"] == sum(sizes.values())
        unopened = [table for table in await known_tables(reader) if table.name == "item"]
        assert [table.name for table in await tables(reader, unopened=unopened) if not table.is_unopened] == ["Item"]
    planned = await plan(database.url, Operation.REBUILD)
    needed = {step.object: step.disk_needed or 0 for step in planned.steps}
    assert needed["Item"] < LEAST < needed["item"]
    results = await run(database.url, Operation.REBUILD)
    assert {name: (result.effect or {})["size_before"] for name, result in results.items()} == sizes


@LONG_ON_MYSQL
async def test_the_effect_on_compressed_pages_is_what_their_file_takes_on_disk(database: MySqlDatabase) -> None:
    is_mariadb = database.flavor is Flavor.MARIADB
    filled(database, "item", ROWS, more="PAGE_COMPRESSED = 1" if is_mariadb else "COMPRESSION = 'zlib'")
    database("DELETE FROM item WHERE id > 100", "FLUSH TABLES item FOR EXPORT", "UNLOCK TABLES")
    path = database.server.data / database.name / "item.ibd"
    held = path.stat().st_blocks * 512
    assert held < path.stat().st_size
    assert (await facts_of(database))["size"] == held
    async with connected(database.url) as session:
        planned = await session.plan(Operation.REBUILD, Options())
        (step,) = planned.steps
        effect = (await session.execute(step, StepContext())).effect or {}
        after = await session.facts(Operation.REBUILD)
    if is_mariadb:  # it writes the pages of the new file later
        assert ("size" in effect, "size" in after) == (False, False)
    else:
        assert (effect["size_before"], effect["size"]) == (held, after["size"])
        assert after["size"] == path.stat().st_blocks * 512
