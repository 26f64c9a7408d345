"""A PostgreSQL database as a target."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from engine.domain.errors import TargetRefusedError, UsageError
from engine.domain.requests import DEFAULT_OPTIONS, EngineName, Operation, Options, Request
from engine.system.dsn import address, environment_of, host_key
from engine.targets.outage import connect_when_up
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import PROGRAM, READING_TIMEOUT, Server, connect
from engine.targets.postgres.planning import operation_specs
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.session import PostgresSession
from engine.targets.protocol import Waiting

READING_LOCK_TIMEOUT: Final = 1.0
_ONE: Final = "leave one of them out"


class PostgresTarget:
    """The database that `text` names: a URL, key=value as libpq reads it, or service=NAME."""

    engine: Final = EngineName.POSTGRESQL
    elsewhere: Final = None
    operations: Final = operation_specs.SPECS
    default_operations: Final = operation_specs.DEFAULT_OPERATIONS

    def __init__(self, text: str) -> None:
        self._address: Final = address(text)
        self._server: Server | None = None
        """The server, once connected to."""

    def __repr__(self) -> str:
        return f"PostgresTarget({self.url!r})"

    @property
    def url(self) -> str:
        return self._address.url

    @property
    def environment(self) -> Mapping[str, str]:
        return environment_of(self._address.parameters)

    @property
    def host_key(self) -> str:
        return host_key(self._address.parameters)

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
        """Raise UsageError for options that contradict each other."""
        server = request.options.server
        if server.exclude_schemas and (server.schemas or request.options.objects):
            other = "--schema" if server.schemas else "--object"
            raise UsageError("--exclude-schema", f"does not go with {other}, which names all there is to do", _ONE)
        if not (server.process_main or server.process_toast):
            raise UsageError("--no-process-main", "leaves nothing to do with --no-process-toast", _ONE)
        if server.system and server.tablespace is not None:
            raise UsageError("--tablespace", "does not go with --system: the catalog cannot be moved", _ONE)

    def needs_confirmation(self, operation: Operation, options: Options) -> str:
        if operation in operation_specs.OF_CATALOGS and options.server.system:
            return operation_specs.LOCKS_CATALOG
        if operation in {Operation.REINDEX, Operation.OPTIMIZE} and options.server.offline:
            return operation_specs.OFFLINE_REINDEX
        return operation_specs.SPECS[operation].needs_confirmation if operation in operation_specs.SPECS else ""

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
    ) -> AsyncIterator[PostgresSession]:
        async with AsyncExitStack() as stack:
            looking = connect_when_up(lambda: self._look(name, read_only=read_only), server_wait, waiting)
            connection, server = await looking
            reopen = partial(self._look, name, read_only=read_only, of_pool=server.is_pooled)
            reader = Reader(connection, server, self.url, reopen)
            stack.push_async_callback(reader.close)
            if writing and not read_only:
                self._check_writable(server)
            session = PostgresSession(self._address, reader, _told(name), lock_timeout, waiting)
            stack.push_async_callback(session.close)
            yield session

    def look(self, *, lock_timeout: float, read_only: bool = False) -> AbstractAsyncContextManager[PostgresSession]:
        return self.connect(lock_timeout=lock_timeout, writing=False, read_only=read_only)

    async def _look(self, name: str, *, read_only: bool = False, of_pool: bool = False) -> tuple[Connection, Server]:
        """A connection that reads the catalog and waits for no locks."""
        connection, server = await connect(
            self._address,
            name=_told(name),
            lock_timeout=READING_LOCK_TIMEOUT,
            statement_timeout=READING_TIMEOUT,
            read_only=read_only,
            of_pool=of_pool,
        )
        self._server = server
        return connection, server

    def _check_writable(self, server: Server) -> None:
        if server.is_standby:
            why, hint = "it is a standby, which cannot be maintained", "give the primary; advise works here"
            raise TargetRefusedError(self.url, why, hint)
        if server.reads_only:
            why = f"{server.user} may only read there: default_transaction_read_only is on"
            raise TargetRefusedError(self.url, why, "connect as a role that may write")

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
