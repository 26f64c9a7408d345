"""Opening the store's file: safely for other processes, and with errors that a DBA can act on."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from engine.errors import StoreError
from engine.store.schema import is_current, migrate
from engine.store.writer import begin_immediate, retry_while_busy

# A larger cache than this only repeats what the system caches anyway, in every process that looks at the history.
READER_PRAGMAS = """
PRAGMA query_only = ON;
PRAGMA cache_size = -2048;
PRAGMA temp_store = MEMORY;
PRAGMA trusted_schema = OFF;
"""


def uri(path: Path) -> str:
    """The store as an SQLite URI that opens the file and never creates one."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode=rw"


def create_file(path: Path) -> Path:
    """Make an empty file that only its owner can read, in a directory likewise, where there is none.

    An existing file is not opened: opening and closing it would drop the locks that SQLite holds on it for
    this process. Returns the path without symbolic links: what lies beside the store is then beside it for all.
    """
    path = Path(os.path.realpath(path))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise StoreError(str(path), "is a directory", "give the path of a file with --store") from None
        if not path.parent.is_dir():
            raise StoreError(str(path.parent), "is not a directory", "give another path with --store") from None
    except OSError as error:
        raise StoreError(str(path), f"cannot be created: {error.strerror}", "give another path with --store") from error
    return path


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that may write, to a store of this version. Raises StoreError."""
    try:
        connection = sqlite3.connect(uri(path), uri=True, isolation_level=None, timeout=10, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise _not_a_store(path, error) from error
    return connection


def connect_watch(path: Path) -> sqlite3.Connection:
    """A connection that only reads, and never waits. Raises StoreError."""
    try:
        connection = sqlite3.connect(uri(path), uri=True, isolation_level=None, timeout=0)
        connection.executescript(READER_PRAGMAS)
    except sqlite3.Error as error:
        raise _not_a_store(path, error) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Check and upgrade the file before anything of it is changed; then the settings that need it to be ours."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    if not is_current(connection, str(path)):
        begin_immediate(connection)
        try:
            migrate(connection, str(path))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # after a full disk SQLite has rolled back by itself
                connection.execute("ROLLBACK")
            raise
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # SQLite answers BUSY at once, without its timeout, where several processes switch a new store.
        retry_while_busy(lambda: connection.execute("PRAGMA journal_mode = WAL"))
    connection.execute("PRAGMA journal_size_limit = 67108864")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA busy_timeout = 0")  # from here on the writer retries by itself


def _not_a_store(path: Path, error: sqlite3.Error) -> StoreError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return StoreError(str(path), "is not a store of dbtend", "give another path with --store")
    if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        return StoreError(str(path), "cannot be opened", "check the permissions of the file and its directory")
    if code == sqlite3.SQLITE_READONLY:
        return StoreError(str(path), "cannot be written", "check its permissions, or give another --store")
    if code == sqlite3.SQLITE_BUSY:
        return StoreError(str(path), "is kept locked by another process", "end that process, or try again")
    if code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
        why = "its disk is full" if code == sqlite3.SQLITE_FULL else "its disk is full, or fails"
        return StoreError(str(path), why, "make room on its file system, or give another --store")
    if code == sqlite3.SQLITE_CORRUPT:
        return StoreError(str(path), "is damaged", "move it away to start a new one, or restore it from a backup")
    return StoreError(str(path), f"cannot be opened: {error}", "give another path with --store")
