from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from engine.targets.sqlite.planning import costs
from engine.targets.sqlite.planning.costs import Cost
from engine.targets.sqlite.reading.catalog import Index, Table, Texts
from tests.sqlite_files import executed_opcodes

ROWS = 2_000
USERS = Table(
    name="users",
    columns=4,
    rows=ROWS,
    indexes=(
        Index(name="users_by_email", table="users", rows=ROWS, unique=True, columns=2),
        Index(name="users_by_city", table="users", rows=ROWS, columns=3),
        Index(name="absent", table="users", rows=ROWS, partial=True, columns=2),
    ),
)
ENTRIES = Table(
    name="entries",
    columns=3,
    rows=ROWS,
    without_rowid=True,
    indexes=(Index(name="entries_by_time", table="entries", rows=ROWS, columns=2),),
)
LOG = Table(name="log", columns=2, rows=ROWS)
TABLES = (USERS, ENTRIES, LOG)


def opcodes(cost: Cost) -> float:
    return cost.course[-1][0]


def seconds(cost: Cost) -> float:
    return cost.course[-1][1]


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.executescript(
            """
            CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT NOT NULL, city TEXT, name TEXT NOT NULL);
            CREATE UNIQUE INDEX users_by_email ON users(email);
            CREATE INDEX users_by_city ON users(city, name);
            CREATE INDEX absent ON users(email) WHERE city IS NULL;
            CREATE TABLE entries(key TEXT PRIMARY KEY, at INTEGER, value BLOB) WITHOUT ROWID;
            CREATE INDEX entries_by_time ON entries(at);
            CREATE TABLE log(id INTEGER PRIMARY KEY REFERENCES users, message TEXT REFERENCES users(email));
            """
        )
        for number in range(ROWS):
            name = f"{number * 7919 % ROWS:05}"
            db.execute("INSERT INTO users VALUES (?, ?, ?, ?)", (number, name, f"city {number % 9}", name))
            db.execute("INSERT INTO entries VALUES (?, ?, ?)", (name, number, b"value"))
            db.execute("INSERT INTO log VALUES (?, ?)", (number, name))
        yield db


@pytest.mark.parametrize("index", [index for table in TABLES for index in table.indexes], ids=lambda index: index.name)
def test_the_opcodes_of_a_reindex_are_known(db: sqlite3.Connection, index: Index) -> None:
    expected = opcodes(costs.reindex(index, 0, 4096))
    assert expected == pytest.approx(executed_opcodes(db, f"REINDEX main.{index.name}"), rel=0.05)


def test_the_more_bytes_an_old_index_has_for_its_rows_the_more_of_the_time_is_without_opcodes() -> None:
    index = replace(USERS.indexes[0], rows=1_000_000)

    def silent(volume: int, page_size: int = 4096) -> float:
        *_, (_, written), (_, _), (_, _), (_, whole) = costs.reindex(index, volume, page_size).course
        return (whole - written) / whole

    assert 0.2 < silent(10_000_000) < silent(40_000_000) < silent(40_000_000, 1024) < 0.8
    table = replace(index, is_table=True, columns=4)
    assert seconds(costs.reindex(table, 150_000_000, 4096)) > 1.8 * seconds(costs.reindex(table, 50_000_000, 4096))
    assert costs.reindex(replace(index, partial=True), 10_000_000, 4096) == costs.reindex(
        replace(index, partial=True), 0, 4096
    )


def test_entries_in_the_order_of_their_rows_are_sorted_sooner() -> None:
    index = replace(USERS.indexes[0], rows=1_000_000)
    read = [costs.reindex(index, 15_000_000, 4096, in_order=share).course[1][1] for share in (0.0, 0.5, 1.0)]
    assert read[1] == pytest.approx((read[0] + read[2]) / 2)
    assert 1.5 * read[2] < read[0]


def test_of_large_pages_sqlite_sorts_much_at_once_after_the_old_index_is_removed() -> None:
    index = replace(USERS.indexes[0], rows=1_000_000)

    def sorting(page_size: int) -> float:
        *_, (_, removed), (_, in_order), (_, whole) = costs.reindex(index, 15_000_000, page_size).course
        return (in_order - removed) / whole

    assert sorting(4096) == 0
    assert 0.2 < sorting(65_536) < 0.6


@pytest.mark.parametrize("table", [USERS, ENTRIES], ids=lambda table: table.name)
def test_the_opcodes_of_an_analyze_are_known_roughly(db: sqlite3.Connection, table: Table) -> None:
    assert opcodes(costs.analyze(table)) == pytest.approx(executed_opcodes(db, f"ANALYZE main.{table.name}"), rel=0.35)


