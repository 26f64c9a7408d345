"""Opens the store's file: safe for other processes, and with errors that a DBA can act on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from engine.domain.errors import ReadOnlyError, StoreBusyError, StoreError, StoreFullError
from engine.store.sqlite.schema import is_current, migrate
from engine.store.sqlite.writer import begin_immediate, retry_while_busy
from engine.system.private_files import directory_of, make_directories, open_private, require_private_store
from engine.system.wal_checkpoint import NO_AUTOMATIC_CHECKPOINT

# A larger cache duplicates the page cache of the system in every process that reads the history.
READER_PRAGMAS = """
PRAGMA query_only = ON;
PRAGMA cache_size = -2048;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
"""


ERRORS = (sqlite3.Error, UnicodeDecodeError, MemoryError)
"""What Python raises for an error of SQLite: also where its message, or a text, is damaged, or claims to be huge."""
OPEN_TIMEOUT = 10.0
"""Seconds to wait for a locked store when it is opened."""


def uri(path: Path, *, writing: bool = True) -> str:
    """The store as an SQLite URI that opens the file and never creates one."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={'rw' if writing else 'ro'}"


def real_path(path: Path) -> Path:
    """The path without symbolic links, so that all processes see the same files beside the store."""
    return Path(os.path.realpath(path))


