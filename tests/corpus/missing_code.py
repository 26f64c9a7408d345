"""Sound databases that need collations, functions and modules of an application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from tests.corpus.case import NAME, Build, Case, Trouble, cases, spoilt, unsynced
from tests.corpus.schemas import PEOPLE
from tests.sqlite_files import schema_surgery


def _by_an_application(*statements: str, name: str = NAME) -> Build:
    """What an application makes that has the collation `german` and the functions `twice` and `shout`."""

    def build(directory: Path) -> Path:
        path = directory / name
        with unsynced(path) as db:
            db.create_collation("german", lambda a, b: (a > b) - (a < b))
            db.create_collation('it\'s "own"\x1b[31m', lambda a, b: (a > b) - (a < b))
            db.create_function("twice", 1, lambda value: value * 2, deterministic=True)
            db.create_function("shout", 1, str.upper, deterministic=True)
            db.executescript(PEOPLE)
            for statement in statements:
                db.execute(statement)
        return path

    return build


def _with_text_replaced(*statements: str, old: str, new: str) -> Build:
    """As an application makes it whose module or tokenizer has another name."""

    def replace(path: Path) -> None:
        with unsynced(path) as db, schema_surgery(db):
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (old, new))

    return spoilt(_by_an_application(*statements), replace)


def _changed(change: Callable[[Connection], object], *statements: str) -> Build:
    def spoil(path: Path) -> None:
        with unsynced(path) as db:
            change(db)

    return spoilt(_by_an_application(*statements), spoil)


FTS: Final = ("INSERT INTO s SELECT 'word' || i FROM n", "INSERT INTO s VALUES ('more')")

CASES: Final[tuple[Case, ...]] = cases(
    Trouble.MISSING_CODE,
    (
        (
            "collation of an index",
            _by_an_application("CREATE INDEX i ON person(name COLLATE german)", "CREATE INDEX j ON person(born)"),
        ),
        (
            "collation of a column with an index",
            _by_an_application("CREATE TABLE t(a COLLATE german UNIQUE, b)", "INSERT INTO t SELECT 'x' || i, i FROM n"),
        ),
        (
            "collation of a column without an index",
            _by_an_application("CREATE TABLE t(a COLLATE german, b UNIQUE)", "INSERT INTO t SELECT 'x' || i, i FROM n"),
        ),
        (
            "collation of a key without rowid",
            _by_an_application(
                "CREATE TABLE t(a COLLATE german PRIMARY KEY, b UNIQUE) WITHOUT ROWID",
                "INSERT INTO t SELECT 'x' || i, i FROM n",
            ),
        ),
        (
            "collation in an expression index",
            _by_an_application("CREATE INDEX i ON person(lower(name) COLLATE german DESC, born)"),
        ),
        (
            "collation in a WHERE of an index",
            _by_an_application("CREATE INDEX i ON person(born) WHERE name > 'N' COLLATE german"),
        ),
        (
            "collation in a view",
            _by_an_application("CREATE VIEW v AS SELECT * FROM person ORDER BY name COLLATE german"),
        ),
        (
            "collation in a CHECK",
            _by_an_application("CREATE TABLE t(a CHECK (a > 'x' COLLATE german))", "INSERT INTO t VALUES ('y')"),
        ),
        (
            "collation in a generated column",
            _by_an_application(
                "CREATE TABLE t(a, b AS (a > 'x' COLLATE german))",
                "INSERT INTO t VALUES ('y')",
                "CREATE INDEX i ON t(b)",
            ),
        ),
        (
            "collation with a hostile name",
            _by_an_application('CREATE INDEX i ON person(name COLLATE "it\'s ""own""\x1b[31m")'),
        ),
        ("collation of an empty table", _by_an_application("CREATE TABLE t(a COLLATE german PRIMARY KEY)")),
        (
            "function in an index",
            _by_an_application("CREATE INDEX i ON person(shout(name))", "CREATE INDEX j ON person(born)"),
        ),
        (
            "function in a WHERE of an index",
            _by_an_application("CREATE INDEX i ON person(name) WHERE twice(born) > 3900"),
        ),
        (
            "function in a generated column",
            _by_an_application("CREATE TABLE t(a INT, b AS (twice(a)))", "INSERT INTO t SELECT i FROM n"),
        ),
        (
            "function in a stored column",
            _by_an_application("CREATE TABLE t(a INT, b AS (twice(a)) STORED)", "INSERT INTO t SELECT i FROM n"),
        ),
        (
            "function in a generated column with an index",
            _by_an_application(
                "CREATE TABLE t(a INT, b AS (twice(a)))", "INSERT INTO t SELECT i FROM n", "CREATE INDEX i ON t(b)"
            ),
        ),
        (
            "function in a stored column with an index",
            _by_an_application("CREATE TABLE t(a INT, b AS (twice(a)) STORED UNIQUE)", "INSERT INTO t SELECT i FROM n"),
        ),
        (
            "function in a CHECK",
            _by_an_application("CREATE TABLE t(a CHECK (twice(a) > 1))", "INSERT INTO t SELECT i FROM n"),
        ),
        (
            "function in a default",
            _by_an_application("CREATE TABLE t(a, b DEFAULT (twice(2)))", "INSERT INTO t(a) SELECT i FROM n"),
        ),
        (
            "function in a view and a trigger",
            _by_an_application(
                "CREATE VIEW v AS SELECT shout(name) FROM person",
                "CREATE TRIGGER t AFTER INSERT ON person BEGIN SELECT twice(new.id); END",
            ),
        ),
        (
            "module",
            _with_text_replaced("CREATE VIRTUAL TABLE s USING fts5(a)", *FTS, old="USING fts5", new="USING vec0"),
        ),
        (
            "module with a hostile name",
            _with_text_replaced(
                "CREATE VIRTUAL TABLE s USING fts5(a)", *FTS, old="USING fts5", new='USING "\x1b[31m[red]"'
            ),
        ),
        (
            "module of a table without shadows",
            _with_text_replaced("CREATE VIRTUAL TABLE s USING dbstat", old="USING dbstat", new="USING generate_series"),
        ),
        (
            "fts5 tokenizer",
            _with_text_replaced(
                "CREATE VIRTUAL TABLE s USING fts5(a, tokenize = 'unicode61')", *FTS, old="'unicode61'", new="'jieba'"
            ),
        ),
        (
            "fts5 tokenizer, beside a sound fts5",
            _with_text_replaced(
                "CREATE VIRTUAL TABLE s USING fts5(a, tokenize = 'unicode61')",
                *FTS,
                "CREATE VIRTUAL TABLE sound USING fts5(a)",
                "INSERT INTO sound VALUES ('x')",
                old="'unicode61'",
                new="'jieba'",
            ),
        ),
        (
            "fts4 tokenizer",
            _with_text_replaced(
                "CREATE VIRTUAL TABLE s USING fts4(a, tokenize=porter)", *FTS, old="tokenize=porter", new="tokenize=icu"
            ),
        ),
        (
            "fts4 functions",
            _with_text_replaced(
                "CREATE VIRTUAL TABLE s USING fts4(a, compress=upper, uncompress=lower)",
                *FTS,
                old="=upper",
                new="=zipped",
            ),
        ),
        (
            "a table without its shadow tables",
            _changed(lambda db: _forget(db, "s_data"), "CREATE VIRTUAL TABLE s USING fts5(a)", *FTS),
        ),
        (
            "fts5 on a table that is gone",
            _changed(
                lambda db: db.execute("DROP TABLE t"),
                "CREATE TABLE t(id INTEGER PRIMARY KEY, a)",
                "INSERT INTO t SELECT i, 'w' || i FROM n",
                "CREATE VIRTUAL TABLE s USING fts5(a, content = t, content_rowid = id)",
                "INSERT INTO s(s) VALUES ('rebuild')",
            ),
        ),
        (
            "fts5 of a future version",
            _changed(
                lambda db: db.execute("UPDATE s_config SET v = 99 WHERE k = 'version'"),
                "CREATE VIRTUAL TABLE s USING fts5(a)",
                *FTS,
            ),
        ),
    ),
)


def _forget(db: Connection, table: str) -> None:
    with schema_surgery(db):
        db.execute("DELETE FROM sqlite_schema WHERE name = ?", (table,))
