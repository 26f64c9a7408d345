"""The contents of a database as hashes: every row, the schema and the settings, wherever they lie in the file."""

from __future__ import annotations

import hashlib
import marshal
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field
from typing import Any, Final

from engine.domain.frozen import frozen
from engine.targets.sqlite.connection.errors import is_missing_code, sqlite_error
from engine.targets.sqlite.connection.names import folded, quote
from engine.targets.sqlite.connection.statement import error_of
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading.catalog import ROWID_NAMES

SCHEMA: Final = "schema"
SETTINGS: Final = "settings"
_SETTINGS: Final = ("encoding", "page_size", "auto_vacuum", "user_version", "application_id", "default_cache_size")
_COMPUTED: Final = 2  # a generated column that is not stored
_NO_TEXT: Final = "its name, or that of a column, is not valid UTF-8"
_VALUES_AT_ONCE: Final = 512
_LONG: Final = 1 << 16
"""Bytes: a table with a longer value is read value by value, and long ones in parts."""
_PART: Final = 1 << 20


@frozen
class Contents:
    """A hash of each part of a database, or its number of rows."""

    hashes: Mapping[str, str]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Tables whose rows are left out, each with why they cannot be read here."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a comparison leaves out, as text."""
        return tuple(f"the rows of {name} are not compared: {why}" for name, why in self.unreadable.items())

    @property
    def hash(self) -> str:
        """The hash of all contents."""
        return f"sha256:{hashlib.sha256(marshal.dumps(sorted(self.hashes.items()), 2)).hexdigest()}"

    def differences(self, other: Contents) -> list[str]:
        """The parts that differ."""
        parts = {**self.hashes, **other.hashes}
        return [part for part in parts if self.hashes.get(part) != other.hashes.get(part)]


def contents_of(db: sqlite3.Connection, is_cancelled: Callable[[], bool]) -> Contents:
    """Raises sqlite3.Error; SQLITE_INTERRUPT also for a cancel.

    It keeps one batch of rows in memory, or one part of a long value; for a table without rowids, a whole row.
    """
    with _all_texts(db):
        return _contents_of(db, is_cancelled)


def row_counts(db: sqlite3.Connection) -> Contents:
    """Instead of hashes the numbers of rows. Raises sqlite3.Error."""
    counts = {}
    with _all_texts(db):
        for (table,) in db.execute(query("table_names_in_order")).fetchall():
            with suppress(ValueError):
                ((count,),) = db.execute(f"SELECT count(*) FROM main.{quote(table)}")
                counts[_rows_of(table)] = str(count)
    return Contents(counts)


def _rows_of(table: str) -> str:
    return f"rows of {table}"


@contextmanager
def _all_texts(db: sqlite3.Connection) -> Iterator[None]:
    """While inside, any two texts differ in Python, whether they are UTF-8 or not."""
    before = db.text_factory
    db.text_factory = lambda raw: raw.decode(errors="surrogateescape")
    try:
        yield
    finally:
        db.text_factory = before


def _contents_of(db: sqlite3.Connection, is_cancelled: Callable[[], bool]) -> Contents:
    hashes, unreadable = {}, {}
    for (table,) in db.execute(query("table_names_in_order")).fetchall():
        try:
            hashes[_rows_of(table)] = _hash_of_rows(db, table, is_cancelled)
        except ValueError:  # of a name that is no text
            unreadable[os.fsencode(table).decode(errors="backslashreplace")] = _NO_TEXT
        except sqlite3.OperationalError as error:
            if not is_missing_code(error):
                raise
            unreadable[table] = f"{error}, which only its application has"
    settings = [(name, db.execute(f"PRAGMA main.{name}").fetchall()) for name in _SETTINGS]
    hashes[SETTINGS] = hashlib.sha256(_bytes(settings)).hexdigest()
    hashes[SCHEMA] = hashlib.sha256(_bytes(db.execute(query("schema")).fetchall())).hexdigest()
    return Contents(hashes, unreadable)


def _bytes(values: Any) -> bytes:
    """Equal for the same values and types only; version 2 does not depend on how Python keeps them."""
    return marshal.dumps(values, 2)


