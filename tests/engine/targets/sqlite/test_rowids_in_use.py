"""VACUUM changes rowids that another table or index uses: refused without force."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.plans import OperationPlan, Verdict
from engine.targets.step_execution import StepContext
from tests.engine.targets.sqlite.a_session import plan, run
from tests.engine.targets.stepwise import stepwise

NOTES = """
CREATE TABLE notes(body TEXT);
INSERT INTO notes WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40)
    SELECT printf('word%d of %s', i, iif(i % 2, 'apples', 'pears')) FROM n;
"""
"""Words that are in one row each."""
GAP = "DELETE FROM notes WHERE rowid IN (3, 4, 17);"
CONTENTLESS = "CREATE VIRTUAL TABLE found USING {}; INSERT INTO found(rowid, body) SELECT rowid, body FROM notes;"


def make(path: Path, *scripts: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        for script in scripts:
            db.executescript(script)
    return path


def texts(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def search(path: Path, word: str) -> list[tuple[object, ...]]:
    """As an application does: by way of the rowid."""
    return texts(path, f"SELECT n.body FROM found JOIN notes n ON n.rowid = found.rowid WHERE found MATCH '{word}'")


def by_hand(path: Path) -> Path:
    copy = path.with_name("by_hand.db")
    copy.write_bytes(path.read_bytes())
    return make(copy, "VACUUM")


def users(planned: OperationPlan) -> str:
    assert (planned.verdict, planned.steps) == (Verdict.REFUSE, ())
    return planned.refused or ""


WITHOUT_TEXT = [
    "fts5(body, content='')",
    "fts5(body, content = '', contentless_delete = 1)",
    "fts5(body, content='', columnsize=0)",
    'fts5(body, content="")',
    'fts4(body, content="")',
    "FTS4(content=``, body)",
]


@pytest.mark.parametrize("module", WITHOUT_TEXT)
async def test_vacuum_is_refused_where_a_full_text_index_holds_nothing_but_rowids_that_change(
    tmp_path: Path, module: str
) -> None:
    path = make(tmp_path / "a.db", NOTES, CONTENTLESS.format(module), GAP)
    right = search(path, "word30")
    assert right == [("word30 of pears",)]
    assert search(by_hand(path), "word30") != right  # what would happen

    planned = await plan(path, Operation.VACUUM)
    assert "index found uses" in users(planned)
    assert "--force" in users(planned)
    forced = await plan(path, Operation.VACUUM, force=True)
    assert forced.verdict is Verdict.WARN
    assert "index found uses: found" in forced.warnings[0]
    assert search(path, "word30") == right


@pytest.mark.parametrize("module", WITHOUT_TEXT)
async def test_it_is_not_refused_where_no_rowid_changes(tmp_path: Path, module: str) -> None:
    path = make(tmp_path / "a.db", NOTES, CONTENTLESS.format(module), "DELETE FROM notes WHERE rowid > 30")
    planned = await plan(path, Operation.VACUUM)
    assert (planned.verdict, planned.warnings) == (Verdict.OK, ())
    await run(path, Operation.VACUUM)
    assert search(path, "word30") == [("word30 of pears",)]


async def test_rows_that_go_between_the_plan_and_vacuum_are_seen(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", NOTES, CONTENTLESS.format(WITHOUT_TEXT[0]))
    async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
        (step,) = (await session.plan(Operation.VACUUM, Options())).steps
        make(path, GAP)
        result = await session.execute(step, StepContext())
    assert result.status is Status.FAILED
    assert "rowids of notes" in str(result.error)
    assert search(path, "word30") == [("word30 of pears",)]


@pytest.mark.parametrize("module", WITHOUT_TEXT)
async def test_an_index_that_was_not_told_what_was_deleted_is_still_known_to_go_by_the_rowids(
    tmp_path: Path, module: str
) -> None:
    """Beside a table that keeps its rowids and has all of these, too, as most databases have one."""
    other = (
        "CREATE TABLE filler(id INTEGER PRIMARY KEY, body);"
        "INSERT INTO filler(body) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT i FROM n;"
    )
    path = make(tmp_path / "a.db", other, NOTES, CONTENTLESS.format(module), GAP)
    assert "index found uses" in users(await plan(path, Operation.VACUUM))


async def test_an_entry_of_a_row_that_is_gone_would_lead_to_another(tmp_path: Path) -> None:
    index = (
        "CREATE VIRTUAL TABLE found USING fts5(body, content=''); INSERT INTO found(rowid, body) VALUES (3, 'word3');"
    )
    path = make(tmp_path / "a.db", NOTES, index, "DELETE FROM notes WHERE rowid IN (3, 4)")
    assert search(path, "word3") == []
    assert search(by_hand(path), "word3") != []
    assert "full-text index found" in users(await plan(path, Operation.VACUUM))


EXTERNAL = [
    "fts5(body, content=notes)",
    "fts5(body, content=notes, content_rowid=rowid)",
    "fts5(body, content='notes', content_rowid='_rowid_')",
    'fts4(content="notes", body)',
]


@pytest.mark.parametrize("module", EXTERNAL)
async def test_an_index_over_the_table_is_rebuilt_after_a_vacuum_that_is_forced(tmp_path: Path, module: str) -> None:
    index = f"CREATE VIRTUAL TABLE found USING {module}; INSERT INTO found(found) VALUES ('rebuild');"
    path = make(tmp_path / "a.db", NOTES, index, GAP)
    right = search(path, "word30")
    assert search(by_hand(path), "word30") != right
    assert "is then rebuilt" in users(await plan(path, Operation.VACUUM))
    await run(path, Operation.VACUUM, force=True)
    assert search(path, "word30") == right == [("word30 of pears",)]
    assert (await plan(path, Operation.VACUUM)).verdict is Verdict.OK  # now they are 1, 2, 3, ...


async def test_a_vacuum_whose_process_died_before_the_rebuild_rebuilds_in_its_next_attempt(tmp_path: Path) -> None:
    """When it plans again no rowid would change any more."""
    index = "CREATE VIRTUAL TABLE found USING fts5(body, content=notes); INSERT INTO found(found) VALUES ('rebuild');"
    path = make(tmp_path / "a.db", NOTES, index, GAP, "VACUUM")
    assert search(path, "word30") != [("word30 of pears",)]
    await run(path, Operation.VACUUM, force=True)
    assert search(path, "word30") == [("word30 of pears",)]


@pytest.mark.parametrize(
    ("script", "user"),
    [
        ("CREATE VIEW texts AS SELECT rowid AS id, body FROM notes", "view texts"),
        ('CREATE VIEW texts AS SELECT n."ROWID" AS id FROM main.[notes] AS n', "view texts"),
        ("CREATE VIEW texts AS SELECT count(*), max(oid) FROM Notes", "view texts"),
        (
            "CREATE TABLE log(id INTEGER PRIMARY KEY, note INTEGER);"
            "CREATE TRIGGER gone AFTER DELETE ON notes BEGIN INSERT INTO log(note) VALUES (old.rowid); END",
            "trigger gone",
        ),
        (
            "CREATE TABLE log(id INTEGER PRIMARY KEY, note INTEGER);"
            "CREATE TRIGGER come AFTER INSERT ON notes BEGIN INSERT INTO log(note) VALUES (last_insert_rowid()); END",
            "trigger come",
        ),
        (
            "CREATE VIRTUAL TABLE found USING fts5(body);"
            "INSERT INTO found(rowid, body) SELECT rowid, body FROM notes; DELETE FROM found WHERE rowid IN (3, 4, 17)",
            "full-text index found",
        ),
        (
            "CREATE VIRTUAL TABLE words USING fts4(text); INSERT INTO words(docid, text) SELECT rowid, body FROM notes;"
            "DELETE FROM words WHERE docid IN (3, 4, 17, 20)",
            "full-text index words",
        ),
        (
            "CREATE VIRTUAL TABLE words USING fts3(content=x, t);"
            "INSERT INTO words(docid, t) SELECT rowid, body FROM notes WHERE rowid > 20",
            "full-text index words",
        ),
        (
            "CREATE VIRTUAL TABLE notes_fts USING fts5(text);"
            "INSERT INTO notes_fts(rowid, text) SELECT rowid, body FROM notes",
            "full-text index notes_fts",
        ),
        (
            "CREATE VIRTUAL TABLE places USING rtree(id, x0, x1);"
            "INSERT INTO places SELECT rowid, rowid, rowid FROM notes",
            "R-tree places",
        ),
        (
            "CREATE VIRTUAL TABLE places USING rtree_i32(id, x0, x1, +note, +label);"
            "INSERT INTO places SELECT NULL, 1, 2, rowid, body FROM notes WHERE rowid IN (30, 33)",
            "R-tree places",
        ),
    ],
)
async def test_whatever_goes_by_rowids_that_change_is_named_with_their_table(
    tmp_path: Path, script: str, user: str
) -> None:
    path = make(tmp_path / "a.db", NOTES, script, GAP)
    assert f"which {user} uses" in users(await plan(path, Operation.VACUUM))
    await run(path, Operation.VACUUM, force=True)
    assert (await plan(path, Operation.VACUUM)).verdict is Verdict.OK


@pytest.mark.parametrize(
    "script",
    [
        # of a table that keeps its rowids
        "CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs SELECT rowid, body FROM notes;"
        "CREATE VIEW texts AS SELECT rowid, body FROM docs;"
        "CREATE VIRTUAL TABLE found USING fts5(body, content=docs);"
        "INSERT INTO found(found) VALUES ('rebuild')",
        "CREATE TABLE docs(id INTEGER PRIMARY KEY, body);"
        "CREATE VIRTUAL TABLE found USING fts5(body, content='');"
        "CREATE TRIGGER come AFTER INSERT ON docs BEGIN INSERT INTO found(rowid, body) VALUES (new.id, new.body); END;"
        "INSERT INTO docs(body) SELECT body FROM notes",
        "CREATE TABLE docs(id INTEGER PRIMARY KEY, body); INSERT INTO docs SELECT rowid + 10, body FROM notes;"
        "CREATE VIRTUAL TABLE docs_fts USING fts5(body, content='');"
        "INSERT INTO docs_fts(rowid, body) SELECT id, body FROM docs",
        "CREATE TABLE keynotes(id INTEGER PRIMARY KEY, body); INSERT INTO keynotes SELECT rowid, body FROM notes;"
        "CREATE VIRTUAL TABLE keynotes_fts USING fts5(text);"
        "INSERT INTO keynotes_fts(rowid, text) SELECT id, body FROM keynotes",
        "CREATE TABLE keynotes(id INTEGER PRIMARY KEY, body); INSERT INTO keynotes SELECT rowid, body FROM notes;"
        "CREATE VIRTUAL TABLE keynotes_places USING rtree(id, x0, x1);"
        "INSERT INTO keynotes_places SELECT id, id, id FROM keynotes",
        "CREATE TABLE docs(id INTEGER PRIMARY KEY, body);"
        "INSERT INTO docs SELECT rowid, body FROM notes WHERE rowid > 20;"
        "CREATE VIRTUAL TABLE docs_fts USING fts5(text); INSERT INTO docs_fts(rowid, text) SELECT id, body FROM docs",
        # of none
        "CREATE TABLE log(message);"
        "INSERT INTO log WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 6000) SELECT i FROM n;"
        "CREATE VIRTUAL TABLE search USING fts5(text); INSERT INTO search(text) SELECT message FROM log LIMIT 3000;"
        "DELETE FROM log WHERE rowid = 7",
        "CREATE VIRTUAL TABLE search USING fts5(text); INSERT INTO search(text) SELECT body FROM notes",
        "CREATE VIRTUAL TABLE found USING fts5(body, content='')",
        "CREATE VIRTUAL TABLE places USING rtree(id, x0, x1); INSERT INTO places VALUES (1, 0, 0), (2, 0, 0)",
        "CREATE VIEW texts AS SELECT body /* rowid */ FROM notes -- oid",
        # by another column
        "CREATE TABLE keyed(oid TEXT, body); INSERT INTO keyed SELECT hex(rowid), body FROM notes;"
        "CREATE VIEW texts AS SELECT oid FROM keyed; DELETE FROM keyed WHERE rowid = 5",
        "CREATE TABLE keyed(id INT, body); INSERT INTO keyed SELECT rowid, body FROM notes;"
        "CREATE VIRTUAL TABLE found USING fts5(body, content=keyed, content_rowid=id);"
        "INSERT INTO found(found) VALUES ('rebuild'); DELETE FROM keyed WHERE rowid = 5",
    ],
)
async def test_what_goes_by_no_rowid_that_changes_is_no_reason_against_vacuum(tmp_path: Path, script: str) -> None:
    path = make(tmp_path / "a.db", NOTES, script, GAP)
    planned = await plan(path, Operation.VACUUM)
    assert planned.refused is None
    assert ["stored elsewhere" in warning for warning in planned.warnings] == [True]


async def test_a_backup_keeps_the_rowids_so_that_searches_in_it_are_right(tmp_path: Path) -> None:
    path = make(tmp_path / "a.db", NOTES, CONTENTLESS.format(WITHOUT_TEXT[0]), GAP)
    copy = tmp_path / "copy.db"
    await run(path, Operation.BACKUP, backup_to=str(copy))
    assert search(copy, "word30") == [("word30 of pears",)]


@pytest.mark.parametrize("auto_vacuum", ["incremental"])
async def test_giving_pages_back_one_by_one_changes_no_rowid(tmp_path: Path, auto_vacuum: str) -> None:
    path = tmp_path / "a.db"
    filler = "CREATE TABLE big(x); INSERT INTO big VALUES (zeroblob(200000)); DROP TABLE big;"
    make(path, f"PRAGMA auto_vacuum = {auto_vacuum}", NOTES, CONTENTLESS.format(WITHOUT_TEXT[0]), GAP, filler)
    await run(path, Operation.INCREMENTAL_VACUUM)
    assert search(path, "word30") == [("word30 of pears",)]
