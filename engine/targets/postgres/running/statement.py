"""A statement that is really stopped where that is asked for, and whose end is always waited for."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

from engine.targets.postgres.connection.connecting import Connection
from engine.targets.postgres.connection.errors import CANCELLED, redacted
from engine.targets.postgres.running.stop import Stop
from engine.values import frozen

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

ASK_AGAIN: Final = 2.0
"""Seconds after which the server is asked to stop once more: the first time may have been too early."""
ASKING_TAKES: Final = 5.0


@frozen
class Notice:
    """What the server said while a statement ran."""

    severity: str
    """In English, whatever language the server speaks."""
    message: str
    detail: str = ""

    @property
    def is_warning(self) -> bool:
        return self.severity == "WARNING"

    @property
    def is_info(self) -> bool:
        return self.severity == "INFO"


@dataclass(slots=True)
class Answer:
    """How a statement ended."""

    notices: list[Notice] = field(default_factory=list)
    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    """As text."""
    error: psycopg.Error | None = None
    was_asked_to_stop: bool = False

    @property
    def has_warned(self) -> bool:
        """Where it did not fail."""
        return self.error is None and any(notice.is_warning for notice in self.notices)

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because we wanted it to: it may have ended before the request came."""
        return self.was_asked_to_stop and self.error is not None and self.error.sqlstate == CANCELLED


async def run(connection: Connection, command: str, *stops: Stop) -> Answer:
    """Run one command to its end; when one of `stops` is set the server is asked to stop, and its answer awaited.

    Where the task is cancelled, too; then CancelledError is raised afterwards. Nobody else may use the connection.
    """
    answer = Answer()

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        severity = diagnostic.severity_nonlocalized or diagnostic.severity or ""
        message, detail = diagnostic.message_primary or "", diagnostic.message_detail or ""
        if severity != "INFO":  # of what it did only numbers are taken
            message, detail = redacted(message), redacted(detail)
        answer.notices.append(Notice(severity, message, detail))

    connection.add_notice_handler(note)
    exchange = _Exchange(connection, command)
    cancelled = False
    try:
        with contextlib.ExitStack() as listening:
            for stop in stops:
                listening.enter_context(stop.telling(exchange.news.set))
            while not exchange.is_over:
                answer.was_asked_to_stop = cancelled or any(stop.is_set() for stop in stops)
                try:
                    if answer.was_asked_to_stop:
                        with contextlib.suppress(psycopg.Error, OSError):
                            await connection.cancel_safe(timeout=ASKING_TAKES)
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(exchange.news.wait(), ASK_AGAIN)
                    else:
                        await exchange.news.wait()
                except asyncio.CancelledError:
                    cancelled = True
                if not exchange.is_over:
                    exchange.news.clear()
        try:
            answer.rows = exchange.rows()
        except psycopg.Error as error:
            answer.error = error
    finally:
        connection.remove_notice_handler(note)
    if cancelled:
        raise asyncio.CancelledError
    return answer


class _Exchange:
    """A command that was sent, and what comes back.

    By libpq itself: what a cursor of psycopg does about each command and notice would delay many short steps.
    """

    def __init__(self, connection: Connection, command: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._libpq = connection.pgconn
        self._encoding = connection.info.encoding
        self._results: list[PGresult] = []
        self._error: psycopg.Error | None = None
        self.is_over = False
        """Whether the server has answered, or the connection is lost."""
        self.news = asyncio.Event()
        """Set when it is over; by others for what they have to say."""
        self._socket = -1
        self._is_sent = False
        try:
            self._libpq.send_query(command.encode(self._encoding))
            self._socket = self._libpq.socket
            self._loop.add_reader(self._socket, self._go_on)
            self._is_sent = not self._libpq.flush()
            if not self._is_sent:
                self._loop.add_writer(self._socket, self._go_on)
        except psycopg.Error as error:
            self._end(error)

    def _go_on(self) -> None:
        try:
            self._libpq.consume_input()
            if not self._is_sent:
                self._is_sent = not self._libpq.flush()
                if self._is_sent:
                    self._loop.remove_writer(self._socket)
            while not self._libpq.is_busy():
                result = self._libpq.get_result()
                if result is None:
                    return self._end()
                self._results.append(result)
        except psycopg.Error as error:
            self._end(error)

    def _end(self, error: psycopg.Error | None = None) -> None:
        if self._socket >= 0:  # now: as soon as it is closed, its number may be that of another
            self._loop.remove_reader(self._socket)
            if not self._is_sent:
                self._loop.remove_writer(self._socket)
        self._error = error
        self.is_over = True
        self.news.set()

    def rows(self) -> list[tuple[str | None, ...]]:
        """Of what is over. Raises psycopg.Error."""
        for result in self._results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise error_from_result(result, self._encoding)
        if self._error is not None:
            raise self._error
        return [
            tuple(self._text(result.get_value(row, column)) for column in range(result.nfields))
            for result in self._results
            for row in range(result.ntuples)
        ]

    def _text(self, value: bytes | None) -> str | None:
        return None if value is None else value.decode(self._encoding)
