"""The connections on which steps run, each with the settings of its step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

import psycopg

from engine.domain.requests import SERVER_WAIT
from engine.targets import connection_pool
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.running.statement import Statements

ASSUMED_ALIVE: Final = 0.02
"""Seconds after its last use during which a connection counts as alive."""

ALIVE_WITHIN: Final = 10.0
"""Seconds within which an idle connection must answer."""

Settings = tuple[tuple[str, str], ...]


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

    @property
    def closed(self) -> bool:
        return self.connection.closed

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


class ConnectionPool(connection_pool.ConnectionPool[PooledConnection]):
    """The connections of one session. `connect` opens one more; it raises TargetError."""

    def __init__(
        self, connect: Callable[[], Awaitable[tuple[Connection, Server]]], server_wait: float = SERVER_WAIT
    ) -> None:
        async def opened() -> PooledConnection:
            return PooledConnection(*await connect())

        super().__init__(opened, server_wait)
