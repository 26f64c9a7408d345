"""Answers GET /metrics by HTTP: h11 parses it, within limits of bytes, time and connections."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from errno import EADDRINUSE
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

import h11

from engine.domain.errors import DbtendError, UsageError
from engine.system.host import host_name

_PATIENCE: Final = 10.0
"""Seconds that a request, its answer and the taking of it may take."""
_LONGEST: Final = 8_192
"""Bytes of the head of a request."""
_MOST_LEFT: Final = 65_536
"""Bytes that are read after a request, so that its answer is not lost by a reset."""
_AT_ONCE: Final = 16
"""Connections; for a further one the oldest is closed that has not asked yet."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Answer = Callable[[], Awaitable[bytes]]
Content = tuple[HTTPStatus, bytes]
log = logging.getLogger("dbtend")


@dataclass(frozen=True, slots=True)
class MetricsListener:
    """A socket that listens, which forked processes share."""

    socket: socket.socket
    hosts: frozenset[str]
    """The names under which it may be asked, in small letters, beside `localhost` and IP addresses."""


@contextmanager
def listening(address: tuple[str, int], hosts: Collection[str]) -> Iterator[MetricsListener]:
    """Raises UsageError."""
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
        yield MetricsListener(made, frozenset(name.lower() for name in (host, host_name(), *hosts)))


@asynccontextmanager
async def serving_metrics(listener: MetricsListener, answer: Answer) -> AsyncIterator[None]:
    """Answer requests while inside."""
    connections: list[_Connection] = []

    async def on_connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(connections) >= _AT_ONCE and not _close_one(connections):
            writer.transport.abort()
            return
        connections.append(connection := _Connection(reader, writer))
        try:
            with suppress(TimeoutError, OSError, h11.ProtocolError):
                async with asyncio.timeout(_PATIENCE):
                    await connection.respond(listener.hosts, answer)
        finally:
            if connection in connections:
                connections.remove(connection)
            connection.abort()

    server = await asyncio.start_server(on_connect, sock=listener.socket, limit=_LONGEST)
    try:
        yield
    finally:
        server.close()
        for connection in connections:
            connection.abort()


def _close_one(connections: list[_Connection]) -> bool:
    """Close the oldest connection without a request; whether there was one."""
    idle = next((one for one in connections if not one.has_asked), None)
    if idle is not None:
        idle.abort()
        connections.remove(idle)
    return idle is not None


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST)
        self.has_asked = False

    def abort(self) -> None:
        self._writer.transport.abort()

    async def respond(self, hosts: Collection[str], answer: Answer) -> None:
        """Answer one request. Raises OSError, h11.ProtocolError."""
        try:
            request = await self._request()
        except h11.RemoteProtocolError as error:
            await self._send(HTTPStatus(error.error_status_hint), b"this is no request\n")
            return
        if request is not None:
            self.has_asked = True
            await self._send(*await _content(request, hosts, answer))

    async def _request(self) -> h11.Request | None:
        """None if the other side has closed the connection."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_LONGEST))
        return event if isinstance(event, h11.Request) else None

    async def _send(self, status: HTTPStatus, content: bytes) -> None:
        headers = [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(content))), ("Connection", "close")]
        head = h11.Response(status_code=status.value, headers=headers, reason=status.phrase)
        for event in (head, h11.Data(data=content), h11.EndOfMessage()):
            self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()
        self._writer.write_eof()
        left = _MOST_LEFT
        while left > 0 and (more := await self._reader.read(left)):
            left -= len(more)


async def _content(request: h11.Request, hosts: Collection[str], answer: Answer) -> Content:
    if request.method not in {b"GET", b"HEAD"}:
        return HTTPStatus.METHOD_NOT_ALLOWED, b"only GET\n"
    if not _is_ours(dict(request.headers).get(b"host", b""), hosts):
        return HTTPStatus.MISDIRECTED_REQUEST, b"this Host is unknown: allow it with --metrics-host\n"
    if request.target.partition(b"?")[0] not in {b"/metrics", b"/"}:
        return HTTPStatus.NOT_FOUND, b"only /metrics\n"
    try:
        return HTTPStatus.OK, await answer()
    except DbtendError as error:
        log.warning("metrics: %s", error)
        return HTTPStatus.SERVICE_UNAVAILABLE, b"the store cannot be read\n"


def _is_ours(host: bytes, hosts: Collection[str]) -> bool:
    """Whether a request means this server. A page whose name was bound to this address has that name here, never an
    address; who asks without a name is no browser."""
    text = host.decode("latin-1").lower()
    name = text[: text.rfind("]") + 1] if text.startswith("[") else text.partition(":")[0]
    if name in {"", "localhost"} or name in hosts:
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
