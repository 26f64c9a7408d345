"""Connections to the shared store, and what it means when one fails, for a DBA."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from engine.domain.errors import (
    DbtendError,
    DuplicateRequestError,
    OwnershipLostError,
    ReadOnlyError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    StoreUnreachableError,
    no_such_batch,
    no_such_job,
)
from engine.domain.events import CUT_OFF
from engine.domain.jobs import JobId
from engine.store.postgres.acknowledged import NEWEST, Acknowledged
from engine.store.postgres.refusals import namesake_error, refusal
from engine.store.postgres.roles import SEARCH_PATH, missing_role

KEEPALIVES: Final = {
    "keepalives_idle": "3",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "7000",
    "connect_timeout": "10",
}
"""A lost network is noticed after about 7 seconds."""
OPTIONS: Final = (
    f"-c search_path={SEARCH_PATH.replace(' ', '')} -c client_min_messages=error"
    " -c statement_timeout=0 -c lock_timeout=10s"
)
END_IDLE_TRANSACTIONS: Final = "-c idle_in_transaction_session_timeout=10s"
"""A failed write holds its locks until it is rolled back, even if this host is gone by then."""
READS_ONLY: Final = "25006"
DISK_FULL: Final = "53100"
UNAVAILABLE_CLASSES: Final = ("08", "57P")
ANSWERS_WITHIN: Final = 10.0
"""Seconds that a read or write waits for a connection."""

_ACKNOWLEDGE: Final = f"SELECT {NEWEST}, pg_logical_emit_message(true, 'dbtend', '')"
_WRITE: Final = "BEGIN; SET LOCAL synchronous_commit = off; {}; COMMIT; " + _ACKNOWLEDGE
"""A write, and after its commit a wait until it is on the disk, and on a synchronous standby: so no other waits for a
lock while these are slow. The second commit writes all of the log that is before it."""
_END_SESSIONS: Final = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE pid = ANY (%s) AND usename = session_user AND application_name = %s"""

Connection = psycopg.AsyncConnection[TupleRow]
Question = tuple[str, Mapping[str, Any] | None]
"""A statement that reads, and its values."""
T = TypeVar("T")


class Admitting(Protocol):
    """See `Admission`."""

    async def known(self) -> None: ...

    async def rights(self) -> object: ...


_NOT_REGISTERED: Final = "DT002"
"""A worker that others found dead asks for work."""
logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # who asks for a connection tells of it


def parameters(url: str, program: str, *, read_only: bool = False) -> dict[str, Any]:
    """What to connect with: the URL's own settings win, but for those that the store needs."""
    options = f"{OPTIONS} -c default_transaction_read_only=on" if read_only else OPTIONS
    needed = {"application_name": program, "options": options, "target_session_attrs": "primary"}
    return {**KEEPALIVES, **conninfo_to_dict(url), **needed}


@asynccontextmanager
async def connected(url: str, what: str, program: str) -> AsyncIterator[Connection]:
    """A connection on which each statement commits by itself. Raises StoreError."""
    async with await connect(url, what, program) as connection:
        yield connection


async def connect(url: str, what: str, program: str, **settings: str) -> Connection:
    """Open a connection that the caller closes; `settings` of libpq win. Raises StoreError."""
    try:
        return await psycopg.AsyncConnection.connect(**{**parameters(url, program), **settings}, autocommit=True)
    except psycopg.Error as error:
        raise store_error(what, error) from None


async def answers(connection: Connection, *questions: Question) -> list[list[TupleRow]]:
    """What several statements read, in one transaction and one round trip. Raises psycopg.Error."""
    async with connection.pipeline():
        cursors = [await connection.execute(query.encode(), values) for query, values in questions]
    return [await cursor.fetchall() for cursor in cursors]


