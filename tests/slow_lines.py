"""Between a store and its server: a line on which everything takes a while, which stalls, and which is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class SlowLine:
    """Carries what both sides send. Each way takes `delay` seconds, however much is on it."""

    def __init__(self, server: Path, delay: float) -> None:
        self._server, self._delay = server, delay
        self._goes = asyncio.Event()
        self._goes.set()
        self._is_cut = False
        self._open: set[asyncio.Task[None] | None] = set()
        self.round_trips: list[int] = []
        """Of each connection: how often the server answered what it was asked."""

    def stall(self) -> None:
        """Nothing gets through until `go`."""
        self._goes.clear()

    def go(self) -> None:
        self._goes.set()

    def cut(self) -> None:
        """End all connections, and refuse others until `join`."""
        self._is_cut = True
        for connection in self._open:
            if connection is not None:
                connection.cancel()

    async def end(self) -> None:
        """When nothing is to be carried any more."""
        self.cut()
        while self._open:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)

    def join(self) -> None:
        self._is_cut = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Both ways of one connection, until either side ends it."""
        connection = asyncio.current_task()
        self._open.add(connection)
        try:
            if not self._is_cut:
                with suppress(asyncio.CancelledError, ConnectionError):
                    await self._both_ways(reader, writer)
        finally:
            writer.close()
            self._open.discard(connection)

    async def _both_ways(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_unix_connection(self._server)
        number, was_asked = len(self.round_trips), False
        self.round_trips.append(0)

        def ask() -> None:
            nonlocal was_asked
            was_asked = True

        def answer() -> None:
            nonlocal was_asked
            self.round_trips[number] += was_asked
            was_asked = False

        both = ((reader, to_server, ask), (from_server, writer, answer))
        ways = [asyncio.create_task(self._one_way(*way)) for way in both]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_server.close()

    async def _one_way(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: Callable[[], None]
    ) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        now = asyncio.get_running_loop().time

        async def arrive() -> None:
            while True:
                due, data = await under_way.get()
                await asyncio.sleep(due - now())
                await self._goes.wait()
                writer.write(data)
                if not data:
                    return

        arriving = asyncio.create_task(arrive())
        try:
            while data := await reader.read(65536):
                said()
                under_way.put_nowait((now() + self._delay, data))
            under_way.put_nowait((now() + self._delay, b""))
            await arriving
        finally:
            arriving.cancel()


@asynccontextmanager
async def slow_line(server: Path, directory: Path, *, delay: float) -> AsyncIterator[SlowLine]:
    """`server`: its socket; there is one of the same name in `directory` meanwhile."""
    line = SlowLine(server, delay)
    async with await asyncio.start_unix_server(line.carry, directory / server.name):
        try:
            yield line
        finally:
            await line.end()
