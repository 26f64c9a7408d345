"""An open database: a connection that counts its work, for progress, and what belongs to it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiosqlite

from engine.domain.frozen import frozen
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile
from engine.targets.sqlite.system.page_cache import descriptors_of

OPCODES_A_TICK: Final = 10_000
"""About a millisecond of work; a tick costs 0.2 microseconds."""


class MeteredConnection:
    """A connection to SQLite with a count of the opcodes it has executed, and the thread that does it."""

    aio: aiosqlite.Connection

    def __init__(self, uri: str, file: OpenedFile | None, *, counts: bool) -> None:
        self.uri = uri
        self._file = file
        self.descriptors: tuple[int, ...] = ()
        """Under which this process had `file` open, just after this connection had opened it."""
        self.takes_locks = "immutable=1" not in uri
        self.opcodes = 0
        self.thread: int = 0
        """As the kernel calls it."""
        self._counts = counts
        self._settings: tuple[str, ...] = ()

    @classmethod
    async def open(
        cls, uri: str, wait: LockWait, file: OpenedFile | None = None, *, counts: bool = True, **how: Any
    ) -> MeteredConnection:
        """`statement.open_connection` says what it raises, what `how` is; TargetUnavailableError where something else
        than `file` was opened, before anything is read. `counts`: whether opcodes are counted; an inspection runs none
        that take long, and locks nothing."""
        metered = cls(uri, file, counts=counts)
        metered.aio = await statement.open_connection(uri, wait, metered._prepare_file, **how)
        return metered

    async def reopen(self) -> None:
        """Open the file that is at its path now, once it is closed. Reads nothing. Raises sqlite3.Error."""
        self.aio, self._settings = await statement.connect(self.uri, self._prepare), ()

    async def set_up(self, settings: tuple[str, ...]) -> None:
        """Execute the commands that prepare for a step, unless they are in force already. Raises sqlite3.Error."""
        if settings != self._settings:
            await statement.run_all(self.aio, settings)
            self._settings = settings

    async def close(self) -> None:
        await statement.close(self.aio)

    @asynccontextmanager
    async def uncounted(self) -> AsyncIterator[None]:
        """While inside, opcodes are not counted, and statements do not wait for other threads of Python to do so."""
        await self.aio.set_progress_handler(None, 0)  # type: ignore[arg-type]
        try:
            yield
        finally:
            await self.aio.set_progress_handler(self._count, OPCODES_A_TICK)

    def _prepare_file(self, connection: sqlite3.Connection) -> None:
        self._prepare(connection)
        if self._file is not None and self._counts:
            self._file.require_open(self.descriptors)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not self._counts:
            return
        self.thread = threading.get_native_id()
        self.descriptors = () if self._file is None else descriptors_of(self._file.numbers)
        connection.set_progress_handler(self._count, OPCODES_A_TICK)

    def _count(self) -> int:
        self.opcodes += OPCODES_A_TICK
        return 0


@frozen
class OpenDatabase:
    """A connection, the file that it has open, and how it waits for locks."""

    connection: MeteredConnection
    file: OpenedFile
    lock_timeout: float
    blockers: BlockerFinder
    rolled_back: bool = False
    """Whether opening it rolled back a transaction of an earlier crash."""
