"""The result of SQLite itself on a file: dbtend's report is measured by it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.domain.requests import Operation
from engine.targets.sqlite.connection.names import connection_uri, quote
from engine.targets.sqlite.reading.catalog import has_dbstat

NOT_VALIDATED: Final = re.compile(
    r"unable to validate the inverted index for FTS4 table .*: SQL logic error", re.DOTALL
)
DAMAGE: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an operation ends where nothing but SQLite has a say."""

    error: str = ""
    """The name of the error that was raised; empty for none."""
    text: str = ""
    findings: tuple[str, ...] = ()
    """What a check complains of."""

    @property
    def succeeds(self) -> bool:
        return not self.error and not self.findings

    @property
    def is_damage(self) -> bool:
        return self.error.startswith(DAMAGE) or bool(self.findings)


def verdict(path: Path, operation: Operation, backup: Path) -> Verdict:
    """Carry the operation out, with the plainest SQL there is for it; a copy goes to `backup`."""
    try:
        with closing(connect(path)) as db:
            if operation is Operation.BACKUP:
                return Verdict(findings=tuple(_back_up(db, backup)))
            return Verdict(findings=tuple(CARRIED_OUT[operation](db) or ()))
    except sqlite3.Error as error:
        return Verdict(errorname(error), str(error))
    except MemoryError:  # a row says that it is larger than there is memory
        return Verdict("SQLITE_NOMEM", "out of memory")
    except UnicodeDecodeError as error:  # the message of SQLite quotes a name that is no UTF-8
        return Verdict("SQLITE_CORRUPT", repr(error.object))


def connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(connection_uri(str(path)), uri=True, isolation_level=None, timeout=0)
    try:
        db.execute("PRAGMA synchronous = OFF")
    except sqlite3.Error:  # of one that is left open Python 3.13 says so, anywhere
        db.close()
        raise
    db.text_factory = lambda data: data.decode(errors="backslashreplace")
    return db


def errorname(error: Exception) -> str:
    return getattr(error, "sqlite_errorname", "") or type(error).__name__


def complaints(db: sqlite3.Connection) -> list[str]:
    """All rows of a full check, but for `ok`, and for what is said of every full-text index without text."""
    return _complaints(db, "PRAGMA integrity_check(100000)") or _pages_left_out(db)


def _pages_left_out(db: sqlite3.Connection) -> list[str]:
    """Pages that belong to nothing, for which a check of SQLite 3.46 does not look where a view comes first."""
    if not has_dbstat():
        return []
    ((pages, free, used, auto_vacuum),) = db.execute(PAGES).fetchall()
    return [] if auto_vacuum or used + free >= pages else [f"{used} and {free} of {pages} pages"]


def _complaints(db: sqlite3.Connection, check: str) -> list[str]:
    lines = [line for (line,) in db.execute(check)]
    return [line for line in lines if line != "ok" and not NOT_VALIDATED.fullmatch(line)]


def _check(db: sqlite3.Connection) -> list[str]:
    return complaints(db) + _orphans(db)


def _orphans(db: sqlite3.Connection) -> list[str]:
    try:
        return [repr(row) for row in db.execute("PRAGMA foreign_key_check")]
    except sqlite3.OperationalError as error:
        if not str(error).startswith("foreign key mismatch"):
            raise
        return [str(error)]


def _optimize_full_text(db: sqlite3.Connection) -> None:
    for (name,) in db.execute(FULL_TEXT_TABLES).fetchall():
        db.execute(f"INSERT INTO {quote(name)}({quote(name)}) VALUES ('optimize')")


def _back_up(db: sqlite3.Connection, backup: Path) -> list[str]:
    """A copy is worth something only if it is in order, as far as that can be said without its application."""
    db.execute("VACUUM INTO ?", (str(backup),))
    with closing(connect(backup)) as copy:
        try:
            return _complaints(copy, "PRAGMA quick_check")
        except sqlite3.Error as error:
            return [str(error)] if errorname(error).startswith(DAMAGE) else []


def _vacuum_incrementally(db: sqlite3.Connection) -> None:
    db.executescript("PRAGMA incremental_vacuum")  # as a single statement it frees a page, and hides its error


def _run(db: sqlite3.Connection, sql: str) -> None:
    db.execute(sql).fetchall()


PAGES: Final = """
SELECT page_count, freelist_count, (SELECT coalesce(sum(pageno), 0) FROM dbstat WHERE aggregate = TRUE), auto_vacuum
FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum
"""
FULL_TEXT_TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%using fts5(%' ORDER BY rowid"
)
CARRIED_OUT: Final[Mapping[Operation, Callable[[sqlite3.Connection], list[str] | None]]] = {
    Operation.VACUUM: lambda db: _run(db, "VACUUM"),
    Operation.ANALYZE: lambda db: _run(db, "ANALYZE main"),
    Operation.REINDEX: lambda db: _run(db, "REINDEX"),
    Operation.OPTIMIZE: lambda db: _run(db, "PRAGMA optimize = 0x10012"),
    Operation.CHECK: _check,
    Operation.CHECKPOINT: lambda db: _run(db, "PRAGMA wal_checkpoint(TRUNCATE)"),
    Operation.INCREMENTAL_VACUUM: _vacuum_incrementally,
    Operation.FTS_OPTIMIZE: _optimize_full_text,
}
