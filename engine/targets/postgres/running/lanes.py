"""The connections on which steps run, each with one after another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import psycopg

from engine.errors import TargetBusyError, TargetUnavailableError
from engine.jobs import WAITING
from engine.targets.base import StepContext, StepProgress
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.running.statement import Statements

BACKOFF: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the tries to get a connection, where the server restarts."""
SURELY_ALIVE: Final = 0.02
"""Seconds after its use in which nobody asks a connection whether it is still there, where nothing was heard of it."""

Settings = tuple[tuple[str, str], ...]


class Lane:
    """A connection, and what it is set to beside what all are."""

    def __init__(self, connection: Connection, server: Server) -> None:
        self.connection, self.server = connection, server
        self.statements = Statements(connection)
        self._settings: Settings = ()
        self._lock_timeout = 0
        """Milliseconds; 0 for what it was set to when it was opened."""
        self._used_at = 0.0

    async def set(self, settings: Settings) -> None:
        """These hold from now on, and no others. Raises psycopg.Error."""
        if settings == self._settings:
            return
        try:
            for name, _ in self._settings:
                await self.connection.execute(f"RESET {name}")
            for name, value in settings:
                await self.connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
        except BaseException:
            await self.close()  # nobody knows what it is set to
            raise
        self._settings = settings

    async def limit_locks(self, seconds: float) -> None:
        """So long it waits for each lock from now on. Raises psycopg.Error."""
        milliseconds = max(round(seconds * 1000), 1)  # 0 would mean to wait for ever
        if milliseconds != self._lock_timeout:
            self._lock_timeout = 0
            await self.connection.execute(
                "SELECT pg_catalog.set_config('lock_timeout', %s, false)", (str(milliseconds),)
            )
            self._lock_timeout = milliseconds

    def was_used(self) -> None:
        self._used_at = time.monotonic()

    async def answers(self) -> bool:
        """Whether it is still there: it may have been ended while it was idle."""
        if not self.connection.closed:
            if self.statements.is_listening and time.monotonic() - self._used_at < SURELY_ALIVE:
                return True
            with contextlib.suppress(psycopg.Error):
                await self.connection.execute("SELECT 1")
                return True
        return False

    async def close(self) -> None:
        self.statements.close()
        await self.connection.close()


class Lanes:
    """Those of one session. `connect` opens one more; it raises TargetError."""

    def __init__(self, connect: Callable[[], Awaitable[tuple[Connection, Server]]]) -> None:
        self._connect = connect
        self._idle: list[Lane] = []

    @contextlib.asynccontextmanager
    async def one(self, context: StepContext) -> AsyncIterator[Lane]:
        """One that no other step uses, and that answers. Raises TargetError."""
        lane = await self._one_that_is_idle() or Lane(*await self._connected(context))
        try:
            yield lane
        finally:
            if lane.connection.closed:
                await lane.close()
            else:
                lane.was_used()
                self._idle.append(lane)

    async def _one_that_is_idle(self) -> Lane | None:
        while self._idle:
            lane, answers = self._idle.pop(), False
            try:
                if answers := await lane.answers():
                    return lane
            finally:
                if not answers:
                    await lane.close()
        return None

    async def _connected(self, context: StepContext) -> tuple[Connection, Server]:
        """Where the server restarts, or has no connection left, after some tries."""
        for pause in (*BACKOFF, None):
            try:
                return await self._connect()
            except (TargetBusyError, TargetUnavailableError) as error:
                if pause is None or context.cancel.is_set():
                    raise
                context.report(StepProgress(phase=f"{WAITING}: {error.why}, next try in {pause:g} s"))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(context.cancel.wait(), pause)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        for lane in self._idle:
            await lane.close()