def _hash_of_rows(db: sqlite3.Connection, table: str, is_cancelled: Callable[[], bool]) -> str:
    """The hash of rows in the order of their keys, as VACUUM copies them.

    VACUUM gives new rowids: rowids without a name do not count.
    """
    columns = db.execute(query("columns"), (table,)).fetchall()
    names = [name for name, hidden in columns if hidden != _COMPUTED]
    stored = [f"{quote(table)}.{quote(name)}" for name in names]
    # A name that is no text can be neither given nor read, and a function of the application cannot be called.
    selected = "*" if len(stored) == len(columns) else ", ".join(stored)
    source = f"main.{quote(table)} NOT INDEXED"
    numbered = ", ".join(f"c{number}" for number in range(len(stored)))
    begin, end = f"WITH stored({numbered}) AS (SELECT ", f" FROM {source}) SELECT * FROM stored"
    whole_rows = begin + selected + end
    error = error_of(db, whole_rows)
    if error is not None and is_missing_code(error):  # a collation of a column, although nothing is compared here
        whole_rows = begin + ", ".join(f"{column} COLLATE BINARY" for column in stored) + end
        if error_of(db, whole_rows) is not None:  # a key without rowid
            raise error
    before = db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONG)
    try:
        rows = db.execute(whole_rows)
        digest, size = hashlib.sha256(), max(_VALUES_AT_ONCE // max(len(columns), 1), 1)
        while batch := rows.fetchmany(size):
            digest.update(_bytes(batch))
        return digest.hexdigest()
    except MemoryError:  # raised for a default that is too long, too; without memory the code below raises it again
        pass
    except sqlite3.DataError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_TOOBIG:
            raise
    finally:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)
    digest = hashlib.sha256()
    for part in _parts_of_rows(db, table, source, names, whole_rows):
        if is_cancelled():
            raise sqlite_error(sqlite3.SQLITE_INTERRUPT, "SQLITE_INTERRUPT", "interrupted")
        digest.update(part)
    return digest.hexdigest()


def _parts_of_rows(
    db: sqlite3.Connection, table: str, source: str, names: Sequence[str], whole_rows: str
) -> Iterator[bytes]:
    """The bytes to hash of a table with long values, part by part."""
    rowid = _rowid_name(db, table, source, names)
    if rowid is None:
        for row in db.execute(whole_rows):
            for value in row:
                yield from _parts_of_value(value)
        return
    cells = (
        f"typeof({name}), CASE WHEN typeof({name}) IN ('integer', 'real') THEN {name} END"
        for name in (f"{quote(table)}.{quote(name)}" for name in names)
    )
    for number, *values in db.execute(f"SELECT {rowid}, {', '.join(cells)} FROM {source}"):
        for name, kind, value in zip(names, values[::2], values[1::2], strict=True):
            yield _bytes((kind, value))
            if kind in {"text", "blob"}:
                yield from _parts_of_cell(db, table, name, number, rowid)


def _rowid_name(db: sqlite3.Connection, table: str, source: str, names: Sequence[str]) -> str | None:
    """A name of the rowid that no column has; None if there is none, or if a column has a name that is no text."""
    taken = {folded(name) for name in names}
    for name in ROWID_NAMES:
        if name not in taken:
            with suppress(sqlite3.OperationalError, ValueError):
                columns = "".join(f", {quote(table)}.{quote(column)}" for column in names)
                db.execute(f"SELECT {name}{columns} FROM {source} LIMIT 0").close()
                return name
    return None


def _parts_of_cell(db: sqlite3.Connection, table: str, name: str, rowid: int, rowid_name: str) -> Iterator[bytes]:
    try:
        blob = db.blobopen(table, name, rowid, readonly=True, name="main")
    except sqlite3.OperationalError:  # it is a default of a column that was added later, and not in the row
        sql = f"SELECT {quote(table)}.{quote(name)} FROM main.{quote(table)} NOT INDEXED WHERE {rowid_name} = ?"
        ((value,),) = db.execute(sql, (rowid,))
        yield from _parts_of_value(value)
        return
    with blob:
        yield _bytes(len(blob))
        while part := blob.read(_PART):
            yield part


def _parts_of_value(value: Any) -> Iterator[bytes]:
    if not isinstance(value, str | bytes):
        yield _bytes(value)
        return
    whole = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    yield _bytes((isinstance(value, str), len(whole)))
    yield whole
