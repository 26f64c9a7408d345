"""What only one process of all hosts may do at a time: its session holds an advisory lock."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg

from engine.domain.errors import StoreBusyError
from engine.store.postgres.connections import Connection, connected
from engine.store.postgres.proof import keep_alive
from engine.store.postgres.schema import LOCKS
from engine.system.background import in_background

TAKE: Final = f"SELECT pg_try_advisory_lock({LOCKS['ROLES']}, %s)"
GIVE_UP: Final = f"SELECT pg_advisory_unlock({LOCKS['ROLES']}, %s)"
IS_HELD: Final = f"""SELECT EXISTS (SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND classid = {LOCKS["ROLES"]} AND objid::bigint = %s AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


@asynccontextmanager
async def holding_role(url: str, what: str, role: str) -> AsyncIterator[bool]:
    """Whether this process has the role, while inside. Raises StoreError, also in between where the session ends."""
    async with connected(url, what, "dbtend role") as connection:
        await keep_alive(connection)
        cursor = await connection.execute(TAKE.encode(), (signed(role),))
        ((has_it,),) = await cursor.fetchall()
        if not has_it:
            yield False
            return
        try:
            async with asyncio.timeout(None) as inside:
                async with in_background(_until_lost(connection, inside), "dbtend-role"):
                    yield True
            with suppress(psycopg.Error):  # at once: the server may see later that the session has ended
                await connection.execute(GIVE_UP.encode(), (signed(role),))
        except TimeoutError:
            if not inside.expired():
                raise
            raise StoreBusyError(what, "the connection was lost", "see to the server and the network") from None


async def _until_lost(connection: Connection, inside: asyncio.Timeout) -> None:
    """Wait until the session is lost. Nothing is sent: the system notices a server that is gone."""
    try:
        async for _ in connection.notifies():
            pass
    except psycopg.Error:
        inside.reschedule(asyncio.get_running_loop().time())


def unsigned(role: str) -> int:
    """The second half of its lock, as the server lists it."""
    return int.from_bytes(hashlib.sha256(role.encode()).digest()[:4])


def signed(role: str) -> int:
    """The second half of its lock as a signed integer, which is how PostgreSQL takes it."""
    return unsigned(role) - (1 << 32 if unsigned(role) >= 1 << 31 else 0)
