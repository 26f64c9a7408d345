"""The connections on which steps run, each with one after another."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import psycopg

from engine.domain.errors import TargetError, TooManyConnectionsError
from engine.domain.requests import SERVER_WAIT
from engine.domain.steps import WaitsFor
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.running.outage import Outage
from engine.targets.postgres.running.statement import Statements
from engine.targets.step_execution import StepContext, StepProgress
from engine.targets.waits import first_of

GROW_AGAIN_AFTER: Final = 60.0
"""Seconds until the pool tries to grow again after the server refused a connection."""
ASSUMED_ALIVE: Final = 0.02
"""Seconds after its last use during which a connection counts as alive."""

ALIVE_WITHIN: Final = 10.0
"""Seconds within which an idle connection must answer."""

Settings = tuple[tuple[str, str], ...]


class NotBegunError(Exception):
    """Cancelled, or past the time limit, before a connection was had."""


class PooledConnection:
    """A connection with the settings of its current step."""

    def __init__(self, connection: Connection, server: Server) -> None:
        self.connection, self.server = connection, server
        self.statements = Statements(connection)
        self._settings: Settings = ()
        self._lock_timeout = 0
        """Milliseconds; 0 for what it was set to when it was opened."""
        self._used_at = 0.0

    async def set(self, settings: Settings) -> None:
        """Use exactly these settings from now on. Raises psycopg.Error."""
        if settings == self._settings:
            return
        try:
            for name, _ in self._settings:
                await self.connection.execute(f"RESET {name}")
            for name, value in settings:
                await self.connection.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
        except BaseException:
            await self.close()  # its settings are unknown
            raise
        self._settings = settings

    async def set_lock_timeout(self, seconds: float) -> None:
        """Set the lock_timeout. Raises psycopg.Error."""
        milliseconds = max(round(seconds * 1000), 1)  # 0 means no limit
        if milliseconds != self._lock_timeout:
            self._lock_timeout = 0
            await self.connection.execute(
                "SELECT pg_catalog.set_config('lock_timeout', %s, false)", (str(milliseconds),)
            )
            self._lock_timeout = milliseconds

    def was_used(self) -> None:
        self._used_at = time.monotonic()

    async def answers(self) -> bool:
        """Whether it is still alive."""
        if not self.connection.closed:
            if time.monotonic() - self._used_at < ASSUMED_ALIVE and self.statements.has_heard_nothing:
                return True
            with contextlib.suppress(psycopg.Error):
                with self.connection.within(ALIVE_WITHIN):
                    await self.connection.execute("SELECT 1")
                return True
        return False

    async def close(self) -> None:
        self.statements.close()
        await self.connection.close()


class ConnectionPool:
    """Those of one session. `connect` opens one more; it raises TargetError."""

    def __init__(
        self, connect: Callable[[], Awaitable[tuple[Connection, Server]]], server_wait: float = SERVER_WAIT
    ) -> None:
        self._connect = connect
        self._outage = Outage(connect, self._take, server_wait)
        self._idle: list[PooledConnection] = []
        self._open = 0
        """How many connections are open or being opened."""
        self._full_until = 0.0
        """Until then the pool does not grow: the server refused a connection."""
        self._refused: TooManyConnectionsError | None = None
        """A refusal that is not reported yet."""
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def connection(self, context: StepContext | None = None) -> AsyncIterator[PooledConnection]:
        """A live connection for one step. With a context, waits for a server that is down.

        Raises NotBegunError after a cancel or the time limit, and TargetError.
        """
        pooled = await self._get(context)
        try:
            yield pooled
        finally:
            if pooled.connection.closed:
                await self._drop(pooled)
            else:
                pooled.was_used()
                self._idle.append(pooled)
            self._notify()

    async def reconnect(self, context: StepContext) -> Server:
        """Wait until the server is up again, and return it. Raises as `connection`.

        Idle connections are closed: a server that shuts down ends them one by one.
        """
        while self._idle:
            await self._drop(self._idle.pop())
        async with self.connection(context) as pooled:
            return pooled.server

    @property
    def error(self) -> TargetError | None:
        """Why the pool has given up; None if it has not."""
        return self._outage.error

    def take_refusal(self) -> str:
        """Why there are fewer connections than requested; reported once, else ""."""
        error, self._refused = self._refused, None
        return f"fewer steps run at once than --jobs allows: {error.why} ({error.hint})" if error is not None else ""

    async def close(self) -> None:
        await self._outage.end()
        for pooled in self._idle:
            await pooled.close()

    async def _get(self, context: StepContext | None) -> PooledConnection:
        while True:
            if self._outage.error is not None:
                raise self._outage.error
            if (pooled := await self._idle_connection()) is not None:
                return pooled
            if context is not None and (context.cancel.is_set() or context.window.closed.is_set()):
                raise NotBegunError
            if context is not None and self._open and time.monotonic() < self._full_until:
                await self._wait_for_change(context)
                continue
            self._open += 1
            try:
                return PooledConnection(*await self._opened(context))
            except TargetError as error:
                self._open -= 1
                self._notify()
                if context is None:
                    raise
                if isinstance(error, TooManyConnectionsError) and self._open:
                    if not self._full_until:
                        self._refused = error
                    self._full_until = time.monotonic() + GROW_AGAIN_AFTER
                else:
                    await self._outage.wait(error, context)
            except BaseException:
                self._open -= 1
                self._notify()
                raise

    async def _opened(self, context: StepContext | None) -> tuple[Connection, Server]:
        """Open one more. A cancel or the time limit ends the wait with NotBegunError."""
        if context is None:
            return await self._connect()
        opening = asyncio.ensure_future(self._connect())
        try:
            await first_of(context.cancel, context.window.closed, task=opening)
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.wait({opening})
        if opening.cancelled():
            raise NotBegunError
        return opening.result()

    async def _wait_for_change(self, context: StepContext) -> None:
        """Or until the pool may grow again."""
        context.report(StepProgress(phase="waiting for a connection", waits_for=WaitsFor.SERVER))
        left = max(self._full_until - time.monotonic(), 0.0)
        await first_of(self._changed, context.cancel, context.window.closed, timeout=left)

    def _take(self, opened: tuple[Connection, Server]) -> None:
        """Add a new connection for the step that needs it first."""
        self._open += 1
        self._idle.append(PooledConnection(*opened))
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _drop(self, pooled: PooledConnection) -> None:
        self._open -= 1
        await pooled.close()

    async def _idle_connection(self) -> PooledConnection | None:
        while self._idle:
            pooled, answers = self._idle.pop(), False
            try:
                if answers := await pooled.answers():
                    return pooled
            finally:
                if not answers:
                    await self._drop(pooled)
        return None
