"""The lock that an attempt holds at its database: no other attempt of any store begins until it is given up.

It is an flock on the database file itself, so every name of the file and every container leads to the same lock,
nothing is left behind, and the kernel lets it go when the process has ended. SQLite's own locks are of another kind: no
application waits for this one. SQLite opens and closes the descriptor, as only it may.
"""

from __future__ import annotations

import asyncio
import fcntl
import sqlite3
import time
from collections.abc import Callable
from typing import Final

from engine.domain.errors import TargetBusyError
from engine.system.lock_holders import format_holder_names, whole_file_holders
from engine.system.mounts import is_local
from engine.system.sqlite_threads import opening
from engine.targets.sqlite.connection import statement
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.system.opened_file import OpenedFile
from engine.targets.sqlite.system.page_cache import descriptors_of

NO_LOCK: Final = "no lock can be taken on this file system: a job of another store on this database is not noticed"
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 0.1
_MOST_KEPT: Final = 20


class TargetLock:
    """The lock of one session, whose connection has the database open."""

    def __init__(self, file: OpenedFile, connection: MeteredConnection) -> None:
        self._file = file
        self._connection = connection
        self.descriptor: int | None = None
        """Under which SQLite has the file open, while the lock is held."""
        self._connections: list[sqlite3.Connection] = []
        """Of the lock alone, where the descriptor of the session's connection is not known."""

    async def take(self, timeout: float, waiting: Callable[[str], None]) -> tuple[str, ...]:
        """Wait for the lock; returns a warning where there is none.

        `waiting`: called with its holder, as text. Raises TargetBusyError.
        """
        if self.descriptor is not None:
            return ()
        await self._find_descriptor()
        give_up, pause = time.monotonic() + timeout, _FIRST_PAUSE
        try:
            while not self._try():
                holder = await asyncio.to_thread(self._holder)
                if (left := give_up - time.monotonic()) <= 0:
                    raise TargetBusyError(self._file.path, f"no lock within {timeout:g} s: {holder}")
                waiting(holder)
                await asyncio.sleep(min(pause, left))
                pause = min(pause * 2, _LONGEST_PAUSE)
        except BaseException:
            self.release()
            raise
        return () if self.descriptor is not None else (NO_LOCK,)

    async def move_to(self, copy: OpenedFile) -> None:
        """Hold the lock at a copy that no other process knows: it will be the database. Holds none where none was held.

        The file itself stays locked for as long as its descriptor is open. Raises TargetBusyError where the copy cannot
        be locked.
        """
        if self.descriptor is None:
            return
        descriptor = await asyncio.to_thread(self._open, copy)
        if descriptor is None:
            raise TargetBusyError(self._file.path, "the lock of this job cannot be moved to the copy")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.descriptor = descriptor

    def release(self) -> None:
        """Give the lock up. Call this before the connection of the session is closed."""
        if self.descriptor is not None:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)  # SQLite may keep the descriptor of a connection that is closed
            self.descriptor = None
        while self._connections:
            self._connections.pop().close()

    async def _find_descriptor(self) -> None:
        # A file system of another machine makes of an flock a lock on the whole file, of the kind that SQLite takes.
        if not is_local(self._file.path):
            return
        known = self._connection.descriptors
        if len(known) == 1:
            (self.descriptor,) = known
        elif known:
            self.descriptor = await statement.at_once(self._connection.aio, lambda _: self._open(self._file))

    def _open(self, file: OpenedFile) -> int | None:
        """The descriptor of one more connection to the file; None: it is not known.

        SQLite may open it with a descriptor that it has kept: then that is in use, and the next one is another.
        """
        uri, numbers = connection_uri(file.path, writing=False), file.numbers
        tried: list[sqlite3.Connection] = []
        try:
            with opening(uri):
                for _ in range(_MOST_KEPT):
                    before = set(descriptors_of(numbers))
                    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
                    if len(new := set(descriptors_of(numbers)) - before) == 1:
                        self._connections.append(connection)
                        return new.pop()
                    tried.append(connection)
            return None
        finally:
            for connection in tried:
                connection.close()

    def _try(self) -> bool:
        """Whether the lock is taken, or there is none."""
        if self.descriptor is None:
            return True
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            self.descriptor = None
        return True

    def _holder(self) -> str:
        found = whole_file_holders(self._file.path)
        return f"{format_holder_names(found) if found else 'another process'} works on it"
