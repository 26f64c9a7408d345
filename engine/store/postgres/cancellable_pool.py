"""A pool of connections that loses no cancel.

psycopg_pool uses `asyncio.wait_for`, which with Python 3.11 loses a cancel that comes with the result: a loop that asks
for connections would go on for ever.
"""

from __future__ import annotations

import asyncio

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

_Connection = psycopg.AsyncConnection[TupleRow]


class CancellablePool(AsyncConnectionPool[_Connection]):
    async def getconn(self, timeout: float | None = None) -> _Connection:
        before = _cancels()
        connection = await super().getconn(timeout)
        if _cancels() > before:
            await self.putconn(connection)
            raise asyncio.CancelledError
        return connection

    async def close(self, timeout: float = 5.0) -> None:
        before = _cancels()
        await super().close(timeout)
        if _cancels() > before:
            raise asyncio.CancelledError


def _cancels() -> int:
    """How often the current task was asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
