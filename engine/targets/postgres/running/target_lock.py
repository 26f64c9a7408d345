"""The lock that an attempt holds at its database: no other attempt of any store begins until it is given up.

There are two advisory locks, of this database alone. The attempt has the first, in the session that reads the catalog.
Each session that runs steps shares the second, so that the server still holds it for a command whose client is gone. An
attempt begins with the first lock, and when the second is free; a session joins while its attempt has the first.
"""

from __future__ import annotations

from typing import Final

import psycopg

from engine.domain.errors import TargetBusyError
from engine.targets.attempt_lock import wait_for_attempt_lock
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.connection.errors import reading_error
from engine.targets.postgres.reading.reader import Reader
from engine.targets.protocol import Waiting

_CLASS: Final = 0x64746774
"""The first half of both locks: "dtgt"."""
_ATTEMPT: Final = 1
_WORK: Final = 2
_TRY: Final = f"SELECT pg_catalog.pg_try_advisory_lock({_CLASS}, {_ATTEMPT})"
_JOIN: Final = f"SELECT pg_catalog.pg_try_advisory_lock_shared({_CLASS}, {_WORK})"
_OTHERS: Final = f"""
SELECT l.pid, l.objid = {_ATTEMPT}, concat_ws(', ', nullif(a.application_name, ''), a.usename,
    'host ' || coalesce(a.client_hostname, pg_catalog.host(a.client_addr)))
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.classid = {_CLASS} AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND (l.objid = {_ATTEMPT} AND l.pid <> pg_catalog.pg_backend_pid()
        OR l.objid = {_WORK} AND l.pid <> ALL (%s::int[]))
ORDER BY l.objid, l.pid LIMIT 4
"""
_END: Final = "SELECT pg_catalog.pg_terminate_backend(%s)"


class TargetLock:
    """The lock of one session."""

    def __init__(self, reader: Reader, timeout: float, waiting: Waiting | None) -> None:
        self._reader = reader
        self._timeout = timeout
        self._waiting = waiting
        self._holder: Connection | None = None
        """The connection on which the attempt has the lock."""
        self._holders: set[int] = set()
        """The backends of the reader that have had it: the server may not know yet that one is gone."""
        self._joined: set[int] = set()

    async def take(self) -> None:
        """Wait for the lock; where its session was lost, take it again. Raises TargetError."""
        await wait_for_attempt_lock(self._others, self._reader.what, self._timeout, self._waiting)

    async def join(self, connection: Connection, server: Server) -> None:
        """Share it with a connection that will run steps. Raises TargetError."""
        try:
            (joined,) = await connection.row(_JOIN, row=(bool,))
        except psycopg.Error as error:
            raise reading_error(self._reader.what, error) from None
        if not joined:
            raise TargetBusyError(self._reader.what, "another session has locked it against the work of dbtend")
        self._joined.add(server.backend)
        await self.take()

    async def _others(self) -> list[str]:
        """Who keeps this attempt from working, as text; empty while it has the lock."""
        try:
            async with self._reader.alone() as connection:
                if self._holder is not connection:
                    (taken,) = await connection.row(_TRY, row=(bool,))
                    if taken:
                        self._holder = connection
                        self._holders.add(self._reader.server.backend)
                row = (int, bool, str)
                others = await connection.rows(_OTHERS, [sorted(self._joined)], row=row, most=4)
                for pid, is_holder, _ in others:
                    if is_holder and pid in self._holders:  # a lost session of our own
                        await connection.rows(_END, [pid], row=(bool,))
                if self._holder is not connection and not others:
                    return ["another session"]  # it has just ended, or may not be seen
                return [f"pid {pid} ({who})" if who else f"pid {pid}" for pid, _, who in others]
        except psycopg.Error as error:
            raise reading_error(self._reader.what, error) from None
