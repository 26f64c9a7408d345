"""Writes changed pages to the disk while a statement runs, so that the sync at the end has little left to do.

The system would write them later anyway: each sync of SQLite still waits for all of them, and still gets every error.
Only descriptors that SQLite itself opened are used: none is opened or closed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from threading import Event
from typing import TYPE_CHECKING, Final

from engine.domain.lazy_import import lazy
from engine.system.background import wait_uncancelled
from engine.targets.sqlite.system.page_cache import descriptors

if TYPE_CHECKING:
    import ctypes
else:
    ctypes = lazy("ctypes", "only a write needs it")

_WRITTEN: Final = ("", "-journal", "-wal")
_INTERVAL: Final = 0.05
_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE: changed pages that are not being written yet


def begin_to_write(descriptor: int) -> bool:
    """Start writing all changes of a file to the disk; False if the system cannot."""
    if sys.platform != "linux":
        return False
    start, to_the_end = ctypes.c_int64(0), ctypes.c_int64(0)
    answer: int = ctypes.CDLL(None).sync_file_range(ctypes.c_int(descriptor), start, to_the_end, ctypes.c_uint(_WRITE))
    return answer == 0


def keep_writing(paths: Sequence[str], stop: Event) -> None:
    """Do so with what this process has open of these files, again and again, until `stop` is set.

    For a thread beside the statement: the disk may block it. If SQLite closes the descriptor and its number is reused,
    no harm is done.
    """
    while True:
        for path in paths:
            for descriptor in descriptors(path):
                begin_to_write(descriptor)
        if stop.wait(_INTERVAL):
            return


@asynccontextmanager
async def writing_back(path: str) -> AsyncIterator[None]:
    """While inside, writes to the database at `path`, its journal and its log go to the disk at once."""
    stop, writing = Event(), list[asyncio.Future[None]]()

    def begin() -> None:
        work = asyncio.to_thread(keep_writing, [path + end for end in _WRITTEN], stop)
        writing.append(asyncio.ensure_future(work))

    beginning = asyncio.get_running_loop().call_later(_INTERVAL, begin)  # a short statement needs no thread for it
    try:
        yield
    finally:
        beginning.cancel()
        stop.set()
        for thread in writing:
            await wait_uncancelled(thread)
