"""The tables and indexes of real databases with any names, and their numbers of rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.errors import UsageError
from engine.system.sqlite_threads import in_its_thread
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.names import connection_uri, folded
from engine.targets.sqlite.reading.catalog import Index, Table
from engine.targets.sqlite.reading.shape import known_rows, named_indexes, named_tables, read_tables, with_rows
from tests.sqlite_files import set_schema_sql


async def tables_read_by(connection: aiosqlite.Connection) -> list[Table]:
    return await in_its_thread(connection, lambda db: read_tables(lambda sql: db.execute(sql).fetchall()))


async def tables_of(path: Path, *, counting: float = 60) -> dict[str, Table]:
    connection = await statement.open_connection(connection_uri(str(path)), statement.LockWait(1))
    try:
        tables = await tables_read_by(connection)
        return {table.name: table for table in await with_rows(connection, tables, counting=counting, sampling=60)}
    finally:
        await statement.close(connection)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            CREATE TABLE plain(a, b UNIQUE, c);
            CREATE INDEX some ON plain(a, c) WHERE a > 1;
            CREATE INDEX of_expression ON plain(a + c);
            CREATE TABLE keyed(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID;
            CREATE VIRTUAL TABLE words USING fts5(text);
            CREATE VIEW v AS SELECT * FROM plain;
            INSERT INTO plain VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
            INSERT INTO keyed VALUES (1, 1), (1, 2);
            DELETE FROM plain WHERE a = 1;
        """)
    return path


async def test_tables_with_pages_of_their_own_and_their_indexes(path: Path) -> None:
    tables = await tables_of(path)
    shadows = [f"words_{suffix}" for suffix in ("data", "idx", "content", "docsize", "config")]
    assert list(tables) == ["plain", "keyed", *shadows]
    assert tables["plain"] == Table(
        name="plain",
        columns=3,
        rows=2,
        indexes=(
            Index(name="sqlite_autoindex_plain_1", table="plain", automatic=True, unique=True, columns=2, rows=2),
            Index(name="some", table="plain", partial=True, columns=3, rows=2),
            Index(name="of_expression", table="plain", columns=2, rows=2),
        ),
    )
    assert tables["keyed"] == Table(name="keyed", columns=2, without_rowid=True, rows=2)


