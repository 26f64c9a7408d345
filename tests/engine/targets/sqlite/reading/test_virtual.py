"""Which module a virtual table is made with, as its definition says it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.virtual import FULL_TEXT, made_with, module_of


@pytest.mark.parametrize(
    ("sql", "module"),
    [
        ("CREATE VIRTUAL TABLE a USING fts5(x)", "fts5"),
        ("create virtual\n\ttable a using FTS5(x)", "fts5"),
        ("CREATE VIRTUAL TABLE a USING/* fts4 */fts3", "fts3"),
        ("CREATE VIRTUAL TABLE a -- USING fts5(\n USING rtree(id, x, y)", "rtree"),
        ('CREATE VIRTUAL TABLE "a ""using fts5("USING "fts4"(x)', "fts4"),
        ("CREATE VIRTUAL TABLE [using fts5] USING [rtree](id, x, y)", "rtree"),
        ("CREATE VIRTUAL TABLE main . größe USING fts5(x)", "fts5"),
        ("CREATE VIRTUAL TABLE a USING ftsx(fts5, fts4)", "ftsx"),
        ("CREATE TABLE a(x)", None),
    ],
)
def test_the_module_is_what_follows_using(sql: str, module: str | None) -> None:
    assert module_of(sql) == module


def test_other_modules_with_names_like_those_of_full_text_are_none() -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript("""
            CREATE VIRTUAL TABLE IF NOT EXISTS "the search" USING fts5(x);
            CREATE VIRTUAL TABLE old USING fts4(x);
            CREATE VIRTUAL TABLE fts5_places USING rtree(id, fts51, fts52);
            CREATE TABLE plain(x);
        """)
        rows = db.execute(query("virtual_tables")).fetchall()
    assert [name for name, _ in made_with(FULL_TEXT, rows)] == ["the search", "old"]
    assert [name for name, _ in made_with(frozenset({"fts5"}), rows)] == ["the search"]
