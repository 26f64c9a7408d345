"""Reading a database into memory before a statement that looks at all of it."""

from __future__ import annotations

import asyncio
from threading import Event

from engine.targets.base import StepContext, StepProgress
from engine.targets.sqlite.connection.statement import to_its_end
from engine.targets.sqlite.system.files import file_size
from engine.targets.sqlite.system.machine import available_memory
from engine.targets.sqlite.system.page_cache import cached_share, descriptors, read_ahead, worth_reading_ahead


async def warm_up(path: str, context: StepContext) -> None:
    """Read the whole file, which this process has open, where that makes what follows faster.

    Not beside the statement, which would ask the disk for pages here and there meanwhile: that takes longer.
    """
    size, opened = file_size(path), descriptors(path)
    if not opened or not worth_reading_ahead(size, cached_share(opened[0], size), available_memory()):
        return
    context.report(StepProgress(phase="reading the file ahead"))
    stop = Event()
    reading = asyncio.ensure_future(asyncio.to_thread(read_ahead, opened[0], size, stop, lambda _: None))
    cancelled = asyncio.ensure_future(context.cancel.wait())
    try:
        await asyncio.wait({reading, cancelled}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        cancelled.cancel()
        # The descriptor must not be closed under the thread: the connection stays open until it has ended.
        await to_its_end(reading)
