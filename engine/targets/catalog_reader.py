"""Reads the catalog of a database on a server: on a connection of its own, one query at a time."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from engine.domain.errors import TargetError
from engine.targets.answer_shapes import Shape


class Connection(Protocol):
    """A connection to a server."""

    @property
    def closed(self) -> bool: ...

    async def rows(
        self, query: str, args: Any = (), /, *, row: Shape, most: int | None = None
    ) -> list[tuple[Any, ...]]: ...

    async def row(self, query: str, args: Any = (), /, *, row: Shape) -> tuple[Any, ...]: ...

    async def close(self) -> None: ...


class Server(Protocol):
    """Who answers on a connection."""

    @property
    def key(self) -> str:
        """Names the database, whatever address leads to it."""

    @property
    def host_key(self) -> str:
        """Names the server, likewise."""

    @property
    def connection_id(self) -> int:
        """The number of the connection at the server."""

    @property
    def started(self) -> object:
        """When the server started: another value means that it restarted."""


C = TypeVar("C", bound=Connection)
S = TypeVar("S", bound=Server)
Reopen = Callable[[], Awaitable[tuple[C, S]]]


class CatalogReader(ABC, Generic[C, S]):
    """The catalog of one database. Each query says what its rows are: see `answer_shapes`."""

    driver_error: type[Exception]

    def __init__(self, connection: C, server: S, what: str, reopen: Reopen[C, S]) -> None:
        """`what`: the database, for errors. `reopen`: makes another connection, where this one is lost."""
        self.connection, self.server, self.what = connection, server, what
        self._reopen = reopen
        self._turn = asyncio.Lock()

    @abstractmethod
    def error(self, error: Any) -> TargetError:
        """What an error of the driver means."""

    @abstractmethod
    def is_lost(self, error: Any) -> bool:
        """Whether an error of the driver means that the connection was lost."""

    def raise_if_lost(self, error: Exception) -> None:
        """Raise TargetError where an error of the driver means that the connection was lost."""
        if self.is_lost(error):
            raise self.error(error) from None

    async def close(self) -> None:
        await self.connection.close()

    async def rows(self, query: str, args: Any = (), *, row: Shape, most: int | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query. Raises TargetError."""
        with self.telling():
            return await self.rows_or_error(query, args, row=row, most=most)

    async def row(self, query: str, args: Any = (), *, row: Shape) -> tuple[Any, ...]:
        """The row of a query that answers with one row. Raises TargetError."""
        with self.telling():
            return await self.row_or_error(query, args, row=row)

    async def rows_or_error(
        self, query: str, args: Any = (), *, row: Shape, most: int | None = None
    ) -> list[tuple[Any, ...]]:
        """Raises an error of the driver, and TargetError where the connection was lost and no other can be had."""
        async with self.alone() as connection:
            return await connection.rows(query, args, row=row, most=most)

    async def row_or_error(self, query: str, args: Any = (), *, row: Shape) -> tuple[Any, ...]:
        async with self.alone() as connection:
            return await connection.row(query, args, row=row)

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """Raise errors of the driver as TargetError."""
        try:
            yield
        except self.driver_error as error:
            raise self.error(error) from None

    async def release(self) -> None:
        """Close the connection; the next query opens another one."""
        async with self._turn:
            if not self.connection.closed:
                await self.connection.close()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[C]:
        """The connection, for exclusive use; a new one if it was lost. Raises TargetError."""
        async with self._turn:
            if self.connection.closed:
                await self.connection.close()
                self.connection, self.server = await self._reopen()
            yield self.connection
