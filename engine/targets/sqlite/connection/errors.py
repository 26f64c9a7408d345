"""SQLite's errors in plain words: pure functions of the exception."""

from __future__ import annotations

import re
import sqlite3
from typing import Final

from engine.domain.errors import (
    HotJournalError,
    TargetBusyError,
    TargetDamagedError,
    TargetError,
    TargetRefusedError,
    TargetUnavailableError,
    TargetUnrecognizedError,
)
from engine.targets.sqlite.system.opened_file import NOT_THERE

_SENTENCES: Final = {
    "SQLITE_READONLY_DIRECTORY": "the journal cannot be created: no write access to the directory of the file",
    "SQLITE_READONLY_DBMOVED": NOT_THERE,
    "SQLITE_READONLY_ROLLBACK": "an earlier crash left a hot journal, which must be rolled back first",
    "SQLITE_READONLY": "the database is read-only",
    "SQLITE_FULL": "the disk is full; the step was rolled back. "
    "Free some space where it writes: beside the database, for the backup, or for temporary files",
    "SQLITE_IOERR_SHMSIZE": "the disk is full: the index of the log has no room. Free some space beside the database",
    "SQLITE_NOTADB": "this is not a SQLite database, or it is encrypted",
    "SQLITE_CANTOPEN": "the file, or its journal beside it, cannot be opened. "
    "Check the path, the permissions and the length of the name",
    "SQLITE_INTERRUPT": "the statement was interrupted",
    "SQLITE_NOMEM": "there is not enough memory",
}
_SENTENCES_WITH_DETAIL: Final = {
    "SQLITE_CONSTRAINT_UNIQUE": "rows share a key that must be unique ({}). Remove the duplicates, then try again",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "rows share a primary key ({}). Remove the duplicates, then try again",
    "SQLITE_ERROR_MISSING_COLLSEQ": "it needs a collation that only its application has ({})",
    "SQLITE_CORRUPT": "the database is damaged ({}). Run the check operation; restore a backup or use .recover",
    "SQLITE_ABORT": "{}",
    "SQLITE_IOERR": "the file could not be read or written ({}). "
    "Check the disk, the limit of file sizes (ulimit -f) and the system log",
}

_CLASSES: Final = {
    sqlite3.SQLITE_CONSTRAINT: sqlite3.IntegrityError,
    sqlite3.SQLITE_CORRUPT: sqlite3.DatabaseError,
    sqlite3.SQLITE_NOTADB: sqlite3.DatabaseError,
}
_MISSING_CODE: Final = re.compile(
    r"(no such|unknown) (collation sequence|function|tokenizer|module):|invalid fts5 file format"
)


def is_busy(error: sqlite3.Error) -> bool:
    """Whether the connection did not get a lock in time."""
    return _primary_code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_interrupt(error: sqlite3.Error) -> bool:
    """Whether the statement was stopped because we asked for it."""
    return _primary_code(error) == sqlite3.SQLITE_INTERRUPT


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite found the file damaged."""
    return _primary_code(error) == sqlite3.SQLITE_CORRUPT


def is_denied(error: sqlite3.Error) -> bool:
    """Whether an authorizer refused the statement."""
    return _primary_code(error) == sqlite3.SQLITE_AUTH


def is_of_object(error: sqlite3.Error) -> bool:
    """Whether it comes from the table or index that was worked on, and may not come with another."""
    return _primary_code(error) in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT}


def is_missing_code(error: sqlite3.Error) -> bool:
    """Whether it needs a collation, function, tokenizer or module that only its application has, or a later one."""
    return _primary_code(error) == sqlite3.SQLITE_ERROR and _MISSING_CODE.match(str(error)) is not None


def is_mismatch(error: sqlite3.Error) -> bool:
    """Whether a foreign key does not fit the table that it refers to."""
    return _primary_code(error) == sqlite3.SQLITE_ERROR and str(error).startswith("foreign key mismatch")


def is_nothing_beside(error: sqlite3.Error) -> bool:
    """Whether a file could not be made beside the database, which a write-ahead log needs even to be read."""
    name = getattr(error, "sqlite_errorname", "")
    return name == "SQLITE_READONLY_DIRECTORY" or _primary_code(error) == sqlite3.SQLITE_CANTOPEN


def needs_rollback(error: sqlite3.Error) -> bool:
    """Whether an earlier crash must be rolled back first, which a read-only connection cannot do."""
    return getattr(error, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK"


def sqlite_error(code: int, name: str, text: str) -> sqlite3.Error:
    """What Python raises for this error of SQLite."""
    error = _CLASSES.get(code & 0xFF, sqlite3.OperationalError)(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


def out_of_memory() -> sqlite3.Error:
    """SQLite's error for which Python raises a MemoryError."""
    return sqlite_error(sqlite3.SQLITE_NOMEM, "SQLITE_NOMEM", "out of memory")


_ROLL_BACK: Final = "let its application open it, or use dbtend run --op check as a user who may write the file"
_WAIT_LONGER: Final = "try again later, or with a longer lock timeout"


def explain(error: sqlite3.Error, lock_timeout: float, in_use: str = "") -> str:
    """One or two sentences: what happened, and what to do. `in_use`: the processes that hold the database, if known."""
    if is_busy(error):
        who = in_use or "another connection uses the database"
        when = f"within {lock_timeout:g} s" if lock_timeout else "at once"
        return f"no lock {when}: {who}"
    name = str(getattr(error, "sqlite_errorname", ""))
    for key in (name, "_".join(name.split("_")[:2])):
        if sentence := _SENTENCES.get(key):
            return sentence
        if sentence := _SENTENCES_WITH_DETAIL.get(key):
            return sentence.format(error)
    return f"SQLite says: {error}"


def opening_error(path: str, error: sqlite3.Error, lock_timeout: float, in_use: str = "") -> TargetError:
    """The error of a database that cannot be opened or read at all."""
    if is_busy(error):
        return TargetBusyError(path, explain(error, lock_timeout, in_use), _WAIT_LONGER)
    if needs_rollback(error):
        return HotJournalError(path, explain(error, lock_timeout), _ROLL_BACK)
    if _primary_code(error) == sqlite3.SQLITE_READONLY:
        return TargetRefusedError(path, explain(error, lock_timeout))
    if is_damage(error):
        return _damaged(path, error)
    if _primary_code(error) == sqlite3.SQLITE_NOTADB:
        return TargetUnrecognizedError(path, explain(error, lock_timeout))
    return TargetUnavailableError(path, explain(error, lock_timeout))


def reading_error(path: str, error: sqlite3.Error, lock_timeout: float, in_use: str = "") -> TargetError:
    """The error of a database that is open and could not be inspected."""
    if is_damage(error):
        return _damaged(path, error)
    if is_busy(error):
        return TargetBusyError(path, explain(error, lock_timeout, in_use), _WAIT_LONGER)
    return TargetError(path, explain(error, lock_timeout))


def _damaged(path: str, error: sqlite3.Error) -> TargetDamagedError:
    message = str(error).removesuffix(" ()")  # SQLite names nothing
    hint = "restore a backup, or save the readable data with sqlite3 and its .recover"
    return TargetDamagedError(path, f"too damaged to read: {message}", hint)


def _primary_code(error: sqlite3.Error) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
