"""Real SQLite files for tests, healthy and damaged on purpose."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.targets.sqlite.connection.names import quote

HOSTILE_INDEX_NAMES = ("order", "my-index", 'a"b', "sqliteX_idx", "ünïcode idx")
AUTOMATIC_INDEX = "sqlite_autoindex_item_1"


def make_database(path: Path, *, rows: int = 2000, journal_mode: str = "delete", auto_vacuum: str = "none") -> Path:
    """A database with hostile index names, an index that SQLite made itself, and half of its rows deleted."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
        db.execute(f"PRAGMA journal_mode = {journal_mode}")
        db.executescript(
            """
            CREATE TABLE item(code TEXT UNIQUE, price INTEGER, note TEXT);
            CREATE TABLE "group"(id INTEGER PRIMARY KEY, name TEXT);
            CREATE VIRTUAL TABLE search USING fts5(words);
            """
        )
        for name in HOSTILE_INDEX_NAMES:
            db.execute(f"CREATE INDEX {quote(name)} ON item(price)")
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO item VALUES (?, ?, ?)",
            ((f"code-{i:06}", i * 7919 % 1000, f"note {i} " * 12) for i in range(rows)),
        )
        db.executemany('INSERT INTO "group"(name) VALUES (?)', ((f"group {i}",) for i in range(rows // 10)))
        db.executemany("INSERT INTO search VALUES (?)", ((f"word{i} and word{i * 3}",) for i in range(rows // 10)))
        db.execute("DELETE FROM item WHERE rowid <= ?", (rows // 2,))
        db.execute("COMMIT")
    return path


def make_notes(path: Path) -> Path:
    """Notes with a gap in their rowids, and a full-text index over them that holds no text itself."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            CREATE TABLE notes(body TEXT);
            CREATE VIRTUAL TABLE found USING fts5(body, content="notes");
            INSERT INTO notes VALUES ('apples and pears'), ('apples only'), ('pears only');
            INSERT INTO found(found) VALUES ('rebuild');
            DELETE FROM notes WHERE rowid = 1;
            INSERT INTO found(found, rowid, body) VALUES ('delete', 1, 'apples and pears');
        """)
    return path


def content(path: Path) -> dict[str, str]:
    """A hash per table of all its rows, whatever their rowids and their order on disk.

    Not of the tables in which full-text indexes keep what they know of their own.
    """
    with closing(sqlite3.connect(path)) as db:
        names = db.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')")
        tables = [name for (name,) in names if not name.startswith(("sqlite_schema", "sqlite_stat"))]
        return {name: _hash_of_rows(db, name) for name in tables}


def _hash_of_rows(db: sqlite3.Connection, table: str) -> str:
    rows = sorted(map(repr, db.execute(f"SELECT * FROM {quote(table)} NOT INDEXED")))
    return hashlib.sha256("\n".join(rows).encode(errors="surrogateescape")).hexdigest()


def integrity(path: Path) -> list[str]:
    """What `PRAGMA integrity_check` complains of: nothing for a healthy database."""
    with closing(sqlite3.connect(path)) as db:
        lines = [line for (line,) in db.execute("PRAGMA integrity_check")]
    return [] if lines == ["ok"] else lines


def remove_index_entries(path: Path, index: str) -> None:
    """Damage a one-column index: a third of its entries are gone, as after a bug in an application.

    The entries of an index are stored like the rows of a WITHOUT ROWID table, so such a table, put into the
    schema with the root page of the index, can delete them.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND name = ?", (index,))
        with schema_surgery(db):
            db.execute(
                "INSERT INTO sqlite_schema VALUES ('table', 'ghost', 'ghost', ?, "
                "'CREATE TABLE ghost(key, row, PRIMARY KEY(key, row)) WITHOUT ROWID')",
                (root,),
            )
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM ghost WHERE row % 3 = 0")
        with schema_surgery(db):
            db.execute("DELETE FROM sqlite_schema WHERE name = 'ghost'")


def lose_leaf_of(path: Path, name: str) -> None:
    """Damage a table or an index: its root leads to one page less. Its rows are gone, and still in that page."""
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,))
        ((size,),) = db.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        page = bytearray(file.read(size))
        (cells,) = struct.unpack_from(">H", page, 3)
        struct.pack_into(">H", page, 3, cells - 1)
        page[12 + 2 : 12 + 2 * cells] = page[12 + 4 : 12 + 2 * cells] + bytes(2)
        file.seek((root - 1) * size)
        file.write(page)


def add_index_that_cannot_be_rebuilt(path: Path, name: str = "broken unique") -> None:
    """A UNIQUE index over a column with duplicates: it was made as an ordinary one, and lost its honesty."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"CREATE INDEX {quote(name)} ON item(note)")
        db.execute("INSERT INTO item VALUES ('duplicate', 1, (SELECT note FROM item LIMIT 1))")
        set_schema_sql(db, name, f"CREATE UNIQUE INDEX {quote(name)} ON item(note)")


def set_schema_sql(db: sqlite3.Connection, name: str, sql: str | bytes) -> None:
    """Replace the stored definition of an object without touching its content."""
    with schema_surgery(db):
        db.execute("UPDATE sqlite_schema SET sql = CAST(? AS TEXT) WHERE name = ?", (sql, name))


def rename_in_schema(db: sqlite3.Connection, name: str, new_name: str | bytes) -> None:
    """Give an object a name in the schema that SQL would not allow."""
    with schema_surgery(db):
        db.execute("UPDATE sqlite_schema SET name = CAST(? AS TEXT) WHERE name = ?", (new_name, name))


@contextmanager
def schema_surgery(db: sqlite3.Connection) -> Iterator[None]:
    """Let the table of all objects be written, and every connection notice."""
    db.execute("PRAGMA writable_schema = ON")
    yield
    ((version,),) = db.execute("PRAGMA schema_version")
    db.execute(f"PRAGMA schema_version = {version + 1}")
    db.execute("PRAGMA writable_schema = OFF")


@contextmanager
def transaction(path: Path, kind: str) -> Iterator[sqlite3.Connection]:
    """Another connection that holds a DEFERRED (with a read), IMMEDIATE or EXCLUSIVE transaction meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"BEGIN {kind}")
        db.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        yield db
        if db.in_transaction:
            db.execute("ROLLBACK")


def files_beside(path: Path) -> set[str]:
    """The names of all files in the directory of `path`: to see what was created or left behind."""
    return {entry.name for entry in path.parent.iterdir()}


def executed_opcodes(db: sqlite3.Connection, sql: str) -> int:
    """How many opcodes SQLite really executes for `sql`."""
    number = 0

    def count() -> int:
        nonlocal number
        number += 1
        return 0

    db.set_progress_handler(count, 1)
    try:
        db.execute(sql).fetchall()
    finally:
        db.set_progress_handler(None, 0)
    return number


def rename_to_no_text(db: sqlite3.Connection, name: str) -> None:
    """Give a table or an index of this name one that is not valid UTF-8. `writable_schema` must be on."""
    db.execute(
        "UPDATE sqlite_schema SET name = CAST(x'ff' AS TEXT), sql = replace(sql, name, CAST(x'22ff22' AS TEXT)),"
        " tbl_name = iif(type = 'table', CAST(x'ff' AS TEXT), tbl_name) WHERE name = ?",
        (name,),
    )
