"""Runs commands that can be cancelled, and always waits for their end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import pymysql

from engine.domain.errors import TargetError
from engine.targets.limits import Limits, NotBegunError
from engine.targets.mysql.connection.bounded import AnswerError
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import INTERRUPTED, LOCK_TIMEOUT, number_of
from engine.targets.mysql.reading.reader import Reader
from engine.targets.stop_signal import CANCEL_TIMEOUT, StopSignal, until_over

LOCK_TRY: Final = 3
"""Seconds that a command that must not be stopped waits for its lock, until it looks for a cancel."""
NO_LOCK: Final = "Lock wait timeout exceeded"


@dataclass(slots=True)
class Answer:
    """How a command ended."""

    rows: list[tuple[str | None, ...]] = field(default_factory=list)
    """The rows of the answer, each value as text."""
    error: pymysql.MySQLError | None = None
    was_asked_to_stop: bool = False
    done: int = 0
    """How many commands of the same step had ended well before."""

    @property
    def has_no_lock(self) -> bool:
        """Whether it did not get its lock in time."""
        if self.error is not None:
            return number_of(self.error) == LOCK_TIMEOUT
        return any((row[-1] or "").startswith(NO_LOCK) for row in self.rows if row)


async def run(
    connection: Connection,
    command: str,
    reader: Reader,
    *stops: StopSignal,
    is_deaf: Callable[[], bool] = lambda: False,
) -> Answer:
    """Run one command to its end; when one of `stops` is set it is killed, and its answer awaited.

    `is_deaf`: whether it does not hear that now: then its connection is closed, and the server may still complete it.

    Where the task is cancelled, too; then CancelledError is raised afterwards. After a cancel the connection is closed:
    the server may have got one KILL more than it needed.
    """
    answer, over = Answer(), StopSignal()
    running = asyncio.ensure_future(connection.command(command))
    running.add_done_callback(lambda _: over.set())

    async def kill() -> None:
        """By the connection that reads the catalog: it is there even when the server takes no other."""
        if is_deaf():
            answer.error = pymysql.OperationalError(INTERRUPTED, "it hears no KILL")
            connection.hang_up()
            return
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


async def run_whole(
    connection: Connection,
    command: str,
    reader: Reader,
    limits: Limits,
    *,
    after_cancel: float = 0.0,
    until_closed: bool = False,
) -> Answer:
    """Run one command that must not be stopped once it has its lock. A cancel ends its wait for that.

    `after_cancel`: seconds that it waits although it is cancelled. `until_closed`: whether the end of the window ends
    its wait, too, with NotBegunError.
    """
    try:
        (patience,) = await connection.row("SELECT CAST(@@lock_wait_timeout AS SIGNED)", row=(int,))
        until, answer = time.monotonic() + patience, Answer()
    except pymysql.MySQLError as error:
        return Answer(error=error)
    try:
        while not answer.was_asked_to_stop:
            left = max(round(until - time.monotonic()), 1)
            await connection.short_command(f"SET lock_wait_timeout = {min(left, LOCK_TRY)}")
            answer = await run(connection, command, reader)
            if not answer.has_no_lock or left <= LOCK_TRY:
                break
            if until_closed and limits.window.closed.is_set() and not limits.cancel.is_set():
                raise NotBegunError
            if limits.cancel.is_set():
                after_cancel -= LOCK_TRY
                if after_cancel < 0:
                    interrupted = pymysql.OperationalError(INTERRUPTED, "cancelled while it waited for its lock")
                    answer = Answer(error=interrupted, was_asked_to_stop=True)
    except pymysql.MySQLError as error:
        return Answer(error=error)
    finally:
        if not connection.closed:
            with contextlib.suppress(pymysql.MySQLError):
                await connection.short_command(f"SET lock_wait_timeout = {patience}")
    return answer
