"""The pages of a SQLite file, to be found and spoilt: https://www.sqlite.org/fileformat.html"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.corpus.case import Spoil

INTERIOR_INDEX: Final = 2
INTERIOR_TABLE: Final = 5
LEAF_INDEX: Final = 10
LEAF_TABLE: Final = 13
FILE_HEADER: Final = 100


class Pages:
    """All pages of a file that nobody has open; they are numbered from 1."""

    def __init__(self, path: Path) -> None:
        self.data = bytearray(path.read_bytes())
        size = self.number(16, 2)
        self.size = 65536 if size == 1 else size
        self._roots = _roots(path)

    @property
    def count(self) -> int:
        return len(self.data) // self.size

    def number(self, offset: int, width: int) -> int:
        return int.from_bytes(self.data[offset : offset + width], "big")

    def put(self, offset: int, value: int, width: int) -> None:
        self.data[offset : offset + width] = value.to_bytes(width, "big")

    def start(self, page: int) -> int:
        """The offset of a page in the file."""
        return (page - 1) * self.size

    def header(self, page: int) -> int:
        """The offset of its b-tree header."""
        return self.start(page) + (FILE_HEADER if page == 1 else 0)

    def content(self, page: int) -> bytes:
        return bytes(self.data[self.start(page) : self.start(page) + self.size])

    def fill(self, page: int, content: bytes) -> None:
        assert len(content) == self.size
        self.data[self.start(page) : self.start(page) + self.size] = content

    def kind(self, page: int) -> int:
        return self.data[self.header(page)]

    def cells(self, page: int) -> list[int]:
        """The offsets of its cells in the file."""
        header = self.header(page)
        first = header + (12 if self.kind(page) in {INTERIOR_INDEX, INTERIOR_TABLE} else 8)
        return [self.start(page) + self.number(first + 2 * i, 2) for i in range(self.number(header + 3, 2))]

    def root(self, name: str) -> int:
        return self._roots[name]

    def tree(self, name: str) -> Iterator[int]:
        """The pages of a table or index, each before those below it."""
        waiting = [self.root(name)]
        while waiting:
            page = waiting.pop(0)
            yield page
            if self.kind(page) in {INTERIOR_INDEX, INTERIOR_TABLE}:
                waiting += [*(self.number(cell, 4) for cell in self.cells(page)), self.number(self.header(page) + 8, 4)]

    def leaves(self, name: str) -> list[int]:
        return [page for page in self.tree(name) if self.kind(page) in {LEAF_INDEX, LEAF_TABLE}]

    def interior(self, name: str) -> int:
        """An inner page of it that is not its root."""
        return next(p for p in self.tree(name) if p != self.root(name) and self.kind(p) in {2, 5})

    def overflow(self, name: str) -> list[int]:
        """The pages that hold the rest of its first row, one that is too long for a page."""
        # Rows are put into a page from its end on, and what does not fit ends with the number of the next page.
        leaf = self.leaves(name)[0]
        found, page = [], self.number(self.start(leaf + 1) - 4, 4)
        while page:
            found.append(page)
            page = self.number(self.start(page), 4)
        return found

    def trunks(self) -> list[int]:
        """The pages that list the free ones."""
        found, page = [], self.number(32, 4)
        while page:
            found.append(page)
            page = self.number(self.start(page), 4)
        return found


def _roots(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as db:
        return {"sqlite_schema": 1, **dict(db.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0"))}


def paged(change: Callable[[Pages], object]) -> Spoil:
    """Change the pages of a file."""

    def spoil(path: Path) -> None:
        pages = Pages(path)
        change(pages)
        path.write_bytes(pages.data)

    return spoil


def patched(offset: int, form: str, *values: int) -> Spoil:
    """Write these numbers, laid out as `struct` says, over what is there."""
    return patched_bytes(offset, struct.pack(form, *values))


def patched_bytes(offset: int, data: bytes) -> Spoil:
    def spoil(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    return spoil
