"""Indexes that do the same as another, on a real server."""

from __future__ import annotations

from engine.targets.postgres.reading.needless_indexes import needless_indexes
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.target import PostgresTarget
from tests.postgres_databases import Database


async def test_only_indexes_that_do_the_same_or_begin_with_the_same_keys_are_needless(database: Database) -> None:
    database(
        "CREATE TABLE item (id int PRIMARY KEY, a int, b int, c text)",
        "CREATE INDEX of_id ON item (id)",
        "CREATE INDEX a_b ON item (a, b)",
        "CREATE INDEX b_a ON item (b, a)",
        "CREATE INDEX only_a ON item (a)",
        "CREATE INDEX some_a ON item (a) WHERE b > 0",
        "CREATE INDEX a_down ON item (a DESC)",
        "CREATE INDEX lower ON item (lower(c))",
        "CREATE INDEX lower_too ON item (lower(c))",
        "CREATE INDEX upper ON item (upper(c))",
        "CREATE TABLE other (id int PRIMARY KEY, a int)",
        "CREATE INDEX ON other (a)",
    )
    async with PostgresTarget(database.url).catalog() as reader:
        assert isinstance(reader, Reader)
        found = await needless_indexes(reader)
    assert {(one.name, one.same_as) for one in found.duplicates} == {("of_id", "item_pkey"), ("lower_too", "lower")}
    assert {(one.name, one.same_as) for one in found.prefixes} == {("only_a", "a_b")}
