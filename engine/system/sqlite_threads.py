"""Connections to SQLite, each in a thread of its own, of which nothing is left where they cannot be opened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import aiosqlite

if TYPE_CHECKING:
    from threading import Thread


async def connected(uri: str, **how: Any) -> aiosqlite.Connection:
    """As `aiosqlite.connect`, in autocommit mode. Raises sqlite3.Error."""
    connection = aiosqlite.connect(uri, uri=True, isolation_level=None, **how)
    try:
        return await connection
    except BaseException:
        # Its thread tells the loop that it ends, which must not be closed by then.
        thread = cast("Thread", getattr(connection, "_thread", connection))  # the connection itself, in older versions
        if thread.is_alive():  # it never was where the system lets no further one begin
            await asyncio.to_thread(thread.join)
        raise
