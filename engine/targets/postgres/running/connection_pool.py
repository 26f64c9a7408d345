"""The connections on which steps run, each with the settings of its step."""

from __future__ import annotations

import psycopg

from engine.targets import connection_pool
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.running.statement import Statements

Settings = tuple[tuple[str, str], ...]


class PooledConnection(connection_pool.PooledConnection[Connection, Server]):
    """A connection with the settings of its current step."""

    driver_error = psycopg.Error

    def __init__(self, connection: Connection, server: Server) -> None:
        super().__init__(connection, server)
        self.statements = Statements(connection)
        self._settings: Settings = ()
        self._lock_timeout = 0
        """Milliseconds; 0 for what it was set to when it was opened."""

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
    def has_heard_nothing(self) -> bool:
        return self.statements.has_heard_nothing

    async def close(self) -> None:
        self.statements.close()
        await super().close()


class ConnectionPool(connection_pool.ConnectionPool[PooledConnection]):
    pooled_class = PooledConnection
