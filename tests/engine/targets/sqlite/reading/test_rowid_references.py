"""Whose rowid a view or trigger means: no false safe, and few false alarms. `notes` is renumbered, `keyed` is not."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from engine.targets.sqlite.reading.rowid_users import certain_users, schema_text, users_in_sql

SCHEMA = """
CREATE TABLE notes(body, author); CREATE TABLE "odd name"(body);
CREATE TABLE keyed(id INTEGER PRIMARY KEY, body, oid); CREATE TABLE log(id INTEGER PRIMARY KEY, note);
CREATE VIRTUAL TABLE found USING fts5(body, content=''); CREATE VIEW v AS SELECT * FROM notes;
"""
ON_NOTES = "CREATE TRIGGER x AFTER INSERT ON notes BEGIN {}; END"
ON_KEYED = "CREATE TRIGGER x AFTER UPDATE ON keyed BEGIN {}; END"
USES = [
    "CREATE VIEW x AS SELECT rowid FROM notes",
    "CREATE VIEW x AS SELECT oid FROM notes",
    "CREATE VIEW x AS SELECT notes._rowid_ FROM notes",
    "CREATE VIEW x AS SELECT main.notes.rowid FROM notes",
    "CREATE VIEW x AS SELECT n.rowid FROM notes n",
    "CREATE VIEW x AS SELECT n.rowid FROM notes AS n",
    "CREATE VIEW x AS SELECT [n].[rowid] FROM main.notes AS `n`",
    "CREATE VIEW x AS SELECT keyed.rowid FROM notes AS keyed",
    "CREATE VIEW x AS SELECT k.body FROM keyed k JOIN notes n ON n.rowid = k.id",
    "CREATE VIEW x AS SELECT k.body FROM keyed k, notes n WHERE k.id = n.'rowid'",
    "CREATE VIEW x AS SELECT s.rowid FROM (SELECT * FROM notes) AS s",
    "CREATE VIEW x AS SELECT body AS rowid FROM notes ORDER BY notes.rowid",
    "CREATE VIEW x AS SELECT body FROM keyed WHERE id IN (SELECT rowid FROM notes)",
    "CREATE VIEW x AS WITH keyed AS (SELECT * FROM notes) SELECT keyed.rowid FROM keyed",
    "CREATE VIEW x AS SELECT k.rowid FROM notes k UNION SELECT k.rowid FROM keyed k",
    ON_NOTES.format("INSERT INTO log(note) VALUES (new.rowid)"),
    ON_NOTES.format("INSERT INTO found(rowid, body) VALUES (new.rowid, new.body)"),
    ON_NOTES.format("INSERT INTO log(note) VALUES (last_insert_rowid())"),
    'CREATE TRIGGER x AFTER DELETE ON "notes" BEGIN DELETE FROM found WHERE rowid = old.oid; END',
    ON_NOTES.format("INSERT INTO log SELECT NULL, new.id FROM keyed new; INSERT INTO log(note) VALUES (new.rowid)"),
    ON_KEYED.format("DELETE FROM notes WHERE rowid = new.id"),
    ON_KEYED.format("INSERT INTO notes(rowid, body) VALUES (new.id, new.body)"),
    ON_KEYED.format("INSERT INTO notes(body, oid) VALUES (new.body, new.id)"),
    ON_KEYED.format("UPDATE notes SET body = new.body WHERE notes.rowid = new.id"),
    ON_KEYED.format("INSERT INTO log SELECT NULL, new.rowid FROM notes AS new"),
]
USES_NOT = [
    "CREATE VIEW x AS SELECT body AS oid FROM notes",
    'CREATE VIEW x AS SELECT body AS "rowid" FROM notes',
    "CREATE VIEW x AS SELECT body, 'rowid' FROM notes",
    "CREATE VIEW x AS SELECT keyed.rowid, notes.body FROM keyed, notes",
    "CREATE VIEW x AS SELECT keyed.oid FROM keyed JOIN notes ON keyed.body = notes.body",
    "CREATE VIEW x AS SELECT k.rowid, n.body FROM keyed AS k JOIN notes AS n ON n.body = k.body",
    "CREATE VIEW x AS SELECT k.oid FROM main.keyed k, notes",
    "CREATE VIEW x AS SELECT found.rowid FROM found, notes WHERE notes.body = 'a'",
    ON_KEYED.format("INSERT INTO notes(body) VALUES (new.rowid)"),
    ON_KEYED.format("INSERT INTO found(rowid, body) SELECT new.rowid, body FROM notes"),
    ON_KEYED.format("DELETE FROM found WHERE rowid = old.id; DELETE FROM notes WHERE body = old.body"),
    ON_NOTES.format("UPDATE keyed SET body = new.body WHERE keyed.rowid = 1"),
    ON_NOTES.format("DELETE FROM log WHERE rowid = 7"),
]


def users(sql: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(f"{SCHEMA} {sql}")  # SQLite takes it
        rows = db.execute("SELECT name, type, sql FROM sqlite_schema WHERE type IN ('view', 'trigger')").fetchall()
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    texts, candidates = [schema_text(*row) for row in rows], {"notes": {"body", "author"}}
    found = certain_users(users_in_sql(texts, candidates), texts, candidates, tables)
    return [text.name for text, _ in found]


@pytest.mark.parametrize("sql", USES)
def test_who_may_go_by_a_rowid_of_the_table_is_found(sql: str) -> None:
    assert users(sql) == ["x"]


@pytest.mark.parametrize("sql", USES_NOT)
def test_who_goes_by_the_rowid_of_another_table_is_no_user(sql: str) -> None:
    assert users(sql) == []
