"""A database on a server as a target, and a session there: the part that is the same for all servers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Generic, TypeVar

from engine.domain.errors import TargetRefusedError
from engine.domain.requests import DEFAULT_OPTIONS, Operation, Options
from engine.targets.attempt_lock import AttemptLock
from engine.targets.catalog_reader import C, CatalogReader, S
from engine.targets.outage import connect_when_up
from engine.targets.session import Recovery, Session
from engine.targets.target import JournalCheck, Target, Waiting
from engine.targets.waits import OthersLookup, no_others

PROGRAM: Final = "dbtend"
READING_TIMEOUT: Final = 60.0
"""Seconds that a query of the catalog may take."""
READING_LOCK_TIMEOUT: Final = 1.0
NOTHING_RUNS: Final = Recovery(
    unfinished="was completed or ended on the server", found="nothing of it runs any more", is_well=True
)
"""What became of the work of a dead process, if it left nothing."""


class ServerSession(Session, Generic[C, S]):
    """A session on a server; see `Session` in `engine.targets.session`."""

    lock_class: type[AttemptLock[C, S]]

    def __init__(
        self,
        address: Any,
        reader: CatalogReader[C, S],
        name: str,
        lock_timeout: float,
        waiting: Waiting | None = None,
    ) -> None:
        """`name`: of the attempt, for its connections and commands. `waiting`: see `Target.connect`."""
        self._address = address
        self._reader = reader
        self._name = name
        self._lock_timeout = lock_timeout
        self._waiting = waiting
        self._first_server = reader.server
        self._lock = self.lock_class(reader, lock_timeout, waiting)
        self._holds_lock = False
        self._operations = AsyncExitStack()
        """Closes what its operations have opened."""

    @abstractmethod
    async def require(self, operations: Sequence[Operation], options: Options) -> None:
        """Raise UsageError for an object that the database does not have, or to which nothing can be done."""

    async def close(self) -> None:
        try:
            await self._operations.aclose()
        finally:
            await self._reader.close()

    async def lock(self) -> tuple[str, ...]:
        if not self._holds_lock:
            await self._lock.take()
            self._holds_lock = True
        return ()

    async def _for_steps(self, connection: C, server: S) -> tuple[C, S]:
        """A new connection on which steps may run; else it is closed. Raises TargetError."""
        try:
            self._check(server)
            if self._holds_lock:
                await self._lock.join(connection, server)
        except BaseException:
            await connection.close()
            raise
        return connection, server

    def _check(self, server: S) -> None:
        """Raise TargetError where this is no server for further steps."""
        if server.key != self._first_server.key:
            why = "another server or database answers at this address now"
            raise TargetRefusedError(self._reader.what, why, "the operation stops here; check the address")


_Session = TypeVar("_Session", bound=ServerSession[Any, Any])


class ServerTarget(Target, Generic[C, S, _Session]):
    """A database on a server; see `Target` in `engine.targets.target`."""

    reader_class: type[CatalogReader[C, S]]
    session_class: type[_Session]

    def __init__(self, address: Any) -> None:
        self._address = address
        self._server: S | None = None
        """The server, once connected to."""

    @abstractmethod
    async def _connect(self, name: str, *, read_only: bool, before: S | None) -> tuple[C, S]:
        """A connection that reads the catalog and waits for no locks. Raises TargetError.

        `before`: who answered the first connection; None: this is the first.
        """

    @abstractmethod
    def _check_writable(self, server: S) -> None:
        """Raise TargetRefusedError where nothing can be maintained there."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        return str(self._address.url)

    @property
    def host_key(self) -> str:
        return str(self._address.host_key)

    def fingerprint(self) -> str:
        return self.url  # asking a server is not cheap

    async def identify(self) -> str:
        return (await self._identified()).key

    async def identify_host(self) -> str:
        return (await self._identified()).host_key

    async def _identified(self) -> S:
        if self._server is not None:
            return self._server
        connection, server = await self._look("")
        await connection.close()
        return server

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
        others_work: OthersLookup = no_others,
        journal_check: JournalCheck | None = None,  # of a file
    ) -> AsyncIterator[_Session]:
        async with AsyncExitStack() as stack:
            look = partial(self._look, name, read_only=read_only)
            connection, server = await connect_when_up(look, server_wait, waiting, others_work)
            reader = self.reader_class(connection, server, self.url, partial(look, before=server))
            session = self.session_class(self._address, reader, _told(name), lock_timeout, waiting)
            stack.push_async_callback(session.close)
            if writing and (planning or not read_only):
                self._check_writable(server)
            yield session

    @asynccontextmanager
    async def catalog(self) -> AsyncIterator[CatalogReader[C, S]]:
        """Reads the catalog. Raises TargetError."""
        look = partial(self._look, "", read_only=True)
        reader = self.reader_class(*await look(), self.url, look)
        try:
            yield reader
        finally:
            await reader.close()

    async def _look(self, name: str, *, read_only: bool = False, before: S | None = None) -> tuple[C, S]:
        connection, self._server = await self._connect(_told(name), read_only=read_only, before=before)
        return connection, self._server

    async def preflight(
        self,
        *,
        lock_timeout: float,
        writing: bool = True,
        operations: Sequence[Operation] = (),
        options: Options = DEFAULT_OPTIONS,
    ) -> str:
        async with self.connect(lock_timeout=lock_timeout, writing=writing) as session:
            await session.require(operations, options)
        return await self.identify()


def _told(name: str) -> str:
    return f"{PROGRAM} {name}".strip()
