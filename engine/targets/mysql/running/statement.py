"""Runs commands that can be cancelled, and always waits for their end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import pymysql

from engine.domain.errors import TargetError
from engine.targets.mysql.connection.bounded import AnswerError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.reading.reader import Reader
from engine.targets.stop_signal import CANCEL_TIMEOUT, StopSignal, until_over


@dataclass(slots=True)
class Answer:
    """How a command ended."""

    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    """The rows of the answer, each value as text."""
    error: pymysql.MySQLError | None = None
    was_asked_to_stop: bool = False


async def run(connection: Connection, command: str, reader: Reader, *stops: StopSignal) -> Answer:
    """Run one command to its end; when one of `stops` is set it is killed, and its answer awaited.

    Where the task is cancelled, too; then CancelledError is raised afterwards. After a cancel the connection is closed:
    the server may have got one KILL more than it needed.
    """
    answer, over = Answer(), StopSignal()
    running = asyncio.ensure_future(connection.command(command))
    running.add_done_callback(lambda _: over.set())

    async def kill() -> None:
        """By the connection that reads the catalog: it is there even when the server takes no other."""
        with contextlib.suppress(pymysql.MySQLError, TargetError, TimeoutError):
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await reader.rows_or_error(f"KILL QUERY {connection.id}", row=())

    def give_up(why: str) -> None:
        answer.error = AnswerError(why)
        connection.hang_up()

    answer.was_asked_to_stop, is_cancelled = await until_over(over, stops, kill, give_up)
    try:
        answer.rows = running.result()
    except pymysql.MySQLError as error:
        answer.error = answer.error or error
    if answer.was_asked_to_stop:
        await connection.close()
    if is_cancelled:
        raise asyncio.CancelledError
    return answer
