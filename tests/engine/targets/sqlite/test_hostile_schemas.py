"""Files that anybody may have made: no operation runs what their schemas hold, and SQL of dbtend reads SQLite's own."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import engine
from engine.domain.advice import TargetHistory
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.inspection import inspector
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.target import SqliteTarget
from tests.engine.targets.sqlite.a_session import connected, execute, plan, run, statuses
from tests.sqlite_files import schema_surgery

_SHADOWS = ("data", "idx", "content", "docsize", "config")
_BODY = "BEGIN DELETE FROM precious; END"
UNQUALIFIED = re.compile(r"(?<![.\w])(?:pragma_\w+|dbstat|sqlite_(?:schema|master|sequence|dbpage|stat[1-4]))\b(?!')")
_SQL = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s", re.IGNORECASE)


def database(path: Path, *statements: str) -> Path:
    """A full-text index in several segments, and a table whose rows must stay."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("CREATE TABLE precious(a); INSERT INTO precious VALUES (1), (2), (3);")
        db.execute("CREATE VIRTUAL TABLE docs USING fts5(text)")
        for number in range(20):
            db.execute("INSERT INTO docs VALUES (?)", (f"word{number} and more",))
        for one in statements:
            db.execute(one)
    return path


def precious(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT count(*) FROM precious").fetchone()[0])


def before_its_index(path: Path) -> None:
    """SQLite reads the trigger before it knows that the table belongs to a module."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db, schema_surgery(db):
        rowid = "SELECT rowid FROM sqlite_schema WHERE name = 'docs'"
        db.execute(f"UPDATE sqlite_schema SET rowid = 10000 WHERE rowid = ({rowid})")


def as_it_is(path: Path) -> None:
    pass


def _triggers() -> Iterator[str]:
    for table in _SHADOWS:
        for event in ("INSERT", "DELETE", "UPDATE"):
            yield f"CREATE TRIGGER evil AFTER {event} ON docs_{table} {_BODY}"
    yield f"CREATE TRIGGER evil BEFORE DELETE ON DOCS_DATA {_BODY}"
    yield f"CREATE TRIGGER evil AFTER UPDATE OF block ON docs_data {_BODY}"


@pytest.mark.parametrize("surgery", [as_it_is, before_its_index])
@pytest.mark.parametrize("trigger", _triggers())
async def test_a_full_text_index_with_a_trigger_on_its_tables_is_not_written(
    trigger: str, surgery: Callable[[Path], None], tmp_path: Path
) -> None:
    path = database(tmp_path / "docs.db", trigger)
    surgery(path)
    planned = await plan(path, Operation.FTS_OPTIMIZE)
    assert planned.refused is not None
    assert not planned.steps
    assert precious(path) == 3


async def test_a_trigger_that_comes_after_the_plan_is_not_run(tmp_path: Path) -> None:
    path = database(tmp_path / "docs.db")
    async with connected(path) as (session, _):
        (step,) = (await session.plan(Operation.FTS_OPTIMIZE, Options())).steps
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute(f"CREATE TRIGGER evil AFTER DELETE ON docs_data {_BODY}")
        result = await execute(session, step)
    assert result.status is Status.FAILED
    assert precious(path) == 3


def put_view(path: Path, name: str, select: str, trigger: str) -> None:
    """A view in the place of a table of the index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"CREATE VIEW other AS {select}")
        db.execute(f"CREATE TRIGGER evil INSTEAD OF {trigger} ON other {_BODY}")
        with schema_surgery(db):
            db.execute("DELETE FROM sqlite_schema WHERE tbl_name = ?", (name,))
            db.execute(
                "UPDATE sqlite_schema SET name = replace(name, 'other', ?1), tbl_name = ?1,"
                " sql = replace(sql, ' other ', ?2) WHERE tbl_name = 'other'",
                (name, f" {name} "),
            )


ENDLESS = "WITH RECURSIVE n(segid, term, pgno) AS (SELECT 1, 'a', 1 UNION ALL SELECT segid + 1, term, pgno FROM n)"


async def test_a_view_in_the_place_of_a_table_of_the_index_is_neither_read_nor_written(tmp_path: Path) -> None:
    path = database(tmp_path / "docs.db")
    put_view(path, "docs_idx", f"{ENDLESS} SELECT segid, term, pgno FROM n", "INSERT")
    assert (await plan(path, Operation.FTS_OPTIMIZE)).refused is not None
    await inspector.advise(str(path), TargetHistory(now=0), budget=None)
    assert precious(path) == 3


async def test_a_virtual_table_in_the_place_of_a_table_of_the_index_is_not_written(tmp_path: Path) -> None:
    path = database(tmp_path / "docs.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE VIRTUAL TABLE other USING fts5(id, block)")
        db.execute(f"CREATE TRIGGER evil AFTER INSERT ON other_content {_BODY}")
        with schema_surgery(db):
            db.execute("DELETE FROM sqlite_schema WHERE name = 'docs_data'")
            db.execute(
                "UPDATE sqlite_schema SET name = replace(name, 'other', 'docs_data'),"
                " tbl_name = replace(tbl_name, 'other', 'docs_data'), sql = replace(sql, 'other', 'docs_data')"
                " WHERE tbl_name LIKE 'other%'"
            )
    assert (await plan(path, Operation.FTS_OPTIMIZE)).refused is not None
    assert precious(path) == 3


