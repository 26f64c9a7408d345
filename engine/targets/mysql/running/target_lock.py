"""The lock that an attempt holds at its database: until it ends no other attempt begins, of any store.

These are user locks of the server (GET_LOCK). The attempt has the first, in the session that reads the catalog. Each
session that runs steps has one of many others, so that the server still holds it for a command whose client is gone. An
attempt begins with the first lock, and when no other session has any of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final

import pymysql

from engine.domain.errors import TargetBusyError
from engine.targets.attempt_lock import wait_for_attempt_lock
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.errors import reading_error
from engine.targets.mysql.reading.locks import session_text
from engine.targets.mysql.reading.reader import Reader
from engine.targets.protocol import Waiting

SLOTS: Final = 64
"""Sessions that may run steps of one database: --jobs has no more."""
_SESSIONS: Final = """
SELECT CAST(id AS SIGNED), user, host, command, CAST(time AS SIGNED) FROM information_schema.processlist
WHERE id IN ({ids})
"""


class TargetLock:
    """The lock of one session."""

    def __init__(self, reader: Reader, timeout: float, waiting: Waiting | None) -> None:
        self._reader = reader
        self._timeout = timeout
        self._waiting = waiting
        name = f"dbtend.{hashlib.sha256(reader.server.key.encode()).hexdigest()[:32]}"
        self._attempt = f"{name}.attempt"
        self._slots = [f"{name}.{number}" for number in range(SLOTS)]
        self._holder: Connection | None = None
        """The connection on which the attempt has the lock."""
        self._holders: set[int] = set()
        """The connections of the reader that have had it: the server may not know yet that one is gone."""
        self._joined: set[int] = set()

    async def take(self) -> None:
        """Wait for the lock; where its session was lost, take it again. Raises TargetError."""
        await wait_for_attempt_lock(self._others, self._reader.what, self._timeout, self._waiting)

    async def join(self, connection: Connection) -> None:
        """Share it with a connection that will run steps. Raises TargetError."""
        try:
            for slot in self._slots:
                (taken,) = await connection.row("SELECT GET_LOCK(%s, 0)", [slot], row=(int | None,))
                if taken:
                    break
            else:
                why = f"{SLOTS} sessions already work on it"
                raise TargetBusyError(self._reader.what, why)
        except pymysql.MySQLError as error:
            raise reading_error(self._reader.what, error) from None
        self._joined.add(connection.id)
        await self.take()

    async def _others(self) -> list[str]:
        """Who keeps this attempt from working, as text; empty while it has the lock."""
        try:
            async with self._reader.alone() as connection:
                if self._holder is not connection:
                    (taken,) = await connection.row("SELECT GET_LOCK(%s, 0)", [self._attempt], row=(int | None,))
                    if taken:
                        self._holder = connection
                        self._holders.add(connection.id)
                names = [self._attempt, *self._slots]
                used = ", ".join(["CAST(IS_USED_LOCK(%s) AS SIGNED)"] * len(names))
                row = (int | None,) * len(names)
                users = {one for one in await connection.row(f"SELECT {used}", names, row=row) if one is not None}
                others = users - self._joined - {connection.id}
                for lost in others & self._holders:  # a lost session of our own
                    await connection.command(f"KILL {lost}")
                if self._holder is not connection and not others:
                    return ["another session"]  # it has just ended
                return await _described(connection, others)
        except pymysql.MySQLError as error:
            raise reading_error(self._reader.what, error) from None


async def _described(connection: Connection, ids: Collection[int]) -> list[str]:
    if not ids:
        return []
    numbers = ", ".join(map(str, sorted(ids)))
    rows = await connection.rows(_SESSIONS.format(ids=numbers), row=(int, str, str, str, int | None))
    return [session_text(*row) for row in rows] or [f"connection {number}" for number in sorted(ids)]
