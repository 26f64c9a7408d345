"""Hashes of the contents of a database: the same wherever they lie, another for each difference."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.targets.sqlite.reading import contents
from engine.targets.sqlite.reading.contents import Contents, contents_of

SCRIPT = """
    CREATE TABLE plain(a, b);
    INSERT INTO plain VALUES (1, 'one'), (2.0, x'00ff'), (NULL, 'with' || char(0) || 'NUL'), (3, CAST(x'fffe' AS TEXT));
    DELETE FROM plain WHERE a = 1;
    CREATE TABLE keyed(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
    INSERT INTO keyed VALUES ('b', 1), ('a', zeroblob(200000)), ('c', replace(hex(zeroblob(50000)), '0', 'ü'));
    CREATE TABLE long(rowid TEXT, computed AS (rowid || 'x'), value, stored AS (length(value)) STORED);
    INSERT INTO long(rowid, value) VALUES ('first', zeroblob(3000000)), ('second', 'short'), ('third', 4);
    ALTER TABLE long ADD COLUMN later TEXT DEFAULT 'later';
    CREATE TABLE "odd ""name"" ü"("odd ""column" INTEGER PRIMARY KEY, oid, _rowid_, "rowid");
    INSERT INTO "odd ""name"" ü" VALUES (7, zeroblob(100000), 2, 3);
    CREATE VIRTUAL TABLE words USING fts5(body);
    INSERT INTO words VALUES ('apples and pears'), ('pears');
    CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1);
    INSERT INTO boxes VALUES (1, 0.5, 1.5);
    CREATE INDEX by_b ON plain(b); CREATE VIEW view_of AS SELECT * FROM plain;
    CREATE TRIGGER after_plain AFTER INSERT ON plain BEGIN SELECT 1; END;
    PRAGMA user_version = 5; PRAGMA application_id = 6; ANALYZE;
"""


@pytest.fixture(params=["UTF-8", "UTF-16le"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / "sales.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"PRAGMA encoding = '{request.param}'; {SCRIPT}")
    return path


def read(path: Path) -> Contents:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return contents_of(db, lambda: False)


def test_vacuum_and_a_copy_of_the_rows_leave_the_contents_as_they_are(path: Path, tmp_path: Path) -> None:
    before = read(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
        db.execute("REINDEX")
        db.execute("VACUUM")
    assert before.differences(read(path)) == before.differences(read(tmp_path / "copy.db")) == []
    assert before.hash == read(path).hash
    assert before.unreadable == {}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("UPDATE plain SET b = 'two' WHERE a = 3", "rows of plain"),
        ("UPDATE plain SET b = CAST(b AS BLOB) WHERE a IS NULL", "rows of plain"),
        ("UPDATE plain SET b = 'with' WHERE a IS NULL", "rows of plain"),
        ("UPDATE plain SET b = CAST(x'fffd' AS TEXT) WHERE a = 3", "rows of plain"),
        ("UPDATE plain SET a = 2 WHERE a = 2.0", "rows of plain"),
        ("UPDATE plain SET a = '' WHERE a IS NULL", "rows of plain"),
        ("DELETE FROM plain WHERE a = 3", "rows of plain"),
        ("INSERT INTO keyed VALUES ('d', 1)", "rows of keyed"),
        ("UPDATE keyed SET v = CAST(v AS BLOB) WHERE k = 'c'", "rows of keyed"),
        ("UPDATE long SET value = CAST(value AS TEXT) WHERE rowid = 'first'", "rows of long"),
        ("UPDATE long SET value = zeroblob(2999999) || x'01' WHERE rowid = 'first'", "rows of long"),
        ("UPDATE long SET value = 5 WHERE rowid = 'third'", "rows of long"),
        ("UPDATE long SET value = 'Short' WHERE rowid = 'second'", "rows of long"),
        ("UPDATE long SET later = 'sooner' WHERE rowid = 'second'", "rows of long"),
        ("""UPDATE "odd ""name"" ü" SET "odd ""column" = 8""", 'rows of odd "name" ü'),
        ("""UPDATE "odd ""name"" ü" SET oid = zeroblob(99999)""", 'rows of odd "name" ü'),
        ("UPDATE words SET body = 'plums' WHERE rowid = 2", "rows of words_content"),
        ("UPDATE boxes SET x1 = 2 WHERE id = 1", "rows of boxes_node"),
        ("DELETE FROM sqlite_stat1", "rows of sqlite_stat1"),
        ("DROP TRIGGER after_plain", contents.SCHEMA),
        ("CREATE TABLE further(a)", contents.SCHEMA),
        ("PRAGMA user_version = 6", contents.SETTINGS),
        ("PRAGMA application_id = 7", contents.SETTINGS),
    ],
)
def test_each_difference_is_found(path: Path, change: str, part: str) -> None:
    before = read(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(change)
    after = read(path)
    assert part in before.differences(after)
    assert before.hash != after.hash


def test_a_computed_column_whose_function_is_missing_is_not_computed(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("secret", 1, lambda value: value, deterministic=True)
        db.executescript(
            "CREATE TABLE made(a, b AS (secret(a)), c); INSERT INTO made(a, c) VALUES (1, zeroblob(70000))"
        )
        before = contents_of(db, lambda: False)
    assert before.differences(read(path)) == []


@pytest.mark.parametrize("path", ["UTF-8"], indirect=True)
def test_names_that_are_no_text_are_told(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.create_function("no_text", 1, lambda text: text.encode().replace(b"XX", b"\xff"))
        db.executescript("CREATE TABLE XXnamed(a); INSERT INTO XXnamed VALUES (1); CREATE TABLE t(XXcolumn)")
        db.executescript("INSERT INTO t VALUES (1), (zeroblob(70000)); PRAGMA writable_schema = ON")
        for name in ("XXnamed", "t"):
            changes = ", ".join(f"{column} = CAST(no_text({column}) AS TEXT)" for column in ("name", "tbl_name", "sql"))
            db.execute(f"UPDATE sqlite_schema SET {changes} WHERE name = ?", (name,))
    found = read(path)
    assert [*found.unreadable] == ["\\xffnamed"]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE t SET rowid = 9 WHERE rowid = 2")
        assert found.differences(contents_of(db, lambda: False)) == []
        db.execute("DELETE FROM t WHERE rowid = 9")
    assert found.differences(read(path)) == ["rows of t"]


def test_a_long_value_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "long.db", isolation_level=None)) as db:
        db.executescript("CREATE TABLE t(a, b); INSERT INTO t VALUES (zeroblob(64000000), 'x')")
        tracemalloc.start()
        contents_of(db, lambda: False)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8_000_000


def test_a_default_may_be_long(path: Path) -> None:
    before = read(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"ALTER TABLE plain ADD COLUMN later TEXT DEFAULT '{'x' * 100_000}'")
        after = read(path)
        assert before.differences(after) == ["rows of plain", "schema"]
        db.execute("VACUUM")
    assert after.differences(read(path)) == []


def test_reading_a_long_value_can_be_cancelled(path: Path) -> None:
    def asked() -> Iterator[bool]:
        yield from (False, False, False)
        while True:
            yield True

    answers = asked()
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as db,
        pytest.raises(sqlite3.OperationalError, match="interrupted"),
    ):
        contents_of(db, lambda: next(answers))
