"""Between a store and its server: cuts the connection on which a given function is called."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from pathlib import Path

SIMPLE, PREPARE, EXECUTE = b"Q", b"P", b"B"
TERMINATE = b"X\0\0\0\4"


class Cut(StrEnum):
    BEFORE = "before the server knows of the call"
    AFTER = "when the server has answered it"
    LATE = "before the server knows of the call, which it gets later"


class Cutter:
    """Passes on what both sides send; `at` is what is cut next."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._at: tuple[str, Cut] | None = None
        self.is_late = asyncio.Event()
        """Set it to have the server get what it is to get late."""
        self.is_over = asyncio.Event()
        """Set when nothing more of what was cut gets to the server."""

    def cut(self, function: str, how: Cut) -> None:
        """The next call of this function of the store."""
        self._at = function, how

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = await asyncio.open_unix_connection(self._server)
        answers = asyncio.create_task(_pass(server[0], writer))
        statements: dict[bytes, bytes] = {}
        try:
            size = await reader.readexactly(4)
            server[1].write(size + await reader.readexactly(int.from_bytes(size) - 4))
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
                if head[:1] == PREPARE:
                    name, _, text = body.partition(b"\0")
                    statements[name] = text
                if head[:1] == SIMPLE and self._is_meant(body):
                    await self._cut(head + body, writer, server, answers)
                    return
                if head[:1] == EXECUTE and self._is_meant(statements.get(body.split(b"\0")[1], b"")):
                    await self._cut(head + body + await reader.read(65536), writer, server, answers)
                    return
                server[1].write(head + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            answers.cancel()
            writer.close()
            server[1].close()

    def _is_meant(self, statement: bytes) -> bool:
        return self._at is not None and f" {self._at[0]}(".encode() in statement

    async def _cut(
        self,
        call: bytes,
        writer: asyncio.StreamWriter,
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        answers: asyncio.Task[None],
    ) -> None:
        answers.cancel()
        await asyncio.wait({answers})
        assert self._at is not None
        how, self._at = self._at[1], None
        if how is not Cut.AFTER:
            writer.close()
        if how is Cut.LATE:
            await self.is_late.wait()
        if how is not Cut.BEFORE:
            server[1].write(call + TERMINATE)
            await server[0].read()  # to its end: the server has carried it out then
        self.is_over.set()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def cut_connections(server: Path, directory: Path) -> AsyncIterator[Cutter]:
    """`server`: its socket; there is one of the same name in `directory` meanwhile."""
    cutter = Cutter(server)
    async with await asyncio.start_unix_server(cutter.serve, directory / server.name):
        yield cutter
