"""Writes changed pages to the disk while a statement runs, so that its sync at the end is short."""

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
async def writing_back(path: str) -> AsyncIterator[None]:
    """While inside, writes to the database at `path`, its journal and its log go to the disk at once."""
    stop = Event()
    writing = asyncio.ensure_future(asyncio.to_thread(keep_writing, [path + end for end in _WRITTEN], stop))
    try:
        yield
    finally:
        stop.set()
        await wait_uncancelled(writing)
