"""The lock of an attempt, by user locks of the server (GET_LOCK).

The attempt has the first, and each session that runs steps one of many others. An attempt begins with the first, and
when no other session has any of the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from engine.domain.errors import TargetBusyError
from engine.targets.attempt_lock import AttemptLock
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.queries import query
from engine.targets.mysql.reading.locks import session_text
from engine.targets.mysql.reading.reader import Reader
from engine.targets.target import Waiting

SLOTS: Final = 64
"""Sessions that may run steps of one database: --jobs has no more."""
_TAKE: Final = "SELECT GET_LOCK(%s, 0)"


class TargetLock(AttemptLock[Connection, Server]):
    def __init__(self, reader: Reader, timeout: float, waiting: Waiting | None) -> None:
        super().__init__(reader, timeout, waiting)
        name = f"dbtend.{hashlib.sha256(reader.server.key.encode()).hexdigest()[:32]}"
        self._attempt = f"{name}.attempt"
        self._slots = [f"{name}.{number}" for number in range(SLOTS)]

    async def try_to_take(self, connection: Connection) -> bool:
        return await _taken(connection, self._attempt)

    async def share(self, connection: Connection) -> None:
        for slot in self._slots:
            if await _taken(connection, slot):
                return
        raise TargetBusyError(self._reader.what, f"{SLOTS} sessions already work on it")

    async def others(self, connection: Connection) -> Mapping[int, str]:
        names = [self._attempt, *self._slots]
        used = ", ".join(["CAST(IS_USED_LOCK(%s) AS SIGNED)"] * len(names))
        row = (int | None,) * len(names)
        users = {one for one in await connection.row(f"SELECT {used}", names, row=row) if one is not None}
        ids = sorted(users - self._joined - {connection.id})
        if not ids:
            return {}
        sessions = query("sessions_by_id", ids=", ".join(map(str, ids)))
        rows = await connection.rows(sessions, row=(int, str, str, str, int | None))
        return {**{number: f"connection {number}" for number in ids}, **{row[0]: session_text(*row) for row in rows}}

    async def end(self, connection: Connection, number: int) -> None:
        await connection.command(f"KILL {number}")


async def _taken(connection: Connection, name: str) -> bool:
    (taken,) = await connection.row(_TAKE, [name], row=(int | None,))
    return bool(taken)
