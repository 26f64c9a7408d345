"""Statements that can really be stopped, and connections that leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiosqlite

from engine.targets.sqlite.errors import is_busy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")
_INTERRUPT_INTERVAL: Final = 0.02
_LOCK_ATTEMPT: Final = 0.1
_LONGEST_TIMEOUT: Final = 1e6


async def open_connection(uri: str, lock_timeout: float) -> aiosqlite.Connection:
    """A connection that has read the schema, so that what is no database fails here. Raises sqlite3.Error."""
    opening = asyncio.ensure_future(_open(uri, lock_timeout))
    try:
        return await to_its_end(opening)
    except asyncio.CancelledError:
        if opening.exception() is None:
            await close(opening.result())
        raise


async def _open(uri: str, lock_timeout: float) -> aiosqlite.Connection:
    connection = await aiosqlite.connect(
        uri, uri=True, isolation_level=None, timeout=min(lock_timeout, _LONGEST_TIMEOUT)
    )
    try:
        await rows_of(connection, "PRAGMA trusted_schema = OFF")
        await rows_of(connection, "SELECT count(*) FROM sqlite_schema")
    except BaseException:
        await connection.close()
        raise
    return connection


async def rows_of(connection: aiosqlite.Connection, sql: str) -> list[Any]:
    """All rows of `sql`. Raises sqlite3.Error."""
    try:
        return list(await connection.execute_fetchall(sql))
    except UnicodeDecodeError as error:  # the message of SQLite's own error holds a name that is no UTF-8
        found = error.object.decode(errors="backslashreplace")
        raise sqlite3.DatabaseError(f"{found} (a name in it is not valid UTF-8)") from error


async def close(connection: aiosqlite.Connection) -> None:
    """Close, and wait for it even when cancelled."""
    await to_its_end(asyncio.ensure_future(_close(connection)))


async def _close(connection: aiosqlite.Connection) -> None:
    # An interrupt that came too late would make close() skip its checkpoint and leave -wal and -shm behind;
    # any statement clears it.
    with contextlib.suppress(sqlite3.Error):
        await connection.execute_fetchall("SELECT 1")
    await connection.close()


async def wait_for_exclusive_lock(connection: aiosqlite.Connection, lock_timeout: float, cancel: asyncio.Event) -> None:
    """Return when the database could be locked, and is free again, or when `cancel` is set.

    SQLite itself does not notice a cancel while it waits for a lock, and outside WAL mode it would do all the
    work of a REINDEX before it finds that a reader keeps it from committing.

    Raises sqlite3.OperationalError (SQLITE_BUSY) if the lock could not be had within `lock_timeout` seconds.
    """
    clock = asyncio.get_running_loop().time
    deadline = clock() + lock_timeout
    while not cancel.is_set():
        left = max(0.0, deadline - clock())
        attempt = _lock_and_release(connection, timeout=min(left, _LOCK_ATTEMPT), timeout_after=lock_timeout)
        try:
            await to_its_end(asyncio.ensure_future(attempt))
        except sqlite3.OperationalError as error:
            if not is_busy(error) or clock() >= deadline:
                raise
        else:
            return


async def _lock_and_release(connection: aiosqlite.Connection, timeout: float, timeout_after: float) -> None:
    await _set_busy_timeout(connection, timeout)
    try:
        await connection.execute_fetchall("BEGIN EXCLUSIVE")
        await connection.execute_fetchall("ROLLBACK")
    finally:
        await _set_busy_timeout(connection, timeout_after)


async def _set_busy_timeout(connection: aiosqlite.Connection, seconds: float) -> None:
    milliseconds = round(1000 * min(seconds, _LONGEST_TIMEOUT))
    await connection.execute_fetchall(f"PRAGMA busy_timeout = {milliseconds}")


async def fetch_all(connection: aiosqlite.Connection, sql: str, cancel: asyncio.Event) -> list[Any]:
    """All rows of `sql`; interrupted when `cancel` is set, or when the awaiting task is cancelled.

    Either way the statement has ended when this returns or raises: aiosqlite alone would let it run on in its
    thread, and a VACUUM would commit behind the back of a task that says it was cancelled.

    Raises sqlite3.Error (SQLITE_INTERRUPT if it was stopped), CancelledError if the task was cancelled.
    """
    statement = asyncio.ensure_future(rows_of(connection, sql))
    asked = asyncio.ensure_future(cancel.wait())
    try:
        await asyncio.wait({statement, asked}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        with contextlib.suppress(sqlite3.Error):
            await to_its_end(statement, connection.interrupt)
        raise
    finally:
        asked.cancel()
    return await to_its_end(statement, connection.interrupt)


async def to_its_end(future: asyncio.Future[T], nudge: Callable[[], Awaitable[None]] | None = None) -> T:
    """The result of `future`, which is waited for even when cancelled, with a `nudge` now and then."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            if nudge is not None:
                await nudge()
            await asyncio.wait({future}, timeout=_INTERRUPT_INTERVAL if nudge else None)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # retrieved here, so that asyncio does not report it as lost
        raise cancelled
    return future.result()
