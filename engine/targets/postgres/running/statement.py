"""A statement that is really stopped where that is asked for, and whose end is always waited for."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from engine.targets.postgres.connection.connecting import Connection
from engine.targets.postgres.connection.errors import CANCELLED, redacted
from engine.values import frozen

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
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    error: psycopg.Error | None = None
    was_asked_to_stop: bool = False

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because we wanted it to: it may have ended before the request came."""
        return self.was_asked_to_stop and self.error is not None and self.error.sqlstate == CANCELLED


async def run(connection: Connection, command: str, cancel: asyncio.Event) -> Answer:
    """Run one command to its end; when `cancel` is set the server is asked to stop, and its answer awaited.

    Where the task is cancelled, too; then CancelledError is raised afterwards.
    """
    answer = Answer()

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        severity = diagnostic.severity_nonlocalized or diagnostic.severity or ""
        message, detail = diagnostic.message_primary or "", diagnostic.message_detail or ""
        answer.notices.append(Notice(severity, redacted(message), redacted(detail)))

    connection.add_notice_handler(note)
    working = asyncio.create_task(_execute(connection, command))
    asked = asyncio.create_task(cancel.wait())
    cancelled = False
    try:
        while not working.done():
            try:
                if answer.was_asked_to_stop:
                    with contextlib.suppress(psycopg.Error, OSError):
                        await connection.cancel_safe(timeout=ASKING_TAKES)
                    await asyncio.wait({working}, timeout=ASK_AGAIN)
                else:
                    await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                cancelled = True
            answer.was_asked_to_stop = (not working.done() and (cancelled or asked.done())) or answer.was_asked_to_stop
        try:
            answer.rows = working.result()
        except psycopg.Error as error:
            answer.error = error
    finally:
        asked.cancel()
        connection.remove_notice_handler(note)
    if cancelled:
        raise asyncio.CancelledError
    return answer


async def _execute(connection: Connection, command: str) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(command)
    return await cursor.fetchall() if cursor.description is not None else []
