"""Having what is written go to the disk meanwhile, so that the sync at the end finds little left to wait for.

It only begins earlier what the system would do anyway: each sync that SQLite asks for still waits for everything, and
is still told of every error, as nothing is waited for here. All of it goes through descriptors that SQLite itself
opened: none is opened or closed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Event
from typing import Final

from engine.targets.sqlite.system.page_cache import descriptors

_INTERVAL: Final = 0.25
_WRITE: Final = 2  # SYNC_FILE_RANGE_WRITE: what is changed, and not on its way to the disk yet


def begin_to_write(descriptor: int) -> bool:
    """Let all that is changed of a file begin its way to the disk; False where that cannot be had."""
    if sys.platform != "linux":
        return False
    import ctypes  # only where something is written, and not at every start

    start, to_the_end = ctypes.c_int64(0), ctypes.c_int64(0)
    answer: int = ctypes.CDLL(None).sync_file_range(ctypes.c_int(descriptor), start, to_the_end, ctypes.c_uint(_WRITE))
    return answer == 0


def keep_writing(paths: Sequence[str], stop: Event) -> None:
    """Do so with what this process has open of these files, again and again, until `stop` is set.

    For a thread beside the statement: the disk may keep it waiting. A number that SQLite has closed meanwhile, and
    that means another file now, does no harm.
    """
    while not stop.wait(_INTERVAL):
        for path in paths:
            for descriptor in descriptors(path):
                begin_to_write(descriptor)
