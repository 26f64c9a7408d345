"""Writing to the disk while a statement works, for statements that would wait for it at their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from threading import Event
from typing import Final

from engine.targets.sqlite.connection.statement import wait_uncancelled
from engine.targets.sqlite.system.write_back import keep_writing

_WRITTEN: Final = ("", "-journal", "-wal")


@asynccontextmanager
async def written_behind(path: str) -> AsyncIterator[None]:
    """While inside, what is written to the database at `path`, and to the files beside it, goes to the disk at once."""
    stop = Event()
    writing = asyncio.ensure_future(asyncio.to_thread(keep_writing, [path + end for end in _WRITTEN], stop))
    try:
        yield
    finally:
        stop.set()
        await wait_uncancelled(writing)
