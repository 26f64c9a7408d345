"""SQLite connections, each in its own thread; a failed open leaves no thread."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AbstractContextManager
from threading import Lock, Thread
from typing import Any, Final, cast
from weakref import WeakValueDictionary

import aiosqlite

_OPENING: Final = Lock()
_opening_one: Final[WeakValueDictionary[str, Lock]] = WeakValueDictionary()
"""By file: one for all would be held by a disk that hangs."""


def opening(uri: str) -> AbstractContextManager[object]:
    """While inside, no other thread opens the same file: a new descriptor belongs to this connection."""
    with _OPENING:
        return _opening_one.setdefault(uri.partition("?")[0], Lock())


class _Connection(sqlite3.Connection):
    def __init__(self, file: str, **how: Any) -> None:
        with opening(file):
            super().__init__(file, **how)


async def connected(uri: str, **how: Any) -> aiosqlite.Connection:
    """As `aiosqlite.connect`, in autocommit mode. Raises sqlite3.Error."""
    connection = aiosqlite.connect(uri, uri=True, isolation_level=None, factory=_Connection, **how)
    try:
        return await connection
    except BaseException:
        # Its thread notifies the loop at its end; the loop must be open then.
        thread = cast("Thread", getattr(connection, "_thread", connection))  # old versions: the thread itself
        if thread.is_alive():  # it never started if the system has no thread left
            await asyncio.to_thread(thread.join)
        raise
