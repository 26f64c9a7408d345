from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from engine.targets.sqlite.connection.names import connection_uri, literal, quote


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t(a)")
        yield db


# Names that begin with sqlite_ are SQLite's own, and a lone surrogate is no Unicode text.
_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).filter(
    lambda name: not name.lower().startswith("sqlite_") and name.lower() not in {"t", "main"}
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=_names)
@example(name="order")
@example(name='a"b')
@example(name='"')
@example(name="my-index")
@example(name="sqliteX_idx")
@example(name="ünïcode idx")
@example(name="two\nlines")
@example(name="nocase")
@example(name="")
@example(name="x; DROP TABLE t; --")
def test_r10_any_name_survives_quoting(db: sqlite3.Connection, name: str) -> None:
    db.execute(f"CREATE INDEX main.{quote(name)} ON t(a)")
    try:
        (stored,) = db.execute("SELECT name FROM sqlite_schema WHERE type = 'index'").fetchall()
        assert stored == (name,)
        db.execute(f"REINDEX main.{quote(name)}")
    finally:
        db.execute(f"DROP INDEX main.{quote(name)}")
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_r10_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
@example(text="it's")
def test_any_text_survives_as_a_literal(db: sqlite3.Connection, text: str) -> None:
    assert db.execute(f"SELECT {literal(text)}").fetchone() == (text,)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.binary(min_size=1).filter(lambda path: 0 not in path))
@example(path=b"b\xff's.db")
def test_any_path_survives_as_a_literal(db: sqlite3.Connection, path: bytes) -> None:
    ((stored,),) = db.execute(f"SELECT CAST({literal(os.fsdecode(path))} AS BLOB)").fetchall()
    assert stored == path


def test_only_what_may_be_written_is_opened_for_it() -> None:
    assert connection_uri("/a b?.db") == "file:/a%20b%3F.db?mode=rw"
    assert connection_uri("/a.db", writing=False) == "file:/a.db?mode=ro"
