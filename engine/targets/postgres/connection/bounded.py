"""A connection whose answers are bounded in time, size and shape.

libpq makes room for a message of 2 GB where a server announces one.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import struct
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import psycopg
from psycopg import generators, waiting
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from engine.targets.answer_shapes import Shape, fits, width
from engine.targets.postgres.queries import query

_T = TypeVar("_T")
Parameters = Sequence[Any] | Mapping[str, Any]

ANSWER_WITHIN: Final = 65.0
"""Seconds; the server itself ends a query of the catalog before that."""
LONGEST_ANSWER: Final = 64 * 1024**2
"""Bytes of an answer."""
MOST_MEMORY: Final = 256 * 1024**2
"""Bytes that it may take here."""
LONGEST_READING: Final = 2.0
"""Seconds of a processor."""
MOST_VALUES: Final = 4_000_000
"""Values of an answer at most: each takes more memory here than on its way."""
STOPS_WITHIN: Final = 1.0
"""Seconds within which a cancelled query must end, or its connection is closed."""
PUTTING_BACK_TAKES: Final = 2.0


class AnswerError(psycopg.InterfaceError):
    """No answer, or one that PostgreSQL would not give. The connection is closed."""


class Connection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """Waits for each answer at most `patience` seconds, and refuses answers that are too long."""

    patience: float | None = ANSWER_WITHIN
    """Seconds; None for no limit."""
    _found: Sequence[tuple[str, str]] | None = None
    """Settings to restore, if a pooler gives the session to others later."""

    async def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        """Every wait of psycopg but that for the connection itself. Raises AnswerError."""
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
        except psycopg.DatabaseError:
            self._check_room()
            raise

    def _check_room(self) -> None:
        """Raise AnswerError where libpq had no room for a message."""
        if b"cannot allocate memory" in self.pgconn.error_message:
            self.pgconn.finish()
            raise AnswerError(TOO_LONG) from None

    async def _waited(self, gen: PQGen[_T], interval: float) -> _T:
        return await waiting.wait_async(gen, self.pgconn.socket, interval=interval)

    def _measured(self, gen: PQGen[_T]) -> PQGen[_T]:
        number, budget = self.pgconn.socket, Budget()
        try:
            state = next(gen)
            while True:
                ready = yield state
                with budget.reading(number):
                    state = gen.send(ready)
        except StopIteration as end:
            result: _T = end.value
            return result

    async def _stop(self, gen: PQGen[Any]) -> None:
        """End the query of a cancelled task, or close the connection."""
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
        self, query: str, parameters: Parameters = (), *, row: Shape | None = None, most: int | None = None
    ) -> list[tuple[Any, ...]]:
        """The rows of a query. Raises psycopg.Error; AnswerError if the shape is wrong.

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

    async def row(self, query: str, parameters: Parameters = (), *, row: Shape) -> tuple[Any, ...]:
        """The row of a query that answers with one row."""
        found = await self.rows(query, parameters, row=row, most=1)
        if not found:
            self.pgconn.finish()
            raise AnswerError(STRANGE)
        return found[0]

    async def parse(self, statement: str) -> list[int]:
        """Parse one statement on the server without running it. Returns the type oids of its columns.

        Raises psycopg.Error, also where there are several.
        """
        text = statement.encode(self.info.encoding)
        async with self.lock:
            await self._sent(lambda: self.pgconn.send_prepare(b"", text))
            described = await self._sent(lambda: self.pgconn.send_describe_prepared(b""))
        return [result.ftype(column) for result in described for column in range(result.nfields)]

    async def run_one(self, statement: str) -> None:
        """Run one statement and ignore its rows. Raises as `parse`."""
        text = statement.encode(self.info.encoding)
        async with self.lock:
            await self._sent(lambda: self.pgconn.send_query_params(text, None))

    async def _sent(self, send: Callable[[], None]) -> list[PGresult]:
        send()
        results: list[PGresult] = await self.wait(generators.execute(self.pgconn))
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                self._check_room()
                raise error_from_result(result, self.info.encoding)
        return results

    @contextlib.contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Take another time for each answer."""
        usual, self.patience = self.patience, seconds
        try:
            yield
        finally:
            self.patience = usual

    async def restore_settings_on_close(self) -> None:
        """Remember the session's settings, and restore them on close: a pooler gives the session to others.

        Its advisory locks are let go.
        """
        self._found = await self.rows(query("settings_of_session"), row=(str, str))

    async def close(self) -> None:
        found, self._found = self._found, None
        try:
            if found is not None and not self.closed and self.pgconn.transaction_status == TransactionStatus.IDLE:
                with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                    async with asyncio.timeout(PUTTING_BACK_TAKES):
                        await self._restore_settings(found)
        finally:
            await super().close()

    async def _restore_settings(self, found: Sequence[tuple[str, str]]) -> None:
        await self.execute("RESET ALL")
        await self.execute("SELECT pg_catalog.pg_advisory_unlock_all()")
        for name, setting in found:
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                await self.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, setting))


STRANGE: Final = "it does not answer as PostgreSQL does"
TOO_LONG: Final = f"its answer is longer than {LONGEST_ANSWER // 1024**2} MB"


async def _rows_of(
    cursor: psycopg.AsyncCursor[tuple[Any, ...]], row: Shape | None, most: int | None
) -> list[tuple[Any, ...]]:
    result = cursor.pgresult
    if result is None or result.status != ExecStatus.TUPLES_OK:
        raise AnswerError(STRANGE)
    if result.ntuples * result.nfields > MOST_VALUES:
        raise AnswerError(f"its answer has more than {MOST_VALUES} values")
    if (row is not None and result.nfields != width(row)) or (most is not None and result.ntuples > most):
        raise AnswerError(STRANGE)
    try:
        found = await cursor.fetchall()
    except (psycopg.DataError, ValueError, ArithmeticError, RecursionError):
        raise AnswerError(STRANGE) from None
    if row is not None and not fits(found, row):
        raise AnswerError(STRANGE)
    return found


class Budget:
    """The limits of one answer."""

    def __init__(self, *, of_memory: bool = True) -> None:
        """`of_memory`: whether memory growth of the process counts."""
        self._of_memory = of_memory
        self._memory, self._received, self._read_for = taken() if of_memory else 0, 0, 0.0

    @contextlib.contextmanager
    def reading(self, number: int) -> Iterator[None]:
        """Guards reading from this socket. Raises AnswerError above a limit."""
        self._received += readable(number)
        if self._received > LONGEST_ANSWER or (self._of_memory and taken() - self._memory > MOST_MEMORY):
            raise AnswerError(TOO_LONG)
        if self._read_for > LONGEST_READING:
            raise AnswerError(f"its answer takes longer than {LONGEST_READING:g} s to read")
        began = time.thread_time()
        try:
            with limited_growth():
                yield
        except MemoryError:
            raise AnswerError(TOO_LONG) from None
        finally:
            self._read_for += time.thread_time() - began


def readable(number: int) -> int:
    """Bytes that have come and were not read yet; 0 of a socket that is closed."""
    try:
        return int(struct.unpack("i", fcntl.ioctl(number, termios.FIONREAD, bytes(4)))[0])
    except OSError:
        return 0


LARGEST_MESSAGE: Final = 64 * 1024**2
"""Bytes that this process may grow while libpq reads."""
_PAGE: Final = resource.getpagesize()


def _pages() -> tuple[int, int] | None:
    """Pages of address space and of private memory; None if the system does not tell.

    For each answer: `Path.read_bytes` would take five times as long.
    """
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return None
    try:
        addresses, resident, shared, *_ = map(int, os.read(statm, 200).split())
    finally:
        os.close(statm)
    return addresses, resident - shared


def taken() -> int:
    """Bytes of private memory; 0 if the system does not tell."""
    pages = _pages()
    return pages[1] * _PAGE if pages else 0


@contextlib.contextmanager
def limited_growth() -> Iterator[None]:
    """Limit the address space inside to room for the largest message; no limit if the system does not tell its use.

    The limit is the whole process's, so nothing else is done inside.
    """
    pages = _pages()
    if pages is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages[0] * _PAGE + LARGEST_MESSAGE
    resource.setrlimit(resource.RLIMIT_AS, (limit if soft == resource.RLIM_INFINITY else min(limit, soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
