"""A named object on which nothing can be done is a usage error with its reason, never a success."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.postgres_databases import Database
from tests.sqlite_files import make_database
from tests.tui.command_line import CommandLine

SCHEMA = (
    "CREATE TABLE item (id int PRIMARY KEY, name text, at tsrange)",
    "CREATE INDEX item_at ON item USING gist (at)",
    "CREATE INDEX item_name ON item (name)",
    "CREATE INDEX item_name_ccnew ON item (name)",
    "UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('item_name'::regclass, 'item_name_ccnew'::regclass)",
    "CREATE TABLE bare (a int)",
    "CREATE VIEW seen AS SELECT 1 AS a",
    "CREATE SEQUENCE numbers",
    "CREATE TABLE whole (a int PRIMARY KEY) PARTITION BY RANGE (a)",
    "CREATE EXTENSION file_fdw",
    "CREATE SERVER disk FOREIGN DATA WRAPPER file_fdw",
    "CREATE FOREIGN TABLE elsewhere (a text) SERVER disk OPTIONS (filename '/dev/null')",
    "CREATE SCHEMA shop",
    "CREATE TABLE shop.item (id int PRIMARY KEY)",
)
WRONG = [
    ("reindex", "pg_catalog.pg_class", "is a table of the catalog (add --system: it blocks all access to it"),
    ("vacuum-full", "pg_catalog.pg_attribute", "is a table of the catalog (add --system: it blocks all access to it"),
    ("cluster", "pg_catalog.pg_attribute", "is a table of the catalog"),
    ("reindex", "pg_class_oid_index", "is an index of the catalog (add --system: it blocks all access to it"),
    ("optimize", "pg_class_oid_index", "is an index of the catalog"),
    ("vacuum", "item_at", "is an index (name its table: public.item)"),
    ("analyze", "item_at", "is an index (name its table: public.item)"),
    ("vacuum-full", "item_at", "is an index"),
    ("cluster", "item_at", "is an index"),
    ("check", "item_at", "is an index of the kind gist: amcheck looks at B-trees only"),
    ("check", "item_name", "is invalid: there is nothing to check"),
    ("reindex", "item_name_ccnew", "is left over from REINDEX CONCURRENTLY"),
    ("clean-leftovers", "item_at", "is not left over from REINDEX CONCURRENTLY"),
    ("reindex", "bare", "has no index"),
    ("vacuum", "seen", "is a view: nothing can be done to it (name a table or an index)"),
    ("analyze", "numbers", "is a sequence: nothing can be done to it"),
    ("reindex", "whole_pkey", "is partitioned, and has no partition on this server"),
    ("vacuum", "whole_pkey", "is an index (name its table: public.whole)"),
    ("clean-leftovers", "whole_pkey", "is not left over from REINDEX CONCURRENTLY"),
    ("vacuum", "elsewhere", "is a foreign table: only its statistics are kept here (use analyze"),
    ("vacuum", "public.item(id)", "has a list of columns, which only statistics are collected of (use analyze"),
    ("reindex", "item_at(id)", "is an index, which has no list of columns (name the index alone)"),
    ("analyze", "public.item(ID)", "has no column ID (list them with"),
    ("analyze", "no_such(id)", "is no table or index of {database} (give"),
    ("vacuum", "whole", "is partitioned, and has no partition on this server"),
    ("vacuum-full", "whole", "is partitioned, and has no partition on this server"),
    ("check", "whole", "is partitioned, and has no partition on this server"),
    ("reindex", "whole", "has no index"),
    ("vacuum", "no_such", "is no table or index of {database} (give"),
]


@pytest.fixture
def shop(database: Database) -> Database:
    database("CREATE EXTENSION amcheck", *SCHEMA)
    return database


def refused(dbtend: CommandLine, *words: str | Path) -> str:
    """What is said, by a plan and by a run alike; neither stores anything."""
    said = set()
    for command in ("plan", "run"):
        result = dbtend(command, *words)
        assert result.code == 2, (result.code, result.out, result.err)
        said.add(result.err.strip())
    (one,) = said
    assert dbtend("history", "--json").json["jobs"] == []
    return one


def test_nothing_can_be_done_to_some_objects(dbtend: CommandLine, shop: Database) -> None:
    for operation, name, why in WRONG:
        result = dbtend("plan", shop.url, "--op", operation, "--object", name, "--yes")
        said = result.err
        assert result.code == 2, (operation, name, result.out, said)
        assert f": {why.format(database=shop.name)}" in said, said
        assert name.rpartition(".")[2] in said


def test_a_toast_table_is_done_with_its_table(dbtend: CommandLine, shop: Database) -> None:
    toast = shop.value("SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = 'item'::regclass")
    assert "(name its table: public.item; " in refused(dbtend, shop.url, "--op", "vacuum", "--object", toast)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--object", "item", "--schema", "shop", "--object", "bare"), "object bare: is in schema public, not in shop"),
        (("--object", "item"), "object item: may mean public.item, shop.item"),
        (("--object", "bare", "--object", "public.bare"), "object public.bare: is named twice, also as bare"),
        (("--object", "bare", "--object", "bare"), "object bare: is named twice"),
        (("--schema", "shop", "--schema", '"shop"'), "schema shop: is named twice"),
        (("--object", ""), "an empty value: says nothing"),
    ],
)
def test_names_that_contradict_each_other_or_say_nothing(
    dbtend: CommandLine, shop: Database, words: Sequence[str], why: str
) -> None:
    assert refused(dbtend, shop.url, "--op", "vacuum", *words).startswith(f"dbtend: {why}")


def test_what_can_be_done_to_a_named_object_is_done(dbtend: CommandLine, shop: Database) -> None:
    for operation, name in (
        ("reindex", "item_name"), ("vacuum", "pg_catalog.pg_class"), ("analyze", "whole"), ("check", "public.item"),
        ("clean-leftovers", "item_name_ccnew"), ("reindex", "shop.item"),
    ):  # fmt: skip
        result = dbtend("run", shop.url, "--op", operation, "--object", name, "--json")
        (child,) = result.json["jobs"][0]["children"]
        assert (result.code, child["status"], bool(child["steps"])) == (0, "completed", True), (operation, name)
    assert dbtend("run", shop.url, "--op", "vacuum", "--schema", "shop", "--object", "item").code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--op", "reindex", "--object", "bare"), "object bare: has no index"),
        (("--op", "reindex", "--object", "item", "--object", "bare"), "object bare: has no index"),
        (("--op", "analyze", "--object", "seen"), "seen: is no table or index of the database"),
        (("--op", "analyze", "--object", "item", "--object", "ITEM"), "object ITEM: is named twice, also as item"),
        (("--op", "check", "--op", "vacuum", "--object", "item"), "operation vacuum: is always for the whole database"),
    ],
)
def test_nothing_can_be_done_to_some_objects_of_a_file(
    dbtend: CommandLine, tmp_path: Path, words: Sequence[str], why: str
) -> None:
    path = make_database(tmp_path / "sales.db", rows=20)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE VIEW seen AS SELECT 1 AS a")
        db.execute("CREATE TABLE bare (a)")
    assert refused(dbtend, path, *words).startswith(f"dbtend: {why}")


def test_the_key_of_a_table_without_rowids_is_an_index_of_it(dbtend: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE item (a PRIMARY KEY) WITHOUT ROWID")
    assert dbtend("run", path, "--op", "reindex", "--object", "item").code == 0