def create_file(path: Path) -> Path:
    """Make an empty file that only its owner can read, in a directory likewise, where there is none.

    An existing file is not opened: opening and closing it would drop the locks that SQLite holds on it for
    this process. Returns the real path. Raises StoreError, also if another user could change the store.
    """
    path = real_path(path)
    try:
        require_private_store(path)
        make_directories(path.parent)
        if not path.exists():
            make_directories(directory_of(path))
            os.close(open_private(_sign_of_new(path), os.O_CREAT | os.O_WRONLY))
            os.close(open_private(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        pass
    except NotADirectoryError as error:
        raise StoreError(error.filename, "is not a directory", "give another path with --store") from None
    except OSError as error:
        raise StoreError(str(path), f"cannot be created: {error.strerror}", "give another path with --store") from error
    return path


def _sign_of_new(path: Path) -> Path:
    """The file that tells an empty store that is being made from one that was cut to 0 bytes."""
    return directory_of(path) / "new"


def _refuse_emptied(path: Path) -> None:
    """Raise StoreError if the file is empty and not new. It is not opened: SQLite would remove the log beside it."""
    is_new = _sign_of_new(path).exists()  # in this order: the sign stays until there is content
    with suppress(OSError):  # to open it says why
        if not is_new and path.stat().st_size == 0:
            why = "is an empty file: a store that was cut to 0 bytes has lost its jobs"
            raise StoreError(str(path), why, "restore it from a backup, or remove it to begin a new one")


def connect_writer(path: Path, timeout: float = OPEN_TIMEOUT) -> sqlite3.Connection:
    """A connection that may write, to a store of this version. Raises StoreError."""
    _refuse_emptied(path)
    try:
        return _connected(uri(path), timeout, lambda connection: _prepare(connection, path, timeout))
    except ERRORS as error:
        raise as_text(path, error) from error


def connect_watch(path: Path) -> sqlite3.Connection:
    """A connection that only reads, and never waits. Raises StoreError."""
    try:
        return _connected(uri(path), 0, lambda connection: connection.executescript(READER_PRAGMAS))
    except ERRORS as error:
        raise as_text(path, error) from error


def connect_read_only(path: Path) -> sqlite3.Connection:
    """A connection to a store of this version through which SQLite itself lets nothing be written. Raises StoreError.

    It never waits. Never with immutable=1: others may write.
    """

    _refuse_emptied(path)
    try:
        return _connected(uri(path, writing=False), 0, lambda connection: _set_up_reader(connection, path))
    except ERRORS as error:
        raise _not_readable(path, error) from error


def connect_copy(path: Path, where: str) -> sqlite3.Connection:
    """Like `connect_read_only`, but to a copy in memory, with the URI `where`: for a store whose disk is full.

    SQLite reads such a store without a new file beside it only while no other process has it open. Raises StoreError.
    """

    def copy(connection: sqlite3.Connection) -> None:
        with closing(_connected(uri(path), 0, lambda alone: alone.execute("PRAGMA locking_mode = EXCLUSIVE"))) as store:
            store.execute("PRAGMA query_only = ON")
            store.backup(connection)
        _set_up_reader(connection, path)

    try:
        return _connected(where, 0, copy)
    except ERRORS as error:
        raise as_text(path, error) from error


def _set_up_reader(connection: sqlite3.Connection, path: Path) -> None:
    connection.executescript(READER_PRAGMAS)
    if not is_current(connection, str(path)):
        why = "was written by an older dbtend, and would have to be upgraded first"
        raise ReadOnlyError(str(path), why, "open it once without --read-only, or look at a copy of it")
    refuse_writes(connection)


def _connected(where: str, timeout: float, set_up: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    """It may go on to another thread. Raises sqlite3.Error, and what `set_up` raises."""
    connection = sqlite3.connect(where, uri=True, isolation_level=None, timeout=timeout, check_same_thread=False)
    try:
        set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def empty_store(connection: sqlite3.Connection) -> None:
    """Make an empty store in memory, that nothing can be written to, in place of one that is not there."""
    connection.execute("BEGIN")
    migrate(connection, "memory")
    connection.execute("COMMIT")
    connection.executescript(READER_PRAGMAS)
    refuse_writes(connection)


def refuse_writes(connection: sqlite3.Connection) -> None:
    """Raise ReadOnlyError unless the connection refuses a write; one that would change nothing is tried."""
    try:
        connection.execute("UPDATE parent_job SET pinned = pinned WHERE 0")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
    else:
        raise ReadOnlyError("the store of jobs", "could be written, though it must not be", "report this as a bug")


def _not_readable(path: Path, error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    may_be_read = code == sqlite3.SQLITE_READONLY or (code == sqlite3.SQLITE_CANTOPEN and os.access(path, os.R_OK))
    if may_be_read and not os.access(path.parent, os.W_OK | os.X_OK):
        why = "cannot be read: nothing can be written beside it, as is needed while no other process has it open"
        return StoreError(str(path), why, "open it where its directory can be written, or copy it there")
    return as_text(path, error)


def _prepare(connection: sqlite3.Connection, path: Path, timeout: float) -> None:
    """Verify and upgrade the file before any change; then apply the settings that write to it."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(NO_AUTOMATIC_CHECKPOINT)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    if not is_current(connection, str(path)):
        begin_immediate(connection, timeout)
        try:
            migrate(connection, str(path))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # after a full disk SQLite has rolled back by itself
                connection.execute("ROLLBACK")
            raise
    with suppress(OSError):  # the next process removes it
        _sign_of_new(path).unlink()
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # SQLite answers BUSY at once, without its timeout, where several processes switch a new store.
        retry_while_busy(lambda: connection.execute("PRAGMA journal_mode = WAL"), timeout)
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -16384")
    # After 64 KiB the journal of a statement would become a file, and each later statement of its transaction slower.
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA busy_timeout = 0")  # from here on the writer retries by itself


def as_text(path: Path, error: Exception) -> StoreError:
    """What it means that the store could not be opened or read, for a DBA."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(str(path), "is not a store of dbtend", "give another path with --store")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreError(str(path), "cannot be opened", "check the permissions of the file and its directory")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(str(path), "cannot be written", "check its permissions, or give another --store")
    if code == sqlite3.SQLITE_BUSY:
        return StoreBusyError(str(path), "is kept locked by another process", "end that process, or try again")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        why = "its disk is full" if code == sqlite3.SQLITE_FULL else "its disk is full, or fails"
        return StoreFullError(str(path), why, "make room on its file system, or give another --store")
    if code == sqlite3.SQLITE_CORRUPT or not isinstance(error, sqlite3.Error):
        return StoreError(str(path), "is damaged", "move it away to start a new one, or restore it from a backup")
    return StoreError(str(path), f"cannot be opened: {error}", "give another path with --store")


def format_read_error(path: Path, error: Exception) -> StoreError:
    """What it means that a store that is open could not be read."""
    if str(error).startswith("Could not decode to UTF-8"):
        why = "is damaged, or was changed by hand: it holds text that is not UTF-8"
        return StoreError(str(path), why, "move it away to start a new one, or restore it from a backup")
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE}:
        return StoreError(str(path), f"cannot be read: {error}", "run `dbtend doctor`")
    return as_text(path, error)