@pytest.mark.parametrize("module", ["fts4", "fts5"])
async def test_vacuum_is_refused_where_the_rebuild_after_it_would_run_a_trigger(module: str, tmp_path: Path) -> None:
    content = "content='note'" if module == "fts4" else "content=note"
    table = "docs2_segments" if module == "fts4" else "docs2_data"
    path = database(
        tmp_path / "docs.db",
        "CREATE TABLE note(text)",
        "INSERT INTO note VALUES ('a b'), ('c d')",
        "DELETE FROM note WHERE rowid = 1",
        f"CREATE VIRTUAL TABLE docs2 USING {module}(text, {content})",
        "INSERT INTO docs2(docs2) VALUES ('rebuild')",
        f"CREATE TRIGGER evil AFTER INSERT ON {table} {_BODY}",
    )
    planned = await plan(path, Operation.VACUUM, force=True)
    assert planned.refused is not None
    assert "docs2" in planned.refused
    assert precious(path) == 3


async def test_everything_else_still_runs_on_a_file_with_such_a_trigger(tmp_path: Path) -> None:
    path = database(tmp_path / "docs.db", f"CREATE TRIGGER evil AFTER INSERT ON docs_data {_BODY}")
    for operation in {*SqliteTarget(str(path)).operations} - {Operation.FTS_OPTIMIZE}:
        planned = await plan(path, operation)
        if planned.not_needed is None:
            assert statuses(await run(path, operation)) == {Status.COMPLETED}, operation
    assert precious(path) == 3


async def test_a_foreign_key_on_a_table_of_the_index_deletes_nothing(tmp_path: Path) -> None:
    path = database(
        tmp_path / "docs.db",
        "CREATE TABLE child(id REFERENCES docs_data(id) ON DELETE CASCADE)",
        "INSERT INTO child SELECT id FROM docs_data",
    )
    async with connected(path) as (_, connection):
        assert await statement.short(connection, "PRAGMA foreign_keys") == [(0,)]
    with closing(sqlite3.connect(path)) as db:
        before = db.execute("SELECT count(*) FROM child").fetchone()
        assert statuses(await run(path, Operation.FTS_OPTIMIZE)) == {Status.COMPLETED}
        assert db.execute("SELECT count(*) FROM child").fetchone() == before


@pytest.mark.parametrize("made", ["TABLE {}(page_count, page_size, auto_vacuum)", "VIEW {} AS SELECT 7 AS page_count"])
async def test_an_exchange_does_not_ask_what_the_file_calls_a_pragma(made: str, tmp_path: Path) -> None:
    names = ("pragma_page_count", "pragma_page_size", "pragma_auto_vacuum", "pragma_table_xinfo", "dbstat")
    path = database(tmp_path / "docs.db", *(f"CREATE {made.format(quote(name))}" for name in names))
    assert statuses(await run(path, Operation.VACUUM, swap=True, verify=True)) == {Status.COMPLETED}
    assert precious(path) == 3


async def test_a_statement_is_explained_by_the_schema_of_now(tmp_path: Path) -> None:
    """An EXPLAIN that Python has kept would show memory that SQLite has freed."""
    path = database(tmp_path / "docs.db")
    insert = "INSERT INTO main.precious DEFAULT VALUES"
    async with connected(path) as (_, connection):
        for number in range(20):
            explained = await statement.at_once(connection, lambda db: statement.explain(db, insert).fetchall())
            assert "precious" in {row[5] for row in explained}
            with closing(sqlite3.connect(path)) as db:
                db.execute(f"CREATE TABLE other{number}(a, b)")
            await statement.short(connection, "SELECT count(*) FROM main.sqlite_schema")


def _sql_texts() -> Iterator[tuple[Path, int, str]]:
    """The text constants of the engine that hold SQL; placeholders of f-strings are left out."""
    root = Path(next(iter(engine.__path__)))
    for file in root.rglob("*.py"):
        if {"postgres", "mysql", "duckdb"} & {*file.parts}:
            continue
        tree = ast.parse(file.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs | parts:
                text = node.value
            else:
                continue
            if _SQL.search(text) or text.lstrip().upper().startswith("SELECT"):
                yield file.relative_to(root), node.lineno, text


def test_sql_names_the_schema_of_every_table_that_is_sqlites_own() -> None:
    texts = list(_sql_texts())
    assert len(texts) > 100
    found = [(str(file), line, name) for file, line, text in texts for name in UNQUALIFIED.findall(text)]
    assert found == []
    assert UNQUALIFIED.findall("SELECT 1 FROM pragma_page_count, dbstat, sqlite_schema") == [
        "pragma_page_count", "dbstat", "sqlite_schema",
    ]  # fmt: skip
    assert not UNQUALIFIED.findall("SELECT 1 FROM temp.pragma_page_count, temp.dbstat('main'), main.sqlite_schema")
