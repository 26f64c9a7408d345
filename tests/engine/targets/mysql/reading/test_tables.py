"""What the catalog says of the tables of a database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import Operation, Options
from engine.targets.mysql.planning.scope import scope
from engine.targets.mysql.reading import tables as catalog
from engine.targets.mysql.reading.tables import AutoIncrement, Table
from tests.engine.targets.mysql.a_session import filled, locked_out
from tests.engine.targets.mysql.looking import looking
from tests.mysql_databases import MySqlDatabase


async def test_some_tables_and_what_is_known_sooner(database: MySqlDatabase) -> None:
    database(
        "CREATE TABLE `it's %s` (id INT PRIMARY KEY, t TEXT, FULLTEXT (t), KEY (t(5)))",
        "CREATE TABLE old (a INT, KEY (a)) ENGINE = MyISAM",
    )
    async with looking(database.url) as reader:
        exact, (one,) = await catalog.tables(reader), await catalog.tables(reader, ["it's %s"])
        sooner = await catalog.tables(reader, exact=False)
    assert one == exact[0]
    assert {index.kind for index in exact[0].indexes} == {"BTREE", "FULLTEXT"}
    assert [replace(table, indexes=(), locks_for_rebuild="") for table in sooner] == [
        replace(table, indexes=(), locks_for_rebuild="") for table in exact
    ]
    assert [table.primary_key for table in sooner] == [("id",), ()]
    assert [index.name for table in sooner for index in table.indexes] == ["PRIMARY"]


async def test_a_table_that_another_session_has_locked_is_no_damaged_one(database: MySqlDatabase) -> None:
    filled(database, "item")
    async with locked_out(database, "item"), looking(database.url) as reader:
        item, _ = await catalog.tables(reader, exact=False)
    assert item.size < 2**20
    assert item.rows == 0
    assert (item.name, item.is_locked, item.comment, item.must_be_offline) == ("item", True, "", "")
    for operation in (Operation.ANALYZE, Operation.REBUILD, Operation.CHECK):
        assert scope(operation, Options(), [item]) == [item]


@pytest.fixture
async def tables(database: MySqlDatabase) -> dict[str, Table]:
    database(
        "CREATE TABLE plain (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, a VARCHAR(300), KEY by_a (a(10)))",
        "INSERT INTO plain VALUES (4000000000, 'x')",
        "CREATE TABLE keyless (a INT)",
        "CREATE TABLE by_unique (a INT NOT NULL, b INT, UNIQUE (b), UNIQUE (a))",
        "CREATE TABLE old (a INT) ENGINE = MyISAM COMMENT \"Table 'old' is marked as crashed and it is not\"",
        "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY RANGE (id)"
        " (PARTITION `P 1` VALUES LESS THAN (10), PARTITION rest VALUES LESS THAN MAXVALUE)",
        "CREATE TABLE doubly (id INT, at DATE, PRIMARY KEY (id, at)) PARTITION BY RANGE (YEAR(at))"
        " SUBPARTITION BY HASH (id) SUBPARTITIONS 2 (PARTITION p VALUES LESS THAN MAXVALUE)",
        "CREATE TABLE words (id INT PRIMARY KEY, t TEXT, FULLTEXT (t))",
        "CREATE TABLE made (a INT, b INT AS (a + 1) VIRTUAL, KEY (b))",
        "CREATE TABLE `a-b ä``.x` (id INT PRIMARY KEY)",
        "CREATE VIEW seen AS SELECT * FROM plain",
        "CREATE TEMPORARY TABLE passing (a INT)",
    )
    async with looking(database.url) as reader:
        return {table.name: table for table in await catalog.tables(reader)}


def test_all_tables_and_only_these(tables: dict[str, Table]) -> None:
    assert sorted(tables) == sorted(
        ["plain", "keyless", "by_unique", "old", "parted", "doubly", "words", "made", "a-b ä`.x"]
    )


def test_primary_keys(tables: dict[str, Table]) -> None:
    keys = {name: tables[name].primary_key for name in ("plain", "keyless", "by_unique", "doubly")}
    assert keys == {"plain": ("id",), "keyless": (), "by_unique": ("a",), "doubly": ("id", "at")}


def test_prefix_of_an_index(tables: dict[str, Table]) -> None:
    assert {index.name: index.columns for index in tables["plain"].indexes} == {
        "PRIMARY": (("id", None),),
        "by_a": (("a", 10),),
    }


def test_auto_increment(tables: dict[str, Table]) -> None:
    assert tables["plain"].auto_increment == AutoIncrement("id", 4_000_000_001, 4_294_967_295)
    assert tables["keyless"].auto_increment is None


def test_a_comment_that_claims_a_crash_is_none(tables: dict[str, Table]) -> None:
    assert not any(table.comment for table in tables.values())


def test_partitions(tables: dict[str, Table]) -> None:
    assert [part.name for part in tables["parted"].parts] == ["P 1", "rest"]
    assert [part.name for part in tables["doubly"].parts] == ["p.psp0", "p.psp1"]
    assert [part.name for part in tables["plain"].parts] == [""]


def test_what_keeps_a_table_from_being_rebuilt_online(tables: dict[str, Table]) -> None:
    found = {name: table.locks_for_rebuild for name, table in tables.items() if table.locks_for_rebuild}
    assert found == {"words": "a FULLTEXT index", "made": "an index on a virtual column"}
