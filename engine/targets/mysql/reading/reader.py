"""Reading the catalog on a connection of its own, one query at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pymysql

from engine.targets.answer_shapes import Shape
from engine.targets.mysql.connection.connection import MOST_ROWS, Connection
from engine.targets.mysql.connection.errors import reading_error
from engine.targets.mysql.connection.server import Server

Reopen = Callable[[], Awaitable[tuple[Connection, Server]]]


class Reader:
    """The catalog of one database."""

    def __init__(self, connection: Connection, server: Server, what: str, reopen: Reopen) -> None:
        """`reopen`: makes another connection, where this one is lost."""
        self.connection, self.server, self.what = connection, server, what
        self._reopen = reopen
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        await self.connection.close()

    async def rows(
        self, query: str, args: Sequence[object] = (), *, row: Shape, most: int = MOST_ROWS
    ) -> list[tuple[Any, ...]]:
        """See `Connection.rows`. Raises TargetError."""
        try:
            return await self.rows_or_error(query, args, row=row, most=most)
        except pymysql.MySQLError as error:
            raise reading_error(self.what, error) from None

    async def row(self, query: str, args: Sequence[object] = (), *, row: Shape) -> tuple[Any, ...]:
        """The row of a query that answers with one row."""
        try:
            async with self.alone() as connection:
                return await connection.row(query, args, row=row)
        except pymysql.MySQLError as error:
            raise reading_error(self.what, error) from None

    async def rows_or_error(
        self, query: str, args: Sequence[object] = (), *, row: Shape, most: int = MOST_ROWS
    ) -> list[tuple[Any, ...]]:
        """Raises pymysql.MySQLError, and TargetError where the connection was lost and no other can be had."""
        async with self.alone() as connection:
            return await connection.rows(query, args, row=row, most=most)

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[Connection]:
        """The connection, for exclusive use; a new one if it was lost. Raises TargetError."""
        async with self._turn:
            if self.connection.closed:
                await self.connection.close()
                self.connection, self.server = await self._reopen()
            yield self.connection
