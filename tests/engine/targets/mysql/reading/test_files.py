"""The files of tables and partitions, whatever they are called."""

from __future__ import annotations

import pytest

from engine.targets.mysql.reading.condition import changed_rows
from engine.targets.mysql.reading.files import Counted, changes, file_sizes, table_sizes, with_statistics
from engine.targets.mysql.reading.tables import tables
from tests.engine.targets.mysql.looking import looking
from tests.mysql_databases import MySqlDatabase

NAMED_LIKE_PARTITIONS = (
    "CREATE TABLE `a#P#b` (id INT PRIMARY KEY)",
    "CREATE TABLE `a#p#c` (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION `P#p#q` VALUES LESS THAN MAXVALUE)",
)


async def test_each_table_and_partition_has_its_file(database: MySqlDatabase) -> None:
    database(
        "CREATE TABLE plain (id INT PRIMARY KEY)",
        "CREATE TABLE `a-b ä.x/y#z` (id INT PRIMARY KEY)",
        "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2",
        "CREATE TABLE doubly (id INT, at DATE, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at))"
        " SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION `P 1` VALUES LESS THAN MAXVALUE)",
        *NAMED_LIKE_PARTITIONS,
    )
    async with looking(database.url) as reader:
        sizes = await file_sizes(reader)
        parts = {(table.name, part.name.lower()) for table in await tables(reader) for part in table.parts}
    assert sizes is not None
    assert set(sizes) == parts
    assert all(size.length > 0 for size in sizes.values())


@pytest.mark.parametrize("name", ["t", "straße", "a@0062c", "日本"])
async def test_changed_rows_are_counted(database: MySqlDatabase, name: str) -> None:
    database(
        f"CREATE TABLE `{name}` (id INT PRIMARY KEY) STATS_AUTO_RECALC = 0",
        f"INSERT INTO `{name}` VALUES (1)",
        f"ANALYZE TABLE `{name}`",
        f"INSERT INTO `{name}` VALUES (2), (3), (4)",
    )
    async with looking(database.url) as reader:
        assert (await changes(reader) or {})[name, ""] == 3
        assert (name, "") in (await file_sizes(reader) or ())
        assert (name, "") in (await with_statistics(reader) or ())
        found = await tables(reader)
        assert (await changed_rows(reader, found, {(name, ""): Counted(0, 0)}) or {})[name, ""] == 3
        assert await changed_rows(reader, found, {(name, ""): Counted(2**40, 0)}) == {}


async def test_names_with_the_sign_of_a_partition_are_names(database: MySqlDatabase) -> None:
    database(
        *NAMED_LIKE_PARTITIONS,
        "INSERT INTO `a#P#b` VALUES (1)",
        "INSERT INTO `a#p#c` VALUES (1)",
        "ANALYZE TABLE `a#P#b`, `a#p#c`",
    )
    async with looking(database.url) as reader:
        found = await tables(reader, files=await file_sizes(reader))
        parts = {(table.name, part.name.lower()) for table in found for part in table.parts}
        assert all(part.file_bytes for table in found for part in table.parts)
        assert set(await with_statistics(reader) or ()) == parts
        assert set(await table_sizes(reader) or ()) == {"a#P#b", "a#p#c"}


async def test_what_a_user_may_not_see_is_unknown(database: MySqlDatabase) -> None:
    database("CREATE USER blind@localhost", f"GRANT SELECT ON {database.name}.* TO blind@localhost")
    try:
        async with looking(database.as_user("blind")) as reader:
            assert await file_sizes(reader) is None
            assert await changes(reader) is None
            assert await with_statistics(reader) is None
    finally:
        database("DROP USER blind@localhost")
