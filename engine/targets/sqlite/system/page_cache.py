"""Bringing a database into the system's page cache, where SQLite reads it many times faster than from a cold disk.

All of it goes through a descriptor that SQLite itself opened, and never opens, duplicates or closes one of its own:
closing any descriptor of the file would drop SQLite's locks. (mmap.mmap duplicates and closes, so it is out, too.)
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Final

from engine.targets.database_files import file_size

_SAMPLES: Final = 64
# Plain reads, because only they show progress. The next chunk is requested ahead, so that the disk never idles.
_CHUNK: Final = 4 << 20
_ASKED_FOR: Final = 2 * _CHUNK
WORTH_FROM: Final = 16_000_000
"""Bytes; below, the statement has read the file before a thread could."""
_WORTH_COLD_SHARE: Final = 0.25
_WORTH_MEMORY_SHARE: Final = 0.5


def descriptors(path: str) -> tuple[int, ...]:
    """The descriptors under which this process, SQLite in it, has the file open; none off Linux.

    They are good for as long as the connections they belong to. None, too, where the file is not there any more.
    """
    with suppress(OSError):
        status = Path(path).stat()
        return descriptors_of((status.st_dev, status.st_ino))
    return ()


def descriptors_of(file: tuple[int, int]) -> tuple[int, ...]:
    """The descriptors of the file with these numbers of its device and inode, whatever its path."""
    found = []
    with suppress(FileNotFoundError, NotADirectoryError):
        for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - a fifth of the time
            try:
                status = os.fstat(descriptor)
            except OSError:  # closed since, like the one of the listing itself
                continue
            if (status.st_dev, status.st_ino) == file:
                found.append(descriptor)
    return tuple(sorted(found))


def cached_share(descriptor: int, size: int) -> float | None:
    """The share of a file of `size` bytes in the page cache, from 0 to 1, by a sample; None if unknown.

    A page that was not cached is on its way to it afterwards, so each call looks at other pages. It goes from the end
    to the start, as the system reads ahead in the other direction.
    """
    if size <= 0 or not hasattr(os, "RWF_NOWAIT"):
        return None
    stretch = size / _SAMPLES
    cached = 0
    byte = bytearray(1)
    for sample in reversed(range(_SAMPLES)):
        offset = int((sample + random.random()) * stretch)  # noqa: S311 - no secret
        try:
            cached += os.preadv(descriptor, [byte], offset, os.RWF_NOWAIT)
        except BlockingIOError:
            continue
        except OSError:  # not every file system can answer without waiting
            return None
    return cached / _SAMPLES


def read_ahead(descriptor: int, size: int, stop: Event, progress: Callable[[int], None]) -> None:
    """Read the file from start to end, telling `progress` how many bytes so far, until `stop` is set.

    For a thread beside the statement: it waits for the disk. Ends early where the file can no longer be read.
    """
    buffer = bytearray(_CHUNK)
    done = 0
    with suppress(OSError):  # the statement itself will fail and report it
        while done < size and not stop.is_set():
            _ask_for(descriptor, done + _CHUNK)
            if not (count := os.preadv(descriptor, [buffer], done)):
                break
            done += count
            progress(done)


def _ask_for(descriptor: int, start: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, start, _ASKED_FOR, os.POSIX_FADV_WILLNEED)


def is_cold(path: str) -> bool:
    """Whether a good part of the file, which this process has open, would have to be read from the disk, and that
    takes a while."""
    if file_size(path) < WORTH_FROM:
        return False
    opened = descriptors(path)
    share = cached_share(opened[0], os.fstat(opened[0]).st_size) if opened else None
    return share is not None and 1 - share > _WORTH_COLD_SHARE


def worth_reading_ahead(size: int, cached_share: float | None, available_memory: int | None) -> bool:
    """Whether a file of `size` bytes is cold enough, and fits into memory well enough, to gain by `read_ahead`."""
    if cached_share is None or available_memory is None:
        return False
    cold = 1 - cached_share > _WORTH_COLD_SHARE
    return cold and size >= WORTH_FROM and size <= available_memory * _WORTH_MEMORY_SHARE
