"""A connection whose answers are bounded in time, size and shape, whoever answers."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import struct
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

import psycopg
from psycopg import generators, waiting
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.waiting import Ready

if TYPE_CHECKING:
    from psycopg.abc import PQGen

_T = TypeVar("_T")
Kind = type | UnionType
Row = tuple[Kind, ...]
"""The types of the columns of an answer: `(int, str | None)`."""
Parameters = Sequence[Any] | Mapping[str, Any]

ANSWER_WITHIN: Final = 65.0
"""Seconds; the server itself ends a query of the catalog before that."""
LONGEST_ANSWER: Final = 64 * 1024**2
"""Bytes of an answer."""
MOST_VALUES: Final = 4_000_000
"""In an answer: each takes more memory here than on its way."""
STOPS_WITHIN: Final = 1.0
"""Seconds in which a query ends that is not waited for any more; after that its connection is given up."""
PUTTING_BACK_TAKES: Final = 2.0

_SET_IN_SESSION: Final = "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'"


class AnswerError(psycopg.InterfaceError):
    """There is no answer, or none that PostgreSQL would give. The connection is given up."""


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """Waits for no answer longer than `patience`, and takes none that is too long."""

    patience: float | None = ANSWER_WITHIN
    """Seconds; None for an answer that takes the time that it takes."""
    _found: Sequence[tuple[str, str]] | None = None
    """What the session was set to, where others use it after us."""

    async def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        """What psycopg waits by for everything but the connection itself. Raises AnswerError."""
        measured = self._measured(gen)
        patience = self.patience if timeout is None else timeout
        try:
            async with asyncio.timeout(patience):
                return await self._waited(measured, interval)
        except TimeoutError:
            self.pgconn.finish()
            raise AnswerError(f"it did not answer within {patience:g} s") from None
        except asyncio.CancelledError:
            await self._stop(measured)
            raise
        except AnswerError:
            self.pgconn.finish()
            raise

    async def _waited(self, gen: PQGen[_T], interval: float) -> _T:
        return await waiting.wait_async(gen, self.pgconn.socket, interval=interval)

    def _measured(self, gen: PQGen[_T]) -> PQGen[_T]:
        socket, received = self.pgconn.socket, 0
        try:
            state = next(gen)
            while True:
                ready = yield state
                if ready & Ready.R:
                    received += readable(socket)
                    if received > LONGEST_ANSWER:
                        raise AnswerError(f"its answer is longer than {LONGEST_ANSWER // 1024**2} MB")
                state = gen.send(ready)
        except StopIteration as end:
            result: _T = end.value
            return result

    async def _stop(self, gen: PQGen[Any]) -> None:
        """The task was cancelled: its query is ended, so that the connection can be used again, or given up."""
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                await self.cancel_safe(timeout=STOPS_WITHIN)
                await self._waited(gen, STOPS_WITHIN / 10)
        except psycopg.errors.QueryCanceled:
            pass
        except (psycopg.Error, OSError, TimeoutError, RuntimeError):
            self.pgconn.finish()
        except asyncio.CancelledError:
            self.pgconn.finish()

    async def rows(
        self, query: str, parameters: Parameters = (), *, row: Row | None = None, most: int | None = None
    ) -> list[tuple[Any, ...]]:
        """What a query answers. Raises psycopg.Error; AnswerError where PostgreSQL would not answer like this.

        Args:
            row: the types of the columns.
            most: how many rows there may be.
        """
        cursor = await self.execute(query, parameters or None)
        try:
            return await _rows_of(cursor, row, most)
        except AnswerError:
            self.pgconn.finish()
            raise

    async def row(self, query: str, parameters: Parameters = (), *, row: Row) -> tuple[Any, ...]:
        """The same of a query that answers with one row."""
        found = await self.rows(query, parameters, row=row, most=1)
        if not found:
            self.pgconn.finish()
            raise AnswerError(STRANGE)
        return found[0]

    async def parse(self, statement: str) -> None:
        """Let the server parse one statement, and not run it. Raises psycopg.Error, also where there are several."""
        await self._alone(lambda text: self.pgconn.send_prepare(b"", text), statement)

    async def run_one(self, statement: str) -> None:
        """Run one statement, of which nothing is taken but whether it failed. Raises as `parse`."""
        await self._alone(lambda text: self.pgconn.send_query_params(text, None), statement)

    async def _alone(self, send: Callable[[bytes], None], statement: str) -> None:
        async with self.lock:
            send(statement.encode(self.info.encoding))
            for result in await self.wait(generators.execute(self.pgconn)):
                if result.status == ExecStatus.FATAL_ERROR:
                    raise error_from_result(result, self.info.encoding)

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Take another time for each answer."""
        usual, self.patience = self.patience, seconds
        try:
            yield
        finally:
            self.patience = usual

    async def leave_as_found(self) -> None:
        """Others use this session after us: what it is set to now it is to be set to again when it is closed."""
        self._found = await self.rows(_SET_IN_SESSION, row=(str, str))

    async def close(self) -> None:
        found, self._found = self._found, None
        try:
            if found is not None and not self.closed and self.pgconn.transaction_status == TransactionStatus.IDLE:
                with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                    async with asyncio.timeout(PUTTING_BACK_TAKES):
                        await self._put_back(found)
        finally:
            await super().close()

    async def _put_back(self, found: Sequence[tuple[str, str]]) -> None:
        await self.execute("RESET ALL")
        for name, setting in found:
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                await self.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, setting))


STRANGE: Final = "it does not answer as PostgreSQL does"


async def _rows_of(
    cursor: psycopg.AsyncCursor[tuple[Any, ...]], row: Row | None, most: int | None
) -> list[tuple[Any, ...]]:
    result = cursor.pgresult
    if result is None or result.status != ExecStatus.TUPLES_OK:
        raise AnswerError(STRANGE)
    if result.ntuples * result.nfields > MOST_VALUES:
        raise AnswerError(f"its answer has more than {MOST_VALUES} values")
    if (row is not None and result.nfields != len(row)) or (most is not None and result.ntuples > most):
        raise AnswerError(STRANGE)
    try:
        found = await cursor.fetchall()
    except (psycopg.DataError, ValueError, ArithmeticError, RecursionError):
        raise AnswerError(STRANGE) from None
    if row is not None:
        for column, kind in zip(zip(*found, strict=True), row, strict=True) if found else ():
            if not _is_of(kind).issuperset(map(type, column)):
                raise AnswerError(STRANGE)
    return found


@functools.cache
def _is_of(kind: Kind) -> frozenset[type]:
    return frozenset(get_args(kind) if isinstance(kind, UnionType) else (kind,))


def readable(socket: int) -> int:
    """Bytes that have come and were not read yet; 0 of a socket that is closed."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(socket, termios.FIONREAD, bytes(4)))[0])
    except OSError:
        return 0
