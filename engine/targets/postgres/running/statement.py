"""Runs statements that can be cancelled, and always waits for their end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

from engine.domain.frozen import frozen
from engine.domain.masking import masked
from engine.targets.postgres.connection.bounded import STRANGE, AnswerError, Budget, Connection
from engine.targets.postgres.connection.errors import CANCELLED
from engine.targets.stop_signal import CANCEL_TIMEOUT, StopSignal, until_over

MAX_NOTICES: Final = 100_000
"""Notices of one command that are kept."""
MAX_RESULTS: Final = 100
"""Results of one command: more are no answer to it."""
_COPIES: Final = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})


@frozen
class Notice:
    """A message of the server while a statement ran."""

    severity: str
    """The severity in English, whatever the language of the server."""
    message: str
    detail: str = ""
    sqlstate: str = ""

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
    """The rows of the answer, each value as text."""
    error: psycopg.Error | None = None
    was_asked_to_stop: bool = False
    left: str = ""
    """What it left behind and could not remove, as text."""

    @property
    def has_warned(self) -> bool:
        """Where it did not fail."""
        return self.error is None and any(notice.is_warning for notice in self.notices)

    @property
    def has_only_warned(self) -> bool:
        """Whether a VERBOSE command succeeded without doing anything."""
        return self.has_warned and not any(notice.is_info for notice in self.notices)

    @property
    def was_stopped(self) -> bool:
        """Whether the cancel ended it; it may have completed before."""
        return self.was_asked_to_stop and self.error is not None and self.error.sqlstate == CANCELLED


class Statements:
    """Runs the commands of one connection, one after another. No one else may use the connection until it ends.

    By libpq itself, and listening at the socket between commands, too: what psycopg does about each command would
    delay many short steps.
    """

    def __init__(self, connection: Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._libpq = connection.pgconn
        self._encoding = connection.info.encoding if not connection.closed else "utf-8"
        self._socket = -1
        """Of the connection, by a number of our own: at the other one psycopg listens now and then."""
        self.is_listening = False
        """No more where something was heard between two commands; and not before the first."""
        self._is_sent = False
        self._answer = Answer()
        self._results: list[PGresult] = []
        self._budget = Budget(of_memory=False)
        self._over = StopSignal()
        """Set when the answer is complete, or the connection is lost."""
        self._over.set()
        connection.add_notice_handler(self._add_notice)

    @property
    def has_heard_nothing(self) -> bool:
        """Whether the server sent nothing since the last command: what it sends then is mostly that it ends."""
        if not self.is_listening:
            return False
        heard = select.poll()
        heard.register(self._socket, select.POLLIN)
        return not heard.poll(0)

    def close(self) -> None:
        """Call this before the connection is closed."""
        self._stop_listening()
        if self._socket >= 0:
            os.close(self._socket)
            self._socket = -1

    async def run(self, command: str, *stops: StopSignal) -> Answer:
        """Run one command to its end; when one of `stops` is set the server is asked to stop, and its answer awaited.

        Where the task is cancelled, too; then CancelledError is raised afterwards.
        """
        answer = Answer()
        self._answer = answer
        self._budget = Budget(of_memory=False)
        self._send(command)
        answer.was_asked_to_stop, is_cancelled = await until_over(self._over, stops, self._ask_to_stop, self._abandon)
        results, self._results, self._answer = self._results, [], Answer()  # between commands nothing belongs to one
        self._read(results, answer)
        if is_cancelled:
            raise asyncio.CancelledError
        return answer

    async def _ask_to_stop(self) -> None:
        with contextlib.suppress(psycopg.Error, OSError):
            await self._connection.cancel_safe(timeout=CANCEL_TIMEOUT)

    def _send(self, command: str) -> None:
        self._over, self._is_sent = StopSignal(), False
        try:
            self._listen()
            self._libpq.send_query(command.encode(self._encoding))
            self._is_sent = not self._libpq.flush()
            if not self._is_sent:
                self._loop.add_writer(self._socket, self._on_ready)
        except psycopg.Error as error:
            self._end(error)
        except (OSError, UnicodeError) as error:  # no more files, or a name that the server's encoding does not have
            self._end(psycopg.OperationalError(str(error)))

    def _listen(self) -> None:
        if self._socket < 0:
            self._socket = os.dup(self._libpq.socket)
        if not self.is_listening:
            self._loop.add_reader(self._socket, self._on_ready)
            self.is_listening = True

    def _stop_listening(self) -> None:
        if self.is_listening:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self.is_listening = False

    def _on_ready(self) -> None:
        if self._over.is_set():  # this is for psycopg, or the connection is lost
            return self._stop_listening()
        try:
            with self._budget.reading(self._socket):
                self._receive()
        except AnswerError as error:
            self._end(error)
            self._libpq.finish()
        except psycopg.Error as error:
            self._end(error)

    def _receive(self) -> None:
        self._libpq.consume_input()
        if not self._is_sent:
            self._is_sent = not self._libpq.flush()
            if self._is_sent:
                self._loop.remove_writer(self._socket)
        while not self._libpq.is_busy():
            result = self._libpq.get_result()
            if result is None:
                self._end()
                return
            self._results.append(result)
            if result.status in _COPIES or len(self._results) > MAX_RESULTS:
                raise AnswerError(STRANGE)

    def _abandon(self, why: str) -> None:
        self._end(AnswerError(why))
        self._libpq.finish()

    def _end(self, error: psycopg.Error | None = None) -> None:
        if error is not None:
            self.close()
        self._answer.error = error
        self._over.set()

    def _add_notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        severity = diagnostic.severity_nonlocalized or diagnostic.severity or ""
        message, detail = diagnostic.message_primary or "", diagnostic.message_detail or ""
        if severity != "INFO":  # of what it did only numbers are taken
            message, detail = masked(message), masked(detail)
        if len(self._answer.notices) < MAX_NOTICES:
            self._answer.notices.append(Notice(severity, message, detail, diagnostic.sqlstate or ""))

    def _read(self, results: Sequence[PGresult], answer: Answer) -> None:
        for result in results:
            if result.status == ExecStatus.FATAL_ERROR:  # it says more than that the connection is lost
                answer.error = error_from_result(result, self._encoding)
                return
        if answer.error is None:
            answer.rows = [
                tuple(self._text(result.get_value(row, column)) for column in range(result.nfields))
                for result in results
                for row in range(result.ntuples)
            ]

    def _text(self, value: bytes | None) -> str | None:
        return None if value is None else value.decode(self._encoding, "replace")
