"""Runs commands that can be cancelled, and always waits for their end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import pymysql

from engine.domain.errors import TargetError
from engine.targets.mysql.connection.bounded import AnswerError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import INTERRUPTED, number_of
from engine.targets.mysql.reading.reader import Reader
from engine.targets.stop_signal import StopSignal

CANCEL_AGAIN_AFTER: Final = 2.0
"""Seconds until the cancel is repeated: the first may come before the command starts."""
CANCEL_TIMEOUT: Final = 5.0
CANCEL_GIVES_UP_AFTER: Final = 60.0
"""Seconds until an unanswered cancel gives the connection up."""

Kill = Callable[[int], Awaitable[None]]
"""Sends KILL QUERY to a connection, on another one."""


@dataclass(slots=True)
class Answer:
    """How a command ended."""

    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    """The rows of the answer, each value as text."""
    error: pymysql.MySQLError | None = None
    was_asked_to_stop: bool = False

    @property
    def was_stopped(self) -> bool:
        """Whether the cancel ended it, of a command that raises its errors; it may have completed before."""
        return self.was_asked_to_stop and self.error is not None and number_of(self.error) == INTERRUPTED


async def run(connection: Connection, command: str, kill: Kill, *stops: StopSignal) -> Answer:
    """Run one command to its end; when one of `stops` is set it is killed, and its answer awaited.

    Where the task is cancelled, too; then CancelledError is raised afterwards. After a cancel the connection is closed:
    the server may have got one KILL more than it needed.
    """
    answer, wake, loop = Answer(), asyncio.Event(), asyncio.get_running_loop()
    running = asyncio.ensure_future(connection.command(command))
    running.add_done_callback(lambda _: wake.set())
    for stop in stops:
        stop.listen(wake.set)
    cancelled, asked_at = False, 0.0
    try:
        while not running.done():
            answer.was_asked_to_stop = cancelled or any(stop.is_set() for stop in stops)
            try:
                if answer.was_asked_to_stop:
                    asked_at = asked_at or loop.time()
                    if loop.time() - asked_at > CANCEL_GIVES_UP_AFTER:
                        why = f"no answer to the cancel within {CANCEL_GIVES_UP_AFTER:g} s: the command may still run"
                        answer.error = AnswerError(why)
                        connection.hang_up()
                        await asyncio.wait({running})
                        break
                    await kill(connection.id)
                    wake.clear()
                    if not running.done():
                        with contextlib.suppress(TimeoutError):
                            async with asyncio.timeout(CANCEL_AGAIN_AFTER):
                                await wake.wait()
                else:
                    await wake.wait()
                    wake.clear()
            except asyncio.CancelledError:
                cancelled = True
    finally:
        for stop in stops:
            stop.stop_listening(wake.set)
    try:
        answer.rows = running.result()
    except pymysql.MySQLError as error:
        answer.error = answer.error or error
    if answer.was_asked_to_stop:
        await connection.close()
    if cancelled:
        raise asyncio.CancelledError
    return answer


def killer(reader: Reader) -> Kill:
    """Kills by the connection that reads the catalog: it is there even when the server takes no other."""

    async def kill(connection_id: int) -> None:
        with contextlib.suppress(pymysql.MySQLError, TargetError, TimeoutError):
            async with asyncio.timeout(CANCEL_TIMEOUT):
                await reader.rows_or_error(f"KILL QUERY {connection_id}", row=())

    return kill
