"""A connection of coroutines: PyMySQL in threads, one statement at a time, its answers bounded."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import pymysql

from engine.system.background import wait_postponing_cancel
from engine.system.daemon_threads import DaemonThreads
from engine.targets.answer_shapes import Shape, fits, width
from engine.targets.mysql.connection.bounded import STRANGE, AnswerError, Wire

_T = TypeVar("_T")

ANSWER_WITHIN: Final = 65.0
"""Seconds; the server itself ends a query of the catalog before that."""
MOST_ROWS: Final = 1_000_000
STOPS_WITHIN: Final = 1.0
"""Seconds within which a cancelled query must end; then its connection is closed."""


class Connection:
    """A connection that runs one statement at a time: others wait for their turn."""

    id = 0
    """CONNECTION_ID() of the server."""

    def __init__(self, wire: Wire, connected: socket.socket) -> None:
        self._wire, self._socket = wire, connected
        self.line = connected.dup()
        """To end what hangs there: the wire puts TLS in place of its socket."""
        self._threads = DaemonThreads(1)
        self._turn = asyncio.Lock()
        self._hung_up = False

    @property
    def closed(self) -> bool:
        return self._hung_up or not self._wire.open

    @property
    def has_heard_nothing(self) -> bool:
        """Whether the server sent nothing since the last statement: what it sends then is mostly that it ends."""
        heard = select.poll()
        heard.register(self.line, select.POLLIN)
        return not heard.poll(0)

    @property
    def greeted_as(self) -> int:
        """The connection's id, as the greeting of the server says."""
        return int(self._wire.server_thread_id[0])

    async def login(self, within: float) -> None:
        """Raises pymysql.MySQLError; AnswerError without an answer in so many seconds."""
        await self._answer(lambda: self._wire.login(self._socket), within)

    async def rows(
        self, query: str, args: Sequence[object] = (), *, row: Shape, most: int | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows of a query. Raises pymysql.MySQLError; AnswerError if the shape is wrong.

        Args:
            args: values for each `%s`. Without any, a `%` stands for itself.
            row: the types of the columns. Times and dates are text.
            most: how many rows there may be; None: as many as memory has room for.
        """
        found = await self._asked(lambda: self._wire.ask(query, args, is_query=True))
        if (
            len(found) > (MOST_ROWS if most is None else most)
            or (found and len(found[0]) != width(row))
            or not fits(found, row)
        ):
            self.hang_up()
            raise AnswerError(STRANGE)
        return found

    async def row(self, query: str, args: Sequence[object] = (), *, row: Shape) -> tuple[Any, ...]:
        """The row of a query that answers with one row."""
        found = await self.rows(query, args, row=row, most=1)
        if not found:
            self.hang_up()
            raise AnswerError(STRANGE)
        return found[0]

    async def named(self, query: str) -> list[dict[str, str | None]]:
        """The rows of a query whose columns differ between versions, as text by name. Raises as `rows`."""
        found = await self._asked(lambda: self._wire.ask_named(query))
        return [{name: _text(value) for name, value in row.items()} for row in found]

    async def command(self, sql: str) -> list[tuple[str | None, ...]]:
        """Run a statement, for as long as that takes, and give its rows as text. Raises pymysql.MySQLError.

        Cancelling the task does not interrupt it: `KILL QUERY` on another connection does.
        """

        async def run() -> list[tuple[Any, ...]]:
            async with self._turn:
                self._check_open()
                return await self._threads.run(lambda: self._wire.ask(sql))

        return [tuple(map(_text, row)) for row in await wait_postponing_cancel(run())]

    async def short_command(self, sql: str) -> list[tuple[str | None, ...]]:
        """Run a statement that the server answers at once. Raises AnswerError where it does not."""
        return [tuple(map(_text, row)) for row in await self._asked(lambda: self._wire.ask(sql))]

    async def _asked(self, call: Callable[[], _T]) -> _T:
        async with self._turn:
            self._check_open()
            return await self._answer(call, ANSWER_WITHIN)

    def _check_open(self) -> None:
        if self.closed:
            raise pymysql.InterfaceError(2013, "the connection is closed")

    async def _answer(self, call: Callable[[], _T], within: float) -> _T:
        running = asyncio.ensure_future(self._threads.run(call))
        running.add_done_callback(_retrieve)
        try:
            await asyncio.wait({running}, timeout=within)
            if running.done():
                return running.result()
        except asyncio.CancelledError:
            try:
                await asyncio.wait({running}, timeout=STOPS_WITHIN)
            finally:
                if not running.done():
                    self.hang_up()
            raise
        self.hang_up()
        raise AnswerError(f"it did not answer within {within:g} s")

    def hang_up(self) -> None:
        """End the connection at once, also in the middle of a statement."""
        self._hung_up = True
        with contextlib.suppress(OSError):
            self.line.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Close the connection, also while a statement hangs."""
        if self.closed or self._turn.locked():
            self.hang_up()
        ending = asyncio.ensure_future(self._threads.run(self._wire.end))  # after a statement that hung there
        ending.add_done_callback(_retrieve)
        try:
            await asyncio.wait({ending}, timeout=STOPS_WITHIN)
        finally:
            self.hang_up()
            self.line.close()


def _retrieve(answer: asyncio.Future[Any]) -> None:
    """Take the error of a cancelled query, so that asyncio does not log it."""
    if not answer.cancelled():
        answer.exception()


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)
