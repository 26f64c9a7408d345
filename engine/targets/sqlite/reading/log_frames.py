"""Which pages only the write-ahead log of a database holds, and where in it."""

from __future__ import annotations

import os
import struct
import time
from typing import Final

from engine.domain.frozen import frozen

_HEADER: Final = struct.Struct(">8xI4x8s8x")  # page size, salts
_FRAME: Final = struct.Struct(">II8s8x")  # page, pages of the database after a commit or 0, salts


@frozen
class LogFrames:
    """The pages that commits have left in the log."""

    descriptor: int
    places: dict[int, int]
    """The place of the newest content of each page, by the number of the page."""
    number: int
    """The pages of the database after the last commit; 0 without one."""

    def read(self, page: int, length: int) -> bytes | None:
        """The first bytes of a page; None if the log does not hold it. Raises OSError."""
        place = self.places.get(page)
        return None if place is None else os.pread(self.descriptor, length, place)


def frames_of(descriptor: int, give_up: float) -> LogFrames | None:
    """The frames of the log that SQLite has open as `descriptor`; None if there is no time.

    Its checksums are not checked: like everything that is read without SQLite, this is an estimate. Raises OSError.
    """
    places, uncommitted, number = dict[int, int](), dict[int, int](), 0
    header = os.pread(descriptor, _HEADER.size, 0)
    if len(header) == _HEADER.size:
        page_size, salts = _HEADER.unpack(header)
        at = _HEADER.size
        while len(frame := os.pread(descriptor, _FRAME.size, at)) == _FRAME.size:
            page, pages_after, its_salts = _FRAME.unpack(frame)
            if its_salts != salts or not page_size:  # written before the log was restarted
                break
            if time.monotonic() > give_up:
                return None
            uncommitted[page] = at + _FRAME.size
            if pages_after:
                places |= uncommitted
                uncommitted, number = {}, pages_after
            at += _FRAME.size + page_size
    return LogFrames(descriptor, places, number)
