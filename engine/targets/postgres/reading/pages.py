"""Pages of tables and indexes as PostgreSQL stores them, and the items on them. Pure.

They are those of a server whose processor stores the low byte of a number first; others are not recognised.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from engine.domain.frozen import frozen

PAGE: Final = 8192
PAGE_HEADER: Final = 24
ITEM_POINTER: Final = 4
_LAYOUT: Final = PAGE | 4
_NORMAL: Final = 1


@frozen
class Page:
    """One page, whole."""

    data: bytes

    @classmethod
    def of(cls, before: bytes, after: bytes) -> Page | None:
        """A page from its parts before and after its hole; None if it is none."""
        if len(before) < PAGE_HEADER or len(before) + len(after) > PAGE:
            return None
        special, layout = struct.unpack_from("<HH", before, 16)
        if layout != _LAYOUT or not PAGE_HEADER <= special <= PAGE:
            return None
        return cls(before + bytes(PAGE - len(before) - len(after)) + after)

    @property
    def lower(self) -> int:
        """Where its hole begins."""
        return self.number("H", 12)

    @property
    def special(self) -> int:
        return self.number("H", 16)

    def number(self, kind: str, offset: int) -> int:
        """The number at this place: `H` of two bytes, `I` of four; 0 beyond the end."""
        whole = struct.Struct(f"<{kind}")
        found: int = whole.unpack_from(self.data, offset)[0] if offset + whole.size <= PAGE else 0
        return found

    def items(self) -> Iterator[bytes]:
        """The items in use, in order."""
        for (pointer,) in struct.iter_unpack("<I", self.data[PAGE_HEADER : self.lower - (self.lower % 4)]):
            start, length = pointer & 0x7FFF, pointer >> 17
            if pointer >> 15 & 3 == _NORMAL and start >= PAGE_HEADER and length >= 8 and start + length <= PAGE:
                yield self.data[start : start + length]
