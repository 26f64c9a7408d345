"""SQLite connections, each in its own thread; a failed open leaves no thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from threading import Lock, Thread
from typing import Any, Final, TypeVar, cast
from weakref import WeakValueDictionary

import aiosqlite

T = TypeVar("T")
_OPENING: Final = Lock()
_opening_one: Final[WeakValueDictionary[str, Lock]] = WeakValueDictionary()
"""A lock for each file: a disk that hangs would hold one lock for all."""


def opening(uri: str) -> AbstractContextManager[object]:
    """While inside, no other thread opens the same file: a new descriptor belongs to this connection."""
    with _OPENING:
        return _opening_one.setdefault(uri.partition("?")[0], Lock())


def as_it_is(_: sqlite3.Connection) -> None:
    """Prepares nothing."""


class OpenedConnection(sqlite3.Connection):
    """A connection. `prepare`: called with it."""

    def __init__(self, file: str, prepare: Callable[[sqlite3.Connection], object], **how: Any) -> None:
        with opening(file):
            super().__init__(file, **how)
        try:
            prepare(self)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        # An interrupt that came too late would make it skip its checkpoint and leave -wal and -shm behind;
        # any statement clears it.
        with suppress(sqlite3.Error):
            self.execute("SELECT 1").fetchall()
        super().close()


async def connected(
    uri: str,
    prepare: Callable[[sqlite3.Connection], object] = as_it_is,
    factory: Callable[..., Any] = OpenedConnection,
    **how: Any,
) -> aiosqlite.Connection:
    """As `aiosqlite.connect`, in autocommit mode. Raises sqlite3.Error.

    `prepare`: called with the new connection, in its thread. `factory`: what makes it; it calls `prepare`.
    """
    factory = partial(factory, prepare=prepare)
    connection = aiosqlite.connect(uri, uri=True, isolation_level=None, factory=factory, **how)
    try:
        return await connection
    except BaseException:
        # Its thread notifies the loop at its end; the loop must be open then.
        thread = cast("Thread", getattr(connection, "_thread", connection))  # old versions: the thread itself
        if thread.is_alive():  # it never started if the system has no thread left
            await asyncio.to_thread(thread.join)
        raise


async def in_its_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """The result of `work`, which gets the connection in its thread.

    Each statement that is awaited by itself costs two changes of the thread, which is more than a short one takes.
    """
    execute = cast("Callable[..., Awaitable[T]]", connection._execute)  # there is no public way
    return await execute(work, connection._conn)
