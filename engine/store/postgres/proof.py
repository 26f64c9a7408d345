"""That a process is alive is a fact: it holds an advisory lock in a session of its own.

Who can take that lock knows that the process is dead: the server lets it go when the session ends, and notices a dead
host after about 14 seconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from engine.domain.errors import StoreError
from engine.store.postgres.connections import Connection, connected, store_error
from engine.system.background import in_background

SERVER_KEEPALIVES: Final = """SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3;
SET tcp_keepalives_count = 3; SET tcp_user_timeout = 14000"""
PING_EVERY: Final = 2.0
ANSWERS_WITHIN: Final = 4.0
"""Seconds that the server may take to answer a ping."""
UNPROVEN_FOR: Final = 9.0
"""Seconds that a process may go on without its lock while the network is silent: less than the server needs to find it
dead. Where the server is known to be down, nobody can declare anybody dead."""
RECONNECT_EVERY: Final = 0.5
_EXIT: Final = 70

log = logging.getLogger("dbtend")

Register = Callable[[Connection], Awaitable[None]]
Prove = Callable[[Connection], Awaitable[bool]]


def leave(why: str) -> None:
    """End this process at once: what it ran may be run by another."""
    log.error("%s: this process ends, as others may take over what it ran", why)
    os._exit(_EXIT)


@asynccontextmanager
async def proving(
    url: str, what: str, *, register: Register, prove_again: Prove, lost: Callable[[str], None] = leave
) -> AsyncIterator[None]:
    """Hold a lock in a session of its own while inside, and take it again where the session ends.

    Args:
        register: takes the lock the first time.
        prove_again: takes it in a new session; False if the process was declared dead meanwhile.
        lost: called when it can no longer be held; does not return.

    Raises StoreError.
    """
    async with connected(url, what, "dbtend worker") as first:
        await keep_alive(first)
        await register(first)
        async with in_background(_hold(url, what, first, prove_again, lost), "dbtend-proof"):
            yield


async def keep_alive(connection: Connection) -> None:
    """Let the server notice that this host is gone. Raises StoreError."""
    try:
        for statement in SERVER_KEEPALIVES.split(";"):
            await connection.execute(statement.encode())
    except psycopg.Error as error:
        raise store_error("the store of jobs", error) from None


async def _hold(url: str, what: str, connection: Connection, prove_again: Prove, lost: Callable[[str], None]) -> None:
    while True:
        proven_at = await _ping(connection)
        while True:
            try:
                async with connected(url, what, "dbtend worker") as connection:
                    await keep_alive(connection)
                    if not await prove_again(connection):
                        return lost(f"{what}: this process was declared dead")
                    log.warning("%s: is reached again", what)
                    proven_at = await _ping(connection)
            except (StoreError, psycopg.Error):
                if time.monotonic() - proven_at > UNPROVEN_FOR and not await asyncio.to_thread(server_is_down, url):
                    return lost(f"{what}: the server has not answered for {UNPROVEN_FOR:.0f} s")
            await asyncio.sleep(RECONNECT_EVERY)


async def _ping(connection: Connection) -> float:
    """Ask again and again, until the session has ended; returns when it was last known to be there."""
    answered = time.monotonic()
    while True:
        asking = asyncio.ensure_future(connection.execute(b"SELECT 1"))
        # Not wait_for: psycopg would first try to cancel the statement at the server.
        done, _ = await asyncio.wait({asking}, timeout=ANSWERS_WITHIN)
        if not done:
            asking.cancel()
            with suppress(Exception):
                await connection.close()
            return answered
        if asking.exception() is not None:
            return answered
        answered = time.monotonic()
        await asyncio.sleep(PING_EVERY)


def server_is_down(url: str) -> bool:
    """Whether every address of the server answers that nobody listens there."""
    given = conninfo_to_dict(url)
    hosts = str(given.get("hostaddr") or given.get("host") or "/var/run/postgresql").split(",")
    ports = str(given.get("port") or "5432").split(",")
    return all(_refuses(host, int(ports[number] if len(ports) > 1 else ports[0])) for number, host in enumerate(hosts))


def _refuses(host: str, port: int) -> bool:
    try:
        if host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as local:
                local.settimeout(1)
                local.connect(f"{host}/.s.PGSQL.{port}")
        else:
            socket.create_connection((host, port), timeout=1).close()
    except OSError as error:
        return error.errno in {errno.ECONNREFUSED, errno.ENOENT}
    return False
