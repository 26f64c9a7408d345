"""The exceptions of SQLite, provoked on real databases, in plain words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.errors import TargetBusyError, TargetDamagedError, TargetRefusedError
from engine.targets.sqlite.connection.errors import (
    explain,
    is_busy,
    is_damage,
    is_interrupt,
    is_missing_code,
    opening_error,
    reading_error,
)
from tests.sqlite_files import make_database, transaction

HOLDER = "process 7 (app) reads it"


def error_of(path: Path, *statements: str, mode: str = "rw") -> sqlite3.Error:
    """What the last statement raises."""
    with closing(sqlite3.connect(f"file:{path}?mode={mode}", uri=True, isolation_level=None, timeout=0)) as db:
        for statement in statements[:-1]:
            db.execute(statement)
        with pytest.raises(sqlite3.Error) as caught:
            db.execute(statements[-1]).fetchall()
    return caught.value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "a.db", rows=20)


def test_a_lock_names_the_timeout_and_what_to_do(path: Path) -> None:
    with transaction(path, "EXCLUSIVE"):
        error = error_of(path, "SELECT * FROM item")
    assert is_busy(error)
    assert explain(error, 2.5).startswith("no lock within 2.5 s: another connection")
    assert explain(error, 0).startswith("no lock at once: another connection")
    assert explain(error, 2.5, HOLDER).startswith(f"no lock within 2.5 s: {HOLDER}")
    assert HOLDER in str(reading_error("a.db", error, 1, HOLDER))
    for failure in (opening_error("a.db", error, 1), reading_error("a.db", error, 1)):
        assert isinstance(failure, TargetBusyError)
        assert failure.hint


def test_a_full_disk(path: Path) -> None:
    error = error_of(path, "PRAGMA max_page_count = 1", "CREATE TABLE big AS SELECT zeroblob(100000)")
    assert explain(error, 1).startswith("the disk is full; the step was rolled back. Free some space")


def test_a_read_only_database(path: Path) -> None:
    error = error_of(path, "DELETE FROM item", mode="ro")
    assert explain(error, 1) == "the database is read-only"
    assert isinstance(opening_error("a.db", error, 1), TargetRefusedError)


def test_a_file_that_was_deleted_while_open(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("SELECT * FROM item").fetchall()
        path.unlink()
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("DELETE FROM item")
    assert explain(caught.value, 1) == "the file was moved, replaced or deleted while it was open"


def test_damage_quotes_what_sqlite_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        root, page_size = db.execute("SELECT rootpage, 4096 FROM sqlite_schema WHERE name = 'item'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(b"\xff" * page_size)
    error = error_of(path, "SELECT * FROM item NOT INDEXED")
    assert is_damage(error)
    assert explain(error, 1).startswith(f"the database is damaged ({error}).")
    for found in (opening_error("a.db", error, 1), reading_error("a.db", error, 1)):
        assert isinstance(found, TargetDamagedError)
        assert found.why == f"too damaged to read: {error}"


def test_duplicate_keys_name_the_column(path: Path) -> None:
    error = error_of(path, "UPDATE item SET code = 'same'")
    assert f"unique ({error})." in explain(error, 1)


def test_an_interrupt_is_recognised(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.set_progress_handler(lambda: 1, 1)
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("SELECT * FROM item").fetchall()
    assert is_interrupt(caught.value)
    assert not is_busy(caught.value)
    assert explain(caught.value, 1) == "the statement was interrupted"


def test_anything_else_is_passed_on_as_sqlite_said_it(path: Path) -> None:
    error = error_of(path, "REINDEX main.nowhere")
    assert explain(error, 1) == f"SQLite says: {error}"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT klingon(1)",
        "SELECT 1 ORDER BY 1 COLLATE klingon",
        "CREATE VIRTUAL TABLE new USING klingon(a)",
        "CREATE VIRTUAL TABLE new USING fts5(a, tokenize = klingon)",
    ],
)
def test_what_only_the_application_has_is_no_damage(path: Path, statement: str) -> None:
    error = error_of(path, statement)
    assert is_missing_code(error)
    assert not is_damage(error)
    assert "klingon" in explain(error, 1)


@pytest.mark.parametrize("statement", ["SELECT * FROM nowhere", "SELECT", "INSERT INTO item(code) VALUES (1), (1)"])
def test_other_errors_are_no_missing_code(path: Path, statement: str) -> None:
    error = error_of(path, statement)
    assert (is_missing_code(error), is_damage(error), is_busy(error)) == (False, False, False)


def test_an_error_that_python_itself_raises_has_no_code_and_is_told_all_the_same(path: Path) -> None:
    error = error_of(path, "SELECT CAST(x'ff' AS TEXT)")
    assert (is_missing_code(error), is_damage(error), is_busy(error), is_interrupt(error)) == (False,) * 4
    assert explain(error, 1).startswith(f"SQLite says: {error}")
