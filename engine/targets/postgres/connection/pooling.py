"""Whether a pooler is in between, and whether a connection to it has the server's connection to itself.

Checked before any setting: settings made through a pooler that shares the server connection after each
transaction (transaction and statement pooling) would reach others. The checks leave no trace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from engine.domain.errors import TargetUnavailableError
from engine.domain.frozen import frozen
from engine.system.background import end_task
from engine.targets.postgres.connection.bounded import AnswerError, Connection
from engine.targets.postgres.queries import query

OTHERS: Final = 4
"""How many further connections try to get the same server connection, one after another: there may be several
poolers behind one address."""
POLL_EVERY: Final = 0.2
WAITS_WHILE_SERVED: Final = 5
"""Answers received here while the other waits for its first: the pool has no second connection for it."""


@frozen
class Turn:
    """A transaction on the server."""

    backend: int
    number: int
    """The number of transactions that the backend has run."""

    def is_next_after(self, earlier: Turn) -> bool:
        return self == Turn(earlier.backend, earlier.number + 1)


class _SharedError(Exception):
    """The pooler shares the server connection, or has switched it."""


async def has_pooler(connection: Connection) -> bool:
    """A pooler tells libpq a process of the server that is not the one that answers."""
    (backend,) = await connection.row("SELECT pg_catalog.pg_backend_pid()", row=(int,))
    return bool(backend != connection.info.backend_pid)


async def refuse_shared(connection: Connection, another: Callable[[], Awaitable[Connection]], what: str) -> None:
    """Raise TargetUnavailableError where the pooler does not keep the server's connection for this one.

    `another`: opens one more in the same way; raises TargetError.
    """
    try:
        turn = await _next(connection, await _turn(connection))
        for _ in range(OTHERS):
            other = _Other(another)
            turn = await _compared(connection, turn, other)
            if other.is_waiting:
                return
    except _SharedError:
        why = (
            "its pooler hands a connection to the server on to others after each transaction (transaction or statement"
            " pooling): what dbtend sets would be set for them"
        )
        raise TargetUnavailableError(what, why, "connect to the server itself, or to a pool in session mode") from None


async def _turn(connection: Connection) -> Turn:
    backend, number = await connection.row(query("own_transaction"), row=(int, str))
    count = number.rpartition("/")[2]
    if not (count.isascii() and count.isdigit()):
        raise AnswerError("it does not tell its virtual transaction id")
    return Turn(backend, int(count))


async def _next(connection: Connection, earlier: Turn) -> Turn:
    turn = await _turn(connection)
    if not turn.is_next_after(earlier):
        raise _SharedError
    return turn


class _Other:
    """A further connection of dbtend, and the backend that serves it."""

    def __init__(self, another: Callable[[], Awaitable[Connection]]) -> None:
        self._another = another
        self.is_asking = self.is_waiting = False

    async def backend(self) -> int:
        connection = await self._another()
        try:
            self.is_asking = True
            (backend,) = await connection.row("SELECT pg_catalog.pg_backend_pid()", row=(int,))
        finally:
            await connection.close()
        return int(backend)


async def _compared(connection: Connection, turn: Turn, other: _Other) -> Turn:
    """See which backend serves the other connection, while this one goes on. Returns its latest turn."""
    answer = asyncio.create_task(other.backend())
    try:
        served = 0
        while not answer.done():
            await asyncio.wait({answer}, timeout=POLL_EVERY)
            has_asked = other.is_asking
            turn = await _next(connection, turn)
            served += has_asked and not answer.done()
            if served >= WAITS_WHILE_SERVED:
                other.is_waiting = True
                return turn
        if await answer == turn.backend:
            raise _SharedError
        return await _next(connection, turn)
    finally:
        await end_task(answer)
