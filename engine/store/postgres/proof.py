"""Proves that this process is alive: an advisory lock in a session of its own. Without it the process ends itself.

Others ask by `lives` and `is_dead` in `functions/`, and `LIVES` in `queries.py`. The server lets the lock go when the
session ends, and notices a dead host after about 14 seconds.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from itertools import zip_longest
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from engine.domain.errors import StoreError
from engine.store.postgres.connections import Connection, connect, heard, leave, store_error
from engine.system.background import in_background, pause_loop

SERVER_KEEPALIVES: Final = """SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 3;
SET tcp_keepalives_count = 3; SET tcp_user_timeout = 14000"""
PING_EVERY: Final = 2.0
ANSWERS_WITHIN: Final = None if hasattr(socket, "TCP_USER_TIMEOUT") else 4.0
"""Seconds that the server may take to answer a ping. Where the system itself notices that the other side is gone, an
answer may take long: the lock is held until then."""
UNPROVEN_FOR: Final = 8.0
"""Seconds without a session after which this process ends: less than the server needs to find it dead, also with those
that it takes to see whether the server is down. While it is down no process can declare another one dead."""
RECONNECT_EVERY: Final = 0.5
GIVEN_UP_WITHIN: Final = 5.0
NOTICED_WITHIN: Final = "5000"
"""Milliseconds after which a ping that the network has lost ends the session here."""
SILENT_FOR: Final = 7.0
"""Seconds for which the server may have been silent when the system ends the session here."""
PROGRAM: Final = "dbtend worker"

log = logging.getLogger("dbtend")

Register = Callable[[Connection], Awaitable[None]]
GiveUp = Callable[[Connection], Awaitable[None]]
Place = Mapping[str, str]
"""One address of the server, by the names of libpq."""
Prove = Callable[[Connection], Awaitable[bool]]


@asynccontextmanager
async def proving(url: str, what: str, register: Register, prove_again: Prove, give_up: GiveUp) -> AsyncIterator[None]:
    """Hold a lock in a session of its own while inside, and take it again where the session ends.

    This process ends if the lock is lost.

    Args:
        register: takes the lock the first time.
        prove_again: takes it in a new session; False if the process was declared dead by then.
        give_up: called at the end in the session that holds it, unless the server does not answer: then others find
            the process dead.

    Raises StoreError.
    """
    first = await connect(url, what, PROGRAM, tcp_user_timeout=NOTICED_WITHIN)
    try:
        await keep_alive(first)
        await register(first)
        async with in_background(_hold(url, what, first, prove_again, give_up), "dbtend-proof"):
            yield
    finally:
        await first.close()


async def keep_alive(connection: Connection) -> None:
    """Let the server notice that this host is gone. Raises StoreError."""
    try:
        for statement in SERVER_KEEPALIVES.split(";"):
            await connection.execute(statement.encode())
    except psycopg.Error as error:
        raise store_error("the store of jobs", error) from None


async def _hold(url: str, what: str, connection: Connection, prove_again: Prove, give_up: GiveUp) -> None:
    while True:
        proven_at = await _ping(connection, give_up)
        taking = asyncio.create_task(_take_again(url, what, prove_again), name="dbtend-prove-again")
        try:
            while True:
                await asyncio.wait({taking}, timeout=max(proven_at + UNPROVEN_FOR - time.monotonic(), 0))
                if taking.done():
                    break
                if not await asyncio.to_thread(server_is_down, url):
                    return leave(f"{what}: the server has not answered for {UNPROVEN_FOR:.0f} s")
                proven_at = time.monotonic()
        finally:
            taking.cancel()
        again = await taking
        if again is None:
            return leave(f"{what}: this process was declared dead")
        log.warning("%s: is reached again", what)
        connection = again


async def _take_again(url: str, what: str, prove_again: Prove) -> Connection | None:
    """Try until there is a new session that holds the lock; None if the process was declared dead."""
    while True:
        try:
            connection = await connect(url, what, PROGRAM, tcp_user_timeout=NOTICED_WITHIN)
            try:
                await keep_alive(connection)
                if await prove_again(connection):
                    return connection
            except BaseException:
                await connection.close()
                raise
            await connection.close()
            return None
        except (StoreError, psycopg.Error):
            await pause_loop(RECONNECT_EVERY)


async def _ping(connection: Connection, give_up: GiveUp) -> float:
    """Ask again and again, until the session has ended; returns when it was last known to be there.

    If it is cancelled, it gives up the proof first.
    """
    answered = time.monotonic()
    asking: asyncio.Future[Any] | None = None
    try:
        while True:
            asking = asyncio.ensure_future(connection.execute(b"SELECT 1"))
            done, _ = await asyncio.wait({asking}, timeout=ANSWERS_WITHIN)
            if not done:
                return answered
            asking.result()
            answered = time.monotonic()
            await heard(connection, PING_EVERY)  # an end of the session is noticed at once
    except psycopg.Error:
        return max(answered, time.monotonic() - SILENT_FOR)
    except asyncio.CancelledError:
        with suppress(psycopg.Error, TimeoutError):
            async with asyncio.timeout(GIVEN_UP_WITHIN):
                if asking is not None:
                    await asyncio.wait({asking})
                    asking.result()
                asking = asyncio.ensure_future(give_up(connection))
                await asyncio.shield(asking)
        raise
    finally:
        if asking is not None and not asking.done():
            _hang_up(connection)
            await asyncio.gather(asking, return_exceptions=True)
        with suppress(Exception):
            await connection.close()


def _hang_up(connection: Connection) -> None:
    """End what waits for an answer, at once: a cancelled statement would first be cancelled at the server."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as held:
        held.shutdown(socket.SHUT_RDWR)


