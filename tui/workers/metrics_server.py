"""Answers GET /metrics by HTTP: few lines of it, for the one who asks every now and then."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from errno import EADDRINUSE
from http import HTTPStatus
from typing import Final

from engine.domain.errors import DbtendError, UsageError

_PATIENCE: Final = 10.0
"""Seconds that a request, its answer and the taking of it may take."""
_LONGEST: Final = 8_192
"""Bytes of the head of a request."""
_AT_ONCE: Final = 8
"""Connections; further ones are closed at once."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Answer = Callable[[], Awaitable[bytes]]
log = logging.getLogger("dbtend")


@contextmanager
def listening(address: tuple[str, int] | None) -> Iterator[socket.socket | None]:
    """A socket that listens, which forked processes share; None without an address. Raises UsageError."""
    if address is None:
        yield None
        return
    host, port = address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server(address, family=family, backlog=_AT_ONCE)
    except OSError as error:
        why, hint = error.strerror, "give another port"
        if error.errno == EADDRINUSE:
            why, hint = os.strerror(EADDRINUSE), f"{hint}: maybe another worker serves there"
        raise UsageError(f"--metrics {port}", f"{host} cannot be listened on: {why}", hint) from None
    with made:
        log.info("metrics: http://%s:%s/metrics", host, port)
        yield made


@asynccontextmanager
async def serving_metrics(listener: socket.socket, answer: Answer) -> AsyncIterator[None]:
    """Answer requests while inside."""
    connected = set[asyncio.Task[None]]()

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(connected) >= _AT_ONCE:
            writer.transport.abort()
            return
        connected.add(task)
        try:
            with suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(_PATIENCE):
                    await _respond(reader, writer, answer)
        finally:
            connected.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(on_connect, sock=listener, limit=_LONGEST)
    try:
        yield
    finally:
        server.close()
        for task in connected:
            task.cancel()


async def _respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, content = await _content(method, path, answer)
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {CONTENT_TYPE}",
        f"Content-Length: {len(content)}",
        "Connection: close",
    )
    writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if method == b"HEAD" else content))
    await writer.drain()
    writer.write_eof()
    await reader.read()  # until it is taken


async def _content(method: bytes, path: bytes, answer: Answer) -> tuple[HTTPStatus, bytes]:
    if method not in {b"GET", b"HEAD"}:
        return HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n"
    if path not in {b"/metrics", b"/"}:
        return HTTPStatus.NOT_FOUND, b"only /metrics\n"
    try:
        return HTTPStatus.OK, await answer()
    except DbtendError as error:
        log.warning("metrics: %s", error)
        return HTTPStatus.SERVICE_UNAVAILABLE, b"the store cannot be read\n"
