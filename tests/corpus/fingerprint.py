"""The readable content of a file: the same before and after maintenance."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from engine.targets.sqlite.connection.names import quote
from tests.corpus.oracle import complaints, connect, errorname
from tests.scratch import MEMORY

Content = Mapping[str, object]

# What an application put there: not the statistics, not the tables in which full text keeps its index.
TABLES: Final = r"""
SELECT name, type FROM pragma_table_list AS t
WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\_s%a%' ESCAPE '\'
  AND NOT EXISTS (SELECT 1 FROM sqlite_schema AS s WHERE s.name = t.name AND s.sql LIKE '%using dbstat%')
"""
OBJECTS: Final = r"""
SELECT type, name, tbl_name{} FROM sqlite_schema
WHERE tbl_name NOT LIKE 'sqlite\_stat%' ESCAPE '\' OR tbl_name IS NULL
"""
SETTINGS: Final = ("application_id", "user_version", "encoding", "page_size", "auto_vacuum", "journal_mode")


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory in memory, if there is one: nothing in it needs to outlive anything."""
    with tempfile.TemporaryDirectory(prefix="dbtend-corpus-", dir=MEMORY if Path(MEMORY).is_dir() else None) as name:
        yield Path(name)


def fingerprint(path: Path) -> tuple[Content, list[str]]:
    """The content of the file with its journal and log, and what a full check complains of.

    It is read from a copy: reading may roll back, and nothing may have the file open meanwhile.
    """
    with scratch() as directory:
        copy = directory / "copy.db"
        with suppress(OSError):
            for suffix in ("", "-journal", "-wal"):
                if (file := Path(f"{path.resolve()}{suffix}")).is_file():
                    shutil.copyfile(file, f"{copy}{suffix}")
        return _content(copy), _complaints(copy)


def _content(path: Path) -> Content:
    try:
        with closing(connect(path)) as db:
            db.text_factory = bytes
            return dict(_parts(db))
    except sqlite3.Error as error:
        return {"unreadable": errorname(error)}


def _parts(db: sqlite3.Connection) -> Iterator[tuple[str, object]]:
    yield "objects", _hash_of(db, OBJECTS.format(""))
    yield "definitions", _hash_of(db, OBJECTS.format(", sql"))
    for setting in SETTINGS:
        yield setting, _hash_of(db, f"PRAGMA {setting}")
    for raw, kind in db.execute(TABLES).fetchall():
        name = raw.decode(errors="surrogateescape")
        yield f"table {name}", _hash_of(db, f"SELECT * FROM main.{quote(name)} NOT INDEXED")
        if kind == b"virtual":
            yield f"search {name}", _search(db, quote(name))


def _hash_of(db: sqlite3.Connection, sql: str) -> str:
    """A hash of the rows in whatever order, and the error that ended the reading."""
    rows, error = [], ""
    try:
        for row in db.execute(sql):
            rows.append(repr(row))  # noqa: PERF401 - what was read before an error counts
    except (sqlite3.Error, UnicodeError, MemoryError) as raised:
        error = errorname(raised)
    return f"{len(rows)} rows {hashlib.sha256(chr(10).join(sorted(rows)).encode()).hexdigest()} {error}"


def _search(db: sqlite3.Connection, table: str) -> str:
    """Whether an index of full text still leads to the rows that it was made of."""
    try:
        try:
            db.execute(f"INSERT INTO {table}({table}, rank) VALUES ('integrity-check', 1)")
        except sqlite3.OperationalError:  # only FTS5 has a rank
            db.execute(f"INSERT INTO {table}({table}) VALUES ('integrity-check')")
    except sqlite3.Error as error:
        return errorname(error)
    return "leads to its rows"


def _complaints(path: Path) -> list[str]:
    try:
        with closing(connect(path)) as db:
            return complaints(db)
    except (sqlite3.Error, UnicodeError, MemoryError) as error:
        return [str(error)]