def server_is_down(url: str) -> bool:
    """Whether nothing can be written at any address of the server: each refuses the connection, says that the server is
    starting, or is that of a standby."""
    given = _expanded(url)
    hosts, addresses, ports = ((given.get(name) or "").split(",") for name in ("host", "hostaddr", "port"))
    ports = ports if len(ports) > 1 else ports * max(len(hosts), len(addresses))
    places = [
        {"host": host, "hostaddr": address, "port": port or "5432"}
        for host, address, port in zip_longest(hosts, addresses, ports, fillvalue="")
    ]
    with ThreadPoolExecutor(3 * len(places)) as threads:
        asked = [[threads.submit(ask, url, place) for ask in (_refuses, _is_starting, _is_standby)] for place in places]
        return all(any(answer.result() for answer in answers) for answers in asked)


def _expanded(url: str) -> dict[str, str]:
    """What libpq makes of it, with what a service file and the environment say."""
    connection = PGconn.connect_start(url.encode())
    try:
        return {one.keyword.decode(): one.val.decode() for one in connection.info if one.val}
    finally:
        connection.finish()


def _is_starting(url: str, place: Place) -> bool:
    asked = make_conninfo(url, **place, connect_timeout="2", target_session_attrs="any")
    return PGconn.ping(asked.encode()) == Ping.REJECT


def _is_standby(url: str, place: Place) -> bool:
    try:
        psycopg.connect(make_conninfo(url, **place, connect_timeout="2", target_session_attrs="standby")).close()
    except psycopg.Error:
        return False
    return True


def _refuses(_: str, place: Place) -> bool:
    host, port = place["hostaddr"] or place["host"] or "/var/run/postgresql", place["port"]
    try:
        if host.startswith("/"):
            with socket.socket(socket.AF_UNIX) as local:
                local.settimeout(1)
                local.connect(f"{host}/.s.PGSQL.{port}")
        else:
            socket.create_connection((host, int(port)), timeout=1).close()
    except OSError as error:
        return error.errno in {errno.ECONNREFUSED, errno.ENOENT}
    return False
