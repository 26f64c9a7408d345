"""Reading a database into memory, in order, for statements that look at all of it."""

from __future__ import annotations

import asyncio
from threading import Event

from engine.system.background import wait_uncancelled
from engine.targets.database_files import file_size
from engine.targets.sqlite.system.machine import available_memory
from engine.targets.sqlite.system.page_cache import (
    WORTH_FROM,
    cached_share,
    descriptors,
    read_ahead,
    worth_reading_ahead,
)
from engine.targets.waits import first_of


class Readahead:
    """Reads the file at `path`, which this process has open, from its start to its end."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stop = Event()
        self._reading: asyncio.Future[None] | None = None

    async def begin(self) -> None:
        """Start, once, if that makes the next reads faster."""
        if self._reading is None and (found := await asyncio.to_thread(self._worth_reading)) is not None:
            descriptor, size = found
            reading = asyncio.to_thread(read_ahead, descriptor, size, self._stop, lambda _: None)
            self._reading = asyncio.ensure_future(reading)

    def _worth_reading(self) -> tuple[int, int] | None:
        """A descriptor of the file, and its size; None where reading it would make nothing faster."""
        size = file_size(self._path)
        opened = descriptors(self._path) if size >= WORTH_FROM else ()
        if opened and worth_reading_ahead(size, cached_share(opened[0], size), available_memory()):
            return opened[0], size
        return None

    @property
    def has_begun(self) -> bool:
        return self._reading is not None

    async def done(self, cancel: asyncio.Event) -> None:
        """Wait until all of it has been read, or `cancel` is set."""
        if self._reading is None:
            return
        await first_of(cancel, task=self._reading)

    async def end(self) -> None:
        """Stop, and wait for it: while the thread reads, the connection that opened the file must not be closed."""
        self._stop.set()
        if self._reading is not None:
            await wait_uncancelled(self._reading)