async def heard(connection: Connection, within: float) -> None:
    """Wait until the server says something unasked, or has ended the session; seconds at most.

    `notifies` of psycopg wakes ten times a second while it waits.
    """
    loop, socket, said = asyncio.get_running_loop(), connection.fileno(), asyncio.Event()
    loop.add_reader(socket, said.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await said.wait()
    finally:
        loop.remove_reader(socket)


class Pool:
    """Connections for statements that commit by themselves; `what` names the store in errors.

    `at_once`: how many are made when it opens. All but one end when they are idle for long.
    """

    def __init__(
        self, url: str, what: str, *, program: str, size: int, at_once: int = 1, read_only: bool = False
    ) -> None:
        self._what, self._is_read_only, self._program = what, read_only, program
        self.acknowledged = Acknowledged(what)
        self.admission: Admitting | None = None
        """Whether this user is let in; None: that is known."""
        self._broken: set[int] = set()
        """Processes of the server whose connection broke during a statement."""
        given = parameters(url, program, read_only=read_only)
        given["options"] += f" {END_IDLE_TRANSACTIONS}"
        self._pool = CancellablePool(
            kwargs={**given, "autocommit": True},
            min_size=at_once,
            max_size=size,
            num_workers=size,
            open=False,
            timeout=ANSWERS_WITHIN,
            configure=self.acknowledged.check,
            check=_still_there,
        )

    async def open(self) -> None:
        await self._pool.open()
        await self._pool.resize(1, self._pool.max_size)

    async def close(self) -> None:
        await self._pool.close(timeout=1)

    async def rows(self, query: str, values: Mapping[str, Any] | Sequence[Any] | None = ()) -> list[TupleRow]:
        """What one statement reads. Raises StoreError."""

        async def ask(connection: Connection) -> list[TupleRow]:
            return await (await connection.execute(query.encode(), values)).fetchall()

        return await self._read(ask)

    async def together(self, *questions: Question) -> list[list[TupleRow]]:
        """What several statements read, in one round trip. Raises StoreError."""

        async def ask(connection: Connection) -> list[list[TupleRow]]:
            return await answers(connection, *questions)

        return await self._read(ask)

    async def write(self, query: str, values: Sequence[Any]) -> list[TupleRow]:
        """The rows of a statement that writes, once that is durable. Raises StoreError, and what a function of the
        store raises."""

        async def ask(connection: Connection) -> list[TupleRow]:
            cursor = psycopg.AsyncClientCursor(connection)  # several statements take no parameters of the server
            await cursor.execute(_WRITE.format(query).encode(), values)
            while cursor.description is None and cursor.nextset():
                pass
            rows = await cursor.fetchall()
            while cursor.nextset():
                pass
            ((newest, _),) = await cursor.fetchall()
            self.acknowledged.note(newest)
            return rows

        if self.admission is not None:
            await self.admission.rights()
        return await self._on_connection(ask)

    async def _read(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Read at once, and return the result when the store is known."""
        if self.admission is None:
            return await self._on_connection(ask)
        try:
            found = await self._on_connection(ask)
        except DbtendError:
            await self.admission.known()  # its error tells more
            raise
        await self.admission.known()
        return found

    async def _on_connection(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        self.acknowledged.require()
        try:
            async with self._pool.connection() as connection:
                self.acknowledged.require()
                await self._end_broken(connection)
                backend = connection.info.backend_pid
                try:
                    return await ask(connection)
                finally:
                    if connection.broken:
                        self._broken.add(backend)
        except (psycopg.Error, PoolTimeout) as error:
            if error.sqlstate == _NOT_REGISTERED:  # its session, which tells that too, may be slower
                leave(f"{self._what}: this process was declared dead")
            raise self.error(error) from None

    async def _end_broken(self, connection: Connection) -> None:
        """The statement on a connection that broke is done by now, or never will be."""
        if not self._broken:
            return
        broken, self._broken = self._broken, set()
        try:
            await connection.execute(_END_SESSIONS.encode(), (list(broken), self._program))
        except BaseException:
            self._broken |= broken
            raise

    async def call(self, function: str, *arguments: Any) -> Any:
        """What a function of the store gives that writes."""
        places = ", ".join(["%s"] * len(arguments))
        try:
            ((value,),) = await self.write(f"SELECT {function}({places})", arguments)
        except ReadOnlyError:
            if self._is_read_only:
                raise
            raise missing_role(self._what, function) from None
        return value

    def error(self, error: psycopg.Error | PoolTimeout) -> Exception:
        if self._is_read_only and error.sqlstate == READS_ONLY:
            return ReadOnlyError(self._what, "was opened to be looked at only", "open it without --read-only")
        return store_error(self._what, error)


async def _still_there(connection: Connection) -> None:
    """Raises OperationalError where the server has ended the connection; nothing is sent."""
    connection.pgconn.consume_input()  # its last words
    connection.pgconn.consume_input()


def store_error(what: str, error: psycopg.Error | PoolTimeout) -> Exception:
    """The error of the engine for one of the server; `what`: the store without a password."""
    if isinstance(error, PoolTimeout):
        return StoreUnreachableError(
            what, f"the server has given no connection for {ANSWERS_WITHIN:.0f} s", "see to the server"
        )
    if (own := _own_error(error)) is not None:
        return own
    state, text = error.sqlstate or "", _first_line(error)
    if not state and (refused := refusal(what, str(error))) is not None:
        return refused
    if state == "42501":
        return ReadOnlyError(
            what, f"your role may not do that: {text}", "ask for a role that may: see `dbtend store check`"
        )
    if state == READS_ONLY:
        hint = "give the URL of the primary server, or see to default_transaction_read_only there"
        return StoreError(what, "the server or this database is read-only", hint)
    if state == DISK_FULL:
        return StoreFullError(what, "the disk of its server is full", "make room there")
    if state.startswith("53"):
        return StoreFullError(what, text, "see to the server")
    if not state or state.startswith(UNAVAILABLE_CLASSES):
        return StoreUnreachableError(what, f"cannot be reached: {text}", "see to the server and the network")
    if state in {"40P01", "40001", "55P03"}:
        return StoreBusyError(what, f"others were in the way: {text}", "try again")
    return StoreError(what, text, "run `dbtend store check`")


def _own_error(error: psycopg.Error) -> DbtendError | OwnershipLostError | None:
    """What a function of the store raised by a code of its own."""
    detail, hint = error.diag.message_detail or "", error.diag.message_hint or ""
    match error.sqlstate:
        case "DT001":
            return DuplicateRequestError(hint, int(detail))
        case "DT003":
            return OwnershipLostError(_first_line(error))
        case "DT004":
            parent, ordinal = json.loads(detail)
            return no_such_job(JobId(parent, ordinal))
        case "DT005":
            return no_such_batch(int(detail))
        case "DT006":
            return namesake_error(detail)
    return None


def _first_line(error: psycopg.Error) -> str:
    text = error.diag.message_primary or str(error)
    return text.strip().splitlines()[0] if text.strip() else type(error).__name__


class CancellablePool(AsyncConnectionPool[Connection]):
    """A pool of connections that loses no cancel.

    psycopg_pool uses `asyncio.wait_for`, which with Python 3.11 loses a cancel that comes with the result: a loop that
    asks for connections would go on for ever.
    """

    async def getconn(self, timeout: float | None = None) -> Connection:
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


log = logging.getLogger("dbtend")


def leave(why: str) -> None:
    """End this process at once: what it ran may be run by another."""
    log.error("%s: this process ends, as others may take over what it ran", why)
    os._exit(CUT_OFF)
