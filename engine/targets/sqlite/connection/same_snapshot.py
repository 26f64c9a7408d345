"""Two connections that read one and the same state of a database: a VACUUM INTO and a reader.

VACUUM INTO runs in no transaction but its own. Its authorizer is called before each of its statements: before BEGIN the
reader begins a transaction, and once VACUUM reads, a third connection looks whether anything was committed in between.
Python lets no authorizer see a name that is no text, and refuses it: then the same is done around the whole of VACUUM.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from engine.targets.sqlite.connection.errors import sqlite_error

_VERSION: Final = "PRAGMA main.data_version"
_PIN: Final = "SELECT count(*) FROM main.sqlite_schema"


def begin_reading(connection: sqlite3.Connection) -> None:
    """Read the state that there is now, until the transaction ends. Raises sqlite3.Error."""
    end_reading(connection)
    connection.execute("BEGIN")
    connection.execute(_PIN).fetchall()


def end_reading(connection: sqlite3.Connection) -> None:
    """Let the lock go, so that a writer that waits for it can commit. Raises sqlite3.Error."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


class SameSnapshot:
    """The authorizer of a connection that runs one VACUUM INTO, which it refuses where the states may differ."""

    def __init__(self, reader: sqlite3.Connection, watcher: sqlite3.Connection) -> None:
        """Both are used in the thread of the VACUUM until it has ended."""
        self._reader = reader
        self._watcher = watcher
        self._version: Any = None
        self._selects = 0
        self.is_certain = False
        self.error: sqlite3.Error | None = None
        """Why VACUUM was refused last."""

    def __call__(self, action: int, argument: str | None, *_: object) -> int:
        if self.is_certain:
            return sqlite3.SQLITE_OK
        try:
            if action == sqlite3.SQLITE_TRANSACTION and argument == "BEGIN":
                self.begin()
            elif action == sqlite3.SQLITE_SELECT and self._version is not None:
                self._selects += 1
                if self._selects > 1:  # the first one has read the schema, so that VACUUM has its own state by now
                    self.compare()
        except sqlite3.Error as error:
            self.error, self._version = error, None  # what is read before the next attempt needs no comparison
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def begin(self) -> None:
        """Let the reader read the state that there is now. Raises sqlite3.Error."""
        self.error, self._selects = None, 0
        self._version = self._watcher.execute(_VERSION).fetchall()
        begin_reading(self._reader)

    def release(self) -> None:
        end_reading(self._reader)

    def compare(self) -> None:
        """Call this once VACUUM reads. Raises sqlite3.Error: SQLITE_BUSY if VACUUM may read another state."""
        if self._watcher.execute(_VERSION).fetchall() != self._version:
            raise sqlite_error(sqlite3.SQLITE_BUSY, "SQLITE_BUSY", "another connection committed as the copy began")
        self.is_certain = True
