"""A network on the loopback interface in which everything can get lost, in both directions, without a word."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import AsyncIterator

_ATTACH_FILTER, _DETACH_FILTER = 26, 27
# A program for the kernel: of every packet for this socket keep nothing. It is dropped before TCP could answer it.
_DROP = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
_PROGRAM = struct.pack("HxxxxxxP", 1, ctypes.addressof(_DROP))


class Network:
    """Passes connections on to a port, as long as it works."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._through: list[socket.socket] = []
        self._passing: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def drop_everything(self) -> None:
        """Neither side hears of the other any more, not even that it is gone."""
        for end in (self._listener, *self._through):
            end.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, _PROGRAM)

    def reset_everything(self) -> None:
        """Both sides are told that the connection is gone."""
        for end in self._through:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for task in self._passing:
            task.cancel()

    def work_again(self) -> None:
        """For new connections."""
        self._listener.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 0)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener.setblocking(False)
        while True:
            here, _ = await loop.sock_accept(self._listener)
            there = socket.create_connection(("127.0.0.1", self._to))
            there.setblocking(False)
            self._through += [here, there]
            for one, other in ((here, there), (there, here)):
                task = asyncio.create_task(self._pass_on(one, other))
                self._passing.add(task)

    async def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            with contextlib.suppress(OSError):
                while data := await loop.sock_recv(one, 65536):
                    await loop.sock_sendall(other, data)
        finally:
            for end in (one, other):
                end.close()
                if end in self._through:
                    self._through.remove(end)

    async def end(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)
        self._listener.close()


@contextlib.asynccontextmanager
async def network_to(port: int) -> AsyncIterator[Network]:
    network = Network(port)
    running = asyncio.create_task(network.run())
    try:
        yield network
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await network.end()