async def test_a_table_of_which_samples_tell_nothing_is_counted_or_is_as_its_statistics_say(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            CREATE TABLE many(a);
            CREATE TABLE keyed(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1600)
                INSERT INTO many SELECT i FROM n;
            INSERT INTO keyed SELECT a, a FROM many;
        """)
        assert (await tables_of(path))["keyed"].rows == 1600
        tables = await tables_of(path, counting=0)
        assert (tables["many"].rows, tables["keyed"].rows) == (1600, None)
        db.execute("ANALYZE")
        db.execute("DELETE FROM many")
        db.execute("INSERT INTO keyed SELECT a, -a FROM keyed")
        db.commit()
    tables = await tables_of(path, counting=0)
    assert (tables["many"].rows, tables["keyed"].rows) == (0, 1600)
    assert (tables["many"].known_rows, tables["keyed"].known_rows) == (1600, 1600)


async def test_where_there_is_no_time_for_samples_the_statistics_tell(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("ANALYZE")
        db.execute("DELETE FROM plain")
        db.commit()
    connection = await statement.open_connection(connection_uri(str(path)), statement.LockWait(1))
    try:
        tables = await tables_read_by(connection)
        rows = {table.name: table.rows for table in await with_rows(connection, tables, counting=0, sampling=0)}
    finally:
        await statement.close(connection)
    assert (rows["plain"], rows["keyed"]) == (2, 2)


async def test_the_rows_of_a_full_text_index_with_its_scattered_rowids_are_not_overestimated(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE t(a)")
        db.executemany(
            "INSERT INTO t(rowid) VALUES (?)", ((segment << 37 | page,) for segment in range(5) for page in range(50))
        )
        db.commit()
    assert (await tables_of(tmp_path / "a.db"))["t"].rows == 250


@pytest.mark.parametrize(
    "rowids",
    [
        range(1, 5_000),
        range(100_000, 105_000),
        range(0, 90_000, 9),
        [number for number in range(20_000) if number % 40 >= 7],
        [number * 2_654_435_761 % (1 << 40) for number in range(5_000)],
        [7],
        [],
    ],
)
async def test_how_many_rows_there_are_is_seen_from_how_close_their_rowids_are(
    tmp_path: Path, rowids: Sequence[int]
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE t(a)")
        db.executemany("INSERT INTO t(rowid) VALUES (?)", ((rowid,) for rowid in rowids))
        db.commit()
    rows = (await tables_of(tmp_path / "a.db", counting=0))["t"].rows
    assert rows is not None
    assert rows == pytest.approx(len(rowids), rel=0.1, abs=1)


@pytest.mark.parametrize(
    ("columns", "rows"), [("rowid", 1600), ("RowId, _rowid_", 1600), ("rowid, oid, _rowid_", None), ("a, oid", 1600)]
)
async def test_a_column_that_is_called_like_the_rowid_is_not_taken_for_it(
    tmp_path: Path, columns: str, rows: int | None
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute(f"CREATE TABLE t({columns})")
        values = ", ".join("printf('%d', i * 1000)" for _ in columns.split(", "))
        db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1600) "
            f"INSERT INTO t SELECT {values} FROM n"
        )
        db.commit()
    assert (await tables_of(tmp_path / "a.db", counting=0))["t"].rows == rows


async def test_there_are_no_more_rows_than_the_file_has_room_for(tmp_path: Path) -> None:
    rowids = [-(1 << 63), *range(100), (1 << 63) - 1]
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.execute("CREATE TABLE t(a)")
        db.executemany("INSERT INTO t(rowid) VALUES (?)", ((rowid,) for rowid in rowids))
        db.commit()
    rows = (await tables_of(tmp_path / "a.db", counting=0))["t"].rows
    assert rows is not None
    assert rows <= (tmp_path / "a.db").stat().st_size / 4


async def test_rows_that_cannot_be_counted_are_unknown(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema"))
    with path.open("r+b") as file:
        for name in ("plain", "sqlite_autoindex_plain_1", "some", "of_expression"):
            file.seek((roots[name] - 1) * 4096)
            file.write(b"\xff" * 4096)
    tables = await tables_of(path)
    assert (tables["plain"].rows, tables["keyed"].rows) == (None, 2)


@pytest.mark.parametrize("stat", ["", "x", "²", "9" * 5000, "-1", None, 7, b"\xff"])
async def test_statistics_that_make_no_sense_are_no_reason_to_fail(path: Path, stat: object) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("ANALYZE")
        db.execute("UPDATE sqlite_stat1 SET stat = ?", (stat,))
        db.execute("INSERT INTO sqlite_stat1 VALUES (NULL, NULL, '5'), (x'ff', 'x', '5')")
        db.commit()
    assert (await tables_of(path))["plain"].rows == 2


async def test_names_that_only_unicode_takes_for_one_are_two(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        for name in ("ß", "ss", "Ä", "ä"):
            db.execute(f'CREATE TABLE "{name}"(a)')
            db.execute(f'CREATE INDEX "on {name}" ON "{name}"(a)')
    tables = await tables_of(path)
    assert {name: [index.name for index in table.indexes] for name, table in tables.items()} == {
        name: [f"on {name}"] for name in ("ß", "ss", "Ä", "ä")
    }
    assert [index.table for index in named_indexes([*tables.values()], ("ss", "ä"))] == ["ss", "ä"]


@given(one=st.text(), other=st.text())
def test_names_are_the_same_for_us_where_they_are_for_sqlite(one: str, other: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        for left, right in ((one, other), (one, one.upper()), (one, one.swapcase()), (one, one.casefold())):
            if not any(0xD800 <= ord(char) <= 0xDFFF or char == "\0" for char in left + right):
                ((same,),) = db.execute("SELECT ? = ? COLLATE NOCASE", (left, right))
                assert (folded(left) == folded(right)) == same


PLAIN = Table(name="Plain", indexes=(Index(name="One", table="Plain"), Index(name="two", table="Plain")))
OTHER = Table(name="other", indexes=(Index(name="three", table="other"),))


@pytest.mark.parametrize(
    ("objects", "tables", "indexes"),
    [
        ((), ["Plain", "other"], ["One", "two", "three"]),
        (("PLAIN",), ["Plain"], ["One", "two"]),
        (("one",), ["Plain"], ["One"]),
        (("three", "TWO"), ["Plain", "other"], ["two", "three"]),
        (("plain", "one"), ["Plain"], ["One", "two"]),
    ],
)
def test_objects_are_tables_or_indexes(objects: tuple[str, ...], tables: list[str], indexes: list[str]) -> None:
    assert [table.name for table in named_tables([PLAIN, OTHER], objects)] == tables
    assert [index.name for index in named_indexes([PLAIN, OTHER], objects)] == indexes


def test_objects_that_are_not_there_are_all_named() -> None:
    for named in (named_tables, named_indexes):
        with pytest.raises(UsageError, match=r"^x, y: "):
            named([PLAIN, OTHER], ("x", "plain", "y"))


def test_without_statistics_nothing_is_known(tmp_path: Path) -> None:
    def read(sql: str) -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "a.db")) as db:
            return db.execute(sql).fetchall()

    assert known_rows(read) == {}


async def test_a_table_whose_module_is_missing_has_no_pages_of_its_own(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        set_schema_sql(db, "words", "CREATE VIRTUAL TABLE words USING klingon(text)")
    assert "words" not in await tables_of(path)
