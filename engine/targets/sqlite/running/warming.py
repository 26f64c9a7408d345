"""Reading a database into memory, in order, for statements that look at all of it."""

from __future__ import annotations

import asyncio
from threading import Event
from typing import Any

from engine.targets.base import StepContext, StepProgress
from engine.targets.sqlite.connection.statement import to_its_end
from engine.targets.sqlite.system.files import file_size
from engine.targets.sqlite.system.machine import available_memory
from engine.targets.sqlite.system.page_cache import cached_share, descriptors, read_ahead, worth_reading_ahead


class ReadingAhead:
    """Reads the file at `path`, which this process has open, from its start to its end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stop = Event()
        self._reading: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """Start, once, where that makes what follows faster."""
        if self._reading is not None:
            return
        size, opened = file_size(self._path), descriptors(self._path)
        if opened and worth_reading_ahead(size, cached_share(opened[0], size), available_memory()):
            reading = asyncio.to_thread(read_ahead, opened[0], size, self._stop, lambda _: None)
            self._reading = asyncio.ensure_future(reading)

    async def done(self, context: StepContext) -> None:
        """Wait until all of it has been read, unless the step is cancelled before."""
        if self._reading is None:
            return
        context.report(StepProgress(phase="reading the file ahead"))
        cancelled = asyncio.ensure_future(context.cancel.wait())
        waiting: set[asyncio.Future[Any]] = {self._reading, cancelled}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cancelled.cancel()

    async def end(self) -> None:
        """Stop, and wait for it: while the thread reads, the connection that opened the file must not be closed."""
        self._stop.set()
        if self._reading is not None:
            await to_its_end(self._reading)
