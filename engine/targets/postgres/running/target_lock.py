"""The lock of an attempt, by two advisory locks of its database alone.

The attempt has the first, and each session that runs steps shares the second. An attempt begins with the first, and
when the second is free.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.domain.errors import TargetBusyError
from engine.targets.attempt_lock import AttemptLock
from engine.targets.postgres.connection.bounded import Connection
from engine.targets.postgres.connection.connecting import Server
from engine.targets.postgres.queries import query

_CLASS: Final = 0x64746774
"""The first half of both locks: "dtgt"."""
_ATTEMPT: Final = 1
_WORK: Final = 2
_TRY: Final = f"SELECT pg_catalog.pg_try_advisory_lock({_CLASS}, {_ATTEMPT})"
_JOIN: Final = f"SELECT pg_catalog.pg_try_advisory_lock_shared({_CLASS}, {_WORK})"
_END: Final = "SELECT pg_catalog.pg_terminate_backend(%s)"


class TargetLock(AttemptLock[Connection, Server]):
    async def try_to_take(self, connection: Connection) -> bool:
        (taken,) = await connection.row(_TRY, row=(bool,))
        return bool(taken)

    async def share(self, connection: Connection) -> None:
        (joined,) = await connection.row(_JOIN, row=(bool,))
        if not joined:
            raise TargetBusyError(self._reader.what, "another session has locked it against the work of dbtend")

    async def others(self, connection: Connection) -> Mapping[int, str]:
        rows = await connection.rows(
            query("lock_owners", class_=_CLASS, attempt=_ATTEMPT, work=_WORK),
            [sorted(self._joined)],
            row=(int, str),
            most=4,
        )
        return {pid: f"pid {pid} ({who})" if who else f"pid {pid}" for pid, who in rows}

    async def end(self, connection: Connection, number: int) -> None:
        await connection.rows(_END, [number], row=(bool,))
