from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.targets.sqlite.reading.check_program import opcodes_a_row
from tests.sqlite_files import executed_opcodes

ROWS = 1_000


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        yield db


@pytest.mark.parametrize("check", ["quick_check", "integrity_check"])
@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT NOT NULL, c TEXT NOT NULL CHECK (length(c) >= 1 AND c <> 'x'))",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT CHECK (b IN ('k', 'l', 'm') OR b IS NOT NULL), c TEXT) STRICT",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c UNIQUE); CREATE INDEX i ON t(b, c); CREATE INDEX j ON t(c DESC)",
        "CREATE TABLE t(a TEXT, b NOT NULL, c, PRIMARY KEY(b, c)) WITHOUT ROWID; CREATE INDEX i ON t(c)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b, c, d AS (b || c), e AS (a + 1) STORED); CREATE INDEX i ON t(d)",
    ],
)
def test_the_program_of_a_check_tells_how_many_opcodes_it_executes(
    db: sqlite3.Connection, schema: str, check: str
) -> None:
    db.executescript(schema)
    rows = [(number, f"b {number}", f"c {number}") for number in range(1, ROWS + 1)]
    db.executemany("INSERT INTO t(a, b, c) VALUES (?, ?, ?)", rows)
    ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 't'")
    program = [row[1:4] for row in db.execute(f"EXPLAIN PRAGMA {check}")]
    assert ROWS * opcodes_a_row(program)[root] == pytest.approx(executed_opcodes(db, f"PRAGMA {check}"), rel=0.2)


def test_every_table_has_its_own_number(db: sqlite3.Connection) -> None:
    db.executescript("CREATE TABLE few(a); CREATE TABLE more(a, b TEXT NOT NULL, c TEXT NOT NULL)")
    roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema"))
    found = opcodes_a_row([row[1:4] for row in db.execute("EXPLAIN PRAGMA quick_check")])
    assert 0 < found[roots["few"]] < found[roots["more"]]


_opcodes = st.sampled_from(["Rewind", "OpenRead", "Next", "Goto", "IsType", "Eq", "String8", "ResultRow", "Column"])


@given(st.lists(st.tuples(_opcodes, st.integers(0, 3), st.integers(-2, 40)), max_size=40))
def test_whatever_the_program_is_reading_it_ends(program: list[tuple[str, int, int]]) -> None:
    assert all(number >= 0 for number in opcodes_a_row(program).values())
