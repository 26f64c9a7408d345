"""SQLite connections, each in its own thread; a failed open leaves no thread."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import Any, cast

import aiosqlite


async def connected(uri: str, **how: Any) -> aiosqlite.Connection:
    """As `aiosqlite.connect`, in autocommit mode. Raises sqlite3.Error."""
    connection = aiosqlite.connect(uri, uri=True, isolation_level=None, **how)
    try:
        return await connection
    except BaseException:
        # Its thread notifies the loop at its end; the loop must be open then.
        thread = cast("Thread", getattr(connection, "_thread", connection))  # old versions: the thread itself
        if thread.is_alive():  # it never started if the system has no thread left
            await asyncio.to_thread(thread.join)
        raise
