"""A SQLite file as a target."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from engine.jobs import EngineName, Operation
from engine.targets.sqlite import files, plans, statement
from engine.targets.sqlite.errors import opening_error
from engine.targets.sqlite.names import connection_uri, target_url
from engine.targets.sqlite.session import SqliteSession


class SqliteTarget:
    """The database file at `path`, which does not have to exist. Symbolic links are followed once, here."""

    def __init__(self, path: str) -> None:
        # POSIX lets two leading slashes mean something else; nothing we run on does.
        self.path: Final = "/" + os.path.realpath(path).lstrip("/")

    def __repr__(self) -> str:
        return f"SqliteTarget({self.path!r})"

    @property
    def url(self) -> str:
        return target_url(self.path)

    @property
    def key(self) -> str:
        status = files.status_of(self.path)
        return f"sqlite:{status.st_dev:x}:{status.st_ino:x}"

    @property
    def engine(self) -> EngineName:
        return EngineName.SQLITE

    @property
    def default_operations(self) -> Sequence[Operation]:
        return plans.DEFAULT_OPERATIONS

    def is_repeatable(self, operation: Operation) -> bool:
        return True  # what dies with its process is rolled back at the next open

    @asynccontextmanager
    async def connect(self, *, lock_timeout: float) -> AsyncIterator[SqliteSession]:
        files.check_readable(self.path)
        files.check_writable(self.path)
        try:
            connection = await statement.open_connection(connection_uri(self.path), lock_timeout)
        except sqlite3.Error as error:
            raise opening_error(self.path, error, lock_timeout) from error
        try:
            yield SqliteSession(connection, self.path, lock_timeout)
        finally:
            await statement.close(connection)

    async def preflight(self, *, lock_timeout: float) -> None:
        async with self.connect(lock_timeout=lock_timeout):
            pass