def test_the_opcodes_of_an_analyze_of_everything_are_known_roughly(db: sqlite3.Connection) -> None:
    ((expected, _),) = costs.analyze_course(TABLES)[1:]
    assert expected == pytest.approx(executed_opcodes(db, "ANALYZE main"), rel=0.35)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_opcodes_of_a_full_check_are_known_roughly(db: sqlite3.Connection, table: Table) -> None:
    found = executed_opcodes(db, f"PRAGMA integrity_check({table.name})")
    assert opcodes(costs.full_check([table])) == pytest.approx(found, rel=0.25)


def test_the_opcodes_of_a_quick_check_of_everything_are_known_roughly(db: sqlite3.Connection) -> None:
    ((pages,),) = db.execute("PRAGMA page_count")
    expected = opcodes(costs.quick_check(TABLES, pages=pages))
    assert expected == pytest.approx(executed_opcodes(db, "PRAGMA quick_check"), rel=0.25)


def test_the_opcodes_of_a_look_at_foreign_keys_are_known_roughly(db: sqlite3.Connection) -> None:
    found = executed_opcodes(db, "PRAGMA foreign_key_check")
    assert opcodes(costs.foreign_keys(TABLES, {"log": 2})) == pytest.approx(found, rel=0.25)
    assert costs.foreign_keys([Table(name="huge")], {"huge": 1}) == Cost()


def test_of_a_table_whose_rows_nobody_has_counted_nothing_is_known() -> None:
    unknown = Table(name="huge", columns=2)
    assert costs.reindex(Index(name="i", table="huge"), 10_000_000, 4096) == Cost()
    assert costs.analyze(unknown) == costs.full_check([unknown]) == costs.quick_check([unknown]) == Cost()


def test_what_is_not_known_of_a_part_leaves_the_rest_known() -> None:
    assert costs.full_check([USERS, Table(name="huge")], pages=8) == costs.full_check([USERS], pages=8)


def test_a_check_looks_at_the_structure_of_all_pages_first_and_then_at_table_after_table() -> None:
    points = list(costs.quick_check(TABLES, pages=100).course)
    assert [points[0][0], points[1][0], len(points)] == [0, 100, 2 + len(TABLES)]
    assert points == sorted(points)


def test_a_check_reads_texts_in_the_end_and_then_looks_at_their_index_almost_without_opcodes() -> None:
    *_, rows, read, found = costs.quick_check(TABLES, pages=100, texts=[Texts(rows=10, words=1000)]).course
    assert rows[0] < read[0] == found[0]
    assert rows[1] < read[1] < found[1]
    assert costs.full_check(TABLES, pages=100, texts=[Texts(rows=10, words=0)]) == costs.full_check(TABLES, pages=100)


def test_a_table_with_many_entries_on_its_pages_takes_longer_to_look_through() -> None:
    few, many = (costs.quick_check([replace(LOG, rows=rows)], pages=1000).course[1] for rows in (1000, 100_000))
    assert few[0] == many[0]
    assert few[1] < many[1]


def test_an_analyze_with_a_limit_looks_at_no_more_rows_than_that() -> None:
    assert opcodes(costs.analyze(USERS, 100)) == pytest.approx(opcodes(costs.analyze(USERS)) * 100 / ROWS, rel=0.05)
    assert costs.analyze(USERS, 10 * ROWS) == costs.analyze(USERS)


def test_a_full_check_looks_whether_rows_without_rowid_are_in_order_which_is_no_search() -> None:
    table = Table(name="k", columns=4, rows=1_000_000, without_rowid=True, checked=11, compared=14)
    quick, full = costs.quick_check([table]), costs.full_check([table])
    assert opcodes(full) / opcodes(quick) == pytest.approx(14 / 11, rel=0.01)
    assert (full.seconds or 0) / (quick.seconds or 1) == pytest.approx(14 / 11, rel=0.01)
    searched = costs.full_check([replace(table, without_rowid=False)]).seconds or 0
    assert searched > 2 * (full.seconds or 0)


def test_entries_of_indexes_take_longer_to_look_at_than_rows_in_their_order() -> None:
    rows, entries = replace(LOG, rows=4_000_000), replace(USERS, rows=1_000_000)
    by_rows, by_entries = (costs.quick_check([table], pages=1000).course[1] for table in (rows, entries))
    assert by_rows[1] < by_entries[1]
