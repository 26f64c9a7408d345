"""What making a compact copy of a database is expected to take: VACUUM, VACUUM INTO and an exchange.

Of the first and last also the course: the seconds after so many bytes. The seconds are those of an ordinary machine
with a warm page cache; what counts is how they relate to each other.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.sqlite.planning.costs import SHORTEST, Cost, comparison

_CELL_COPIED: Final = 35e-9  # seconds for a row, or an entry of an index, that is copied
_BYTE_BALANCED: Final = 1.2e-9  # seconds for a byte of an index, or of a table without rowid, and of other rows
_BYTE_APPENDED: Final = 0.25e-9
_PAGE_TO_MEMORY: Final = 2.5e-6  # seconds for a page that VACUUM copies to a temporary database, and for a byte
_BYTE_TO_MEMORY: Final = 0.75e-9
_PAGE_BACK: Final = 6e-6  # seconds for a page that it writes back into the file, and for a byte
_BYTE_BACK: Final = 2.4e-9
_ENDING: Final = 0.04  # seconds at most to sync the last pages, and seconds to end for each second of writing back
_ENDING_AFTER: Final = 0.08
_IN_A_FILE: Final = 1.27  # seconds with a temporary database in a file, for each with one in memory
_COPY: Final = 2.7e-9  # seconds for a byte
_PAGE_COPIED: Final = 3.7e-6  # seconds for a page of a copy that is exchanged, and for a byte
_BYTE_COPIED: Final = 0.8e-9
_SYNC: Final = 0.025  # seconds to sync the last pages: the others are on the disk already
_BYTE_CHECKED: Final = 0.36e-9  # seconds for a byte of a copy whose pages are looked at, and of a long value
_VALUE_CHECKED: Final = 0.12e-9
_OBJECT_CHECKED: Final = 40e-6  # seconds to read its schema and count its rows, for a table or an index
_EXCHANGED: Final = 0.025  # seconds to complete a copy, and to put it in its place
_EXCHANGE: Final = 0.08  # seconds of an exchange, at least: its process has to start
_CREATED: Final = 60e-6  # seconds for a table or an index, and for each other one that is there by then
_SCHEMA_READ: Final = 18e-9
_PACKED: Final = 0.8  # of the bytes of pages that are not free: the rest is free space within them
_USUAL_CELLS: Final = 0.02  # for each byte of a compact database
_USUALLY_KEYED: Final = 0.35  # of its bytes


@frozen(kw_only=True)
class Content:
    """What a compact copy of a database holds."""

    size: int
    page_size: int = 4096
    cells: int
    """Rows and entries of indexes."""
    keyed: int = 0
    """Bytes of pages of indexes, and of tables without rowid."""
    values: int = 0
    """Bytes of pages that hold only parts of long values."""
    objects: int = 0
    """Tables and indexes."""
    parts: tuple[Content, ...] = ()
    """The contents of all of them in the order in which they are copied, about; empty if unknown."""

    @classmethod
    def usual(cls, volume: int, objects: int = 0, page_size: int = 4096) -> Content:
        """That of a database with `volume` bytes in pages that are not free, if nothing else is known."""
        size = round(_PACKED * volume)
        cells, keyed = round(_USUAL_CELLS * size), round(_USUALLY_KEYED * size)
        return cls(size=size, page_size=page_size, cells=cells, keyed=keyed, objects=objects)

    @property
    def empty(self) -> int:
        """Bytes of its tables and indexes before anything is in them."""
        return self.objects * self.page_size

    def seconds(self, page: float, byte: float) -> float:
        return self.size / self.page_size * page + self.size * byte

    def copying(self, page: float, byte: float) -> float:
        """Seconds to fill its tables and indexes: pages of rows with a rowid are just added, others are balanced."""
        appended = max(self.size - self.keyed - self.values, 0) * _BYTE_APPENDED
        return self.seconds(page, byte) + self.cells * _CELL_COPIED + self.keyed * _BYTE_BALANCED + appended


def vacuum(content: Content, *, in_memory: bool) -> Cost:
    """The cost of a VACUUM. The course is one of bytes: first of the temporary database, where tables and indexes are
    created before they are filled, and then of those that are written back, into the journal and into the file.

    `in_memory`: whether its temporary files are in memory.
    """
    size = max(content.size, content.empty)
    filling = _filling(content, _PAGE_TO_MEMORY, _BYTE_TO_MEMORY, size)
    copied = filling[-1][1]
    writing_back = SHORTEST + content.seconds(_PAGE_BACK, _BYTE_BACK)
    written = copied + writing_back
    course = (
        (0.0, 0.0),
        *_created(content),
        *filling,
        (3 * size, written),
        (3 * size, written + min(_ENDING, writing_back / 3) + _ENDING_AFTER * writing_back),
    )
    return Cost(seconds=course[-1][1] * (1.0 if in_memory else _IN_A_FILE), course=course)


def copy(volume: int, objects: int = 0) -> Cost:
    return Cost(seconds=SHORTEST + volume * _COPY + _creating(objects))


def exchange(content: Content, *, compared: bool) -> Cost:
    """The cost of a copy that is checked, synced and put in the place of the database.

    The course is one of written bytes: first those of empty tables and indexes. The last two parts, a sync and all that
    follows the copy, write none.
    """
    written = content.empty + content.size
    filling = _filling(content, _PAGE_COPIED, _BYTE_COPIED, written)
    after = (
        (content.size - content.values) * _BYTE_CHECKED
        + content.values * _VALUE_CHECKED
        + content.objects * _OBJECT_CHECKED
        + _EXCHANGED
    )
    comparing = comparison(content.size) if compared else 0.0
    copied = filling[-1][1] + _SYNC
    return Cost(
        seconds=max(copied + after, _EXCHANGE) + comparing,
        course=(
            (0.0, 0.0),
            *_created(content),
            *filling,
            (written, copied),
            (written, copied + after + comparing),
        ),
    )


def _creating(objects: float) -> float:
    """A copy reads all of the schema there is by then, for each table or index that it creates."""
    return objects * _CREATED + objects * objects * _SCHEMA_READ


def _filling(content: Content, page: float, byte: float, end: int) -> list[tuple[float, float]]:
    """The course of filling its tables and indexes, once they are created. `end`: the bytes then."""
    parts = content.parts or (content,)
    written = list(accumulate(part.size for part in parts))
    filled = list(accumulate(part.copying(page, byte) for part in parts))
    each_byte = (end - content.empty) / (written[-1] or 1)
    each_second = content.copying(page, byte) / (filled[-1] or 1)
    created = SHORTEST + _creating(content.objects)
    return [
        (content.empty + size * each_byte, created + seconds * each_second)
        for size, seconds in zip(written, filled, strict=True)
    ]


def _created(content: Content) -> tuple[tuple[float, float], tuple[float, float]]:
    """The course of creating its tables and indexes."""
    half = content.objects / 2
    return (half * content.page_size, _creating(half)), (content.empty, _creating(content.objects))
