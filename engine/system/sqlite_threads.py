"""SQLite connections, each in a thread of its own, which the next one takes over."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from queue import SimpleQueue
from threading import Event, Lock, Thread
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

    _may_be_interrupted = False

    def __init__(self, file: str, prepare: Callable[[sqlite3.Connection], object], **how: Any) -> None:
        with opening(file):
            super().__init__(file, **how)
        try:
            prepare(self)
        except BaseException:
            self.close()
            raise

    def interrupt(self) -> None:
        self._may_be_interrupted = True
        super().interrupt()

    def close(self) -> None:
        # An interrupt that came too late would make it skip its checkpoint and leave -wal and -shm behind;
        # any statement clears it.
        if self._may_be_interrupted:
            with suppress(sqlite3.Error):
                self.execute("SELECT 1").fetchall()
        super().close()


class _Thread(Thread):
    """Does one piece of work after the other. To start a thread takes longer than a short statement."""

    def __init__(self) -> None:
        super().__init__(name="dbtend-sqlite", daemon=True)
        self.given: SimpleQueue[Work] = SimpleQueue()

    def run(self) -> None:
        while True:
            work = self.given.get()
            try:
                work.do()
                idle.append(self)
            finally:
                work.ended.set()


idle: Final[list[_Thread]] = []
"""The threads that no connection uses."""
os.register_at_fork(after_in_child=idle.clear)


class Work:
    """What a Thread is for a connection of aiosqlite."""

    def __init__(self, do: Callable[[], None]) -> None:
        self.do, self.ended, self._begun = do, Event(), False

    def start(self) -> None:
        try:
            thread = idle.pop()
        except IndexError:
            thread = _Thread()
            thread.start()
        thread.given.put(self)
        self._begun = True

    def is_alive(self) -> bool:
        return self._begun and not self.ended.is_set()

    def join(self) -> None:
        self.ended.wait()


class Connection(aiosqlite.Connection):
    """One whose thread is used again, and whose end is one change of the thread."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connect, iter_chunk_size=64)
        self.thread = Work(self._thread.run)
        self._thread = cast("Thread", self.thread)

    async def close(self) -> None:
        if self._connection is not None and (closed := self.stop()) is not None:
            await closed


async def connected(
    uri: str,
    prepare: Callable[[sqlite3.Connection], object] = as_it_is,
    factory: Callable[..., Any] = OpenedConnection,
    **how: Any,
) -> Connection:
    """A connection in autocommit mode. Raises sqlite3.Error.

    `prepare`: called with it, in its thread. `factory`: what makes it; it calls `prepare`. `how`: further arguments of
    `sqlite3.connect`.
    """
    made: Any = partial(factory, prepare=prepare)  # a function, where the type checker wants a class
    connection = Connection(lambda: sqlite3.connect(uri, uri=True, isolation_level=None, factory=made, **how))
    try:
        await connection
    except BaseException:
        if connection.thread.is_alive():  # it never started if the system has no thread left
            await asyncio.to_thread(connection.thread.join)  # at its end it notifies the loop, which must be open then
        raise
    return connection


async def in_its_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """The result of `work`, which gets the connection in its thread.

    Each statement that is awaited by itself costs two changes of the thread, which is more than a short one takes.
    """
    execute = cast("Callable[..., Awaitable[T]]", connection._execute)  # there is no public way
    return await execute(work, connection._conn)
