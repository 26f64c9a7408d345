"""A reader of the catalog, as an inspection has it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.targets.mysql.connection.address import address
from engine.targets.mysql.connection.connecting import connect
from engine.targets.mysql.connection.connection import Connection
from engine.targets.mysql.connection.server import Server
from engine.targets.mysql.reading.reader import Reader
from engine.targets.server_target import READING_TIMEOUT


@asynccontextmanager
async def looking(url: str) -> AsyncIterator[Reader]:
    async def opened() -> tuple[Connection, Server]:
        return await connect(address(url), name="dbtend", lock_timeout=1.0, statement_timeout=READING_TIMEOUT)

    reader = Reader(*await opened(), url, opened)
    try:
        yield reader
    finally:
        await reader.close()
