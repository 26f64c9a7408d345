"""A MariaDB or MySQL database as a target."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from engine.domain.errors import TargetRefusedError
from engine.domain.requests import DEFAULT_OPTIONS, EngineName, Operation, Options, Request
from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.connecting import PROGRAM, READING_TIMEOUT, connect
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.planning import operation_specs
from engine.targets.mysql.reading.reader import Reader
from engine.targets.mysql.session import MySqlSession
from engine.targets.outage import connect_when_up
from engine.targets.protocol import Waiting

READING_LOCK_TIMEOUT: Final = 1.0


class MySqlTarget:
    """The database that `text` names, a URL."""

    engine: Final = EngineName.MYSQL
    elsewhere: Final = None
    operations: Final = operation_specs.SPECS
    default_operations: Final = operation_specs.DEFAULT_OPERATIONS

    def __init__(self, text: str) -> None:
        self._address: Final = address(text)
        self._server: Server | None = None
        """The server, once connected to."""

    def __repr__(self) -> str:
        return f"MySqlTarget({self.url!r})"

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def environment(self) -> Mapping[str, str]:
        return {}

    @property
    def host_key(self) -> str:
        return self._address.host_key

    def fingerprint(self) -> str:
        return self.url  # asking a server is not cheap

    def state(self) -> str:
        return ""

    async def identify(self) -> str:
        return (await self._identified()).key

    async def identify_host(self) -> str:
        return (await self._identified()).host_key

    async def _identified(self) -> Server:
        if self._server is None:
            connection, self._server = await self._look("")
            await connection.close()
        return self._server

    def validate(self, request: Request) -> None:
        """All options go with each other."""

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        return operation_specs.confirmation(operation, options)

    async def goes_in_turns(self, operation: Operation, options: Options) -> bool:
        return operation_specs.SPECS[operation].in_turns

    @asynccontextmanager
    async def connect(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        planning: bool = False,
        read_only: bool = False,
        name: str = "",
        waiting: Waiting | None = None,
        server_wait: float = 0.0,
    ) -> AsyncIterator[MySqlSession]:
        async with AsyncExitStack() as stack:
            look = partial(self._look, name, read_only=read_only)
            connection, server = await connect_when_up(look, server_wait, waiting)
            reader = Reader(connection, server, self.url, look)
            stack.push_async_callback(reader.close)
            if writing and not read_only and server.reads_only:
                why = f"{server.user} may only read there: the server is read-only"
                raise TargetRefusedError(self.url, why, "give the source of the replica, or SET GLOBAL read_only = OFF")
            session = MySqlSession(self._address, reader, _told(name), lock_timeout, waiting)
            stack.push_async_callback(session.close)
            yield session

    def look(self, *, lock_timeout: float, read_only: bool = False) -> AbstractAsyncContextManager[MySqlSession]:
        return self.connect(lock_timeout=lock_timeout, writing=False, read_only=read_only)

    async def _look(self, name: str, *, read_only: bool = False) -> tuple[Connection, Server]:
        """A connection that reads the catalog and waits for no locks."""
        connection, server = await connect(
            self._address,
            name=_told(name),
            lock_timeout=READING_LOCK_TIMEOUT,
            statement_timeout=READING_TIMEOUT,
            read_only=read_only,
        )
        self._server = server
        return connection, server

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> None:
        async with self.connect(lock_timeout=lock_timeout, writing=writing) as session:
            await session.require(operations, options)


def _told(name: str) -> str:
    return f"{PROGRAM} {name}".strip()
