"""Damaged headers and pages, each in one way."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from tests.corpus.case import Build, Case, Spoil, Trouble, cases, script, spoilt
from tests.corpus.pages import LEAF_INDEX, Pages, paged, patched, patched_bytes

TREES: Final = """
CREATE TABLE item(id INTEGER PRIMARY KEY, code TEXT, note TEXT);
CREATE INDEX by_code ON item(code);
CREATE TABLE big(a);
CREATE TABLE gone(a);
CREATE TABLE word(w PRIMARY KEY, x) WITHOUT ROWID;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
    INSERT INTO item SELECT i, 'code ' || (i * 7919 % 300), printf('%.*c', 100 + i % 90, 'x') FROM n;
INSERT INTO big VALUES (hex(zeroblob(4000))), ('small');
INSERT INTO word SELECT code, id FROM item;
INSERT INTO gone SELECT note FROM item;
DROP TABLE gone;
"""
SOUND: Final = script(f"PRAGMA page_size = 512; {TREES}")
AUTO_VACUUM: Final = script(f"PRAGMA page_size = 512; PRAGMA auto_vacuum = INCREMENTAL; {TREES}")
IN_WAL_MODE: Final = script(f"PRAGMA page_size = 512; PRAGMA journal_mode = wal; {TREES}")
PAGE_1: Final = 100


def _header(offset: int, form: str, *values: int) -> Build:
    return spoilt(SOUND, patched(offset, form, *values))


HEADER: Final = (
    ("magic", spoilt(SOUND, patched_bytes(0, b"SQLite format 4\0"))),
    *((f"page size {size}", _header(16, ">H", size)) for size in (0, 3, 256, 1024, 4097, 32768)),
    ("read version 3", _header(19, ">B", 3)),
    ("write version 3", _header(18, ">B", 3)),
    ("read version 0", _header(18, ">BB", 0, 0)),
    ("too many reserved bytes", _header(20, ">B", 255)),
    ("a few reserved bytes that are not", _header(20, ">B", 8)),
    ("payload fractions", _header(21, ">BBB", 65, 32, 32)),
    *((f"page count {count}", _header(28, ">I", count)) for count in (0, 1, 5, 2**31, 2**32 - 1)),
    ("freelist beyond the end", _header(32, ">I", 99_999)),
    ("freelist on page 1", _header(32, ">I", 1)),
    ("free pages too few", _header(36, ">I", 1)),
    ("free pages too many", _header(36, ">I", 99_999)),
    *((f"schema format {number}", _header(44, ">I", number)) for number in (0, 5, 9)),
    ("auto_vacuum without a pointer map", _header(52, ">I", 4)),
    ("incremental without auto_vacuum", _header(64, ">I", 1)),
    *((f"text encoding {number}", _header(56, ">I", number)) for number in (0, 2, 3, 4)),
    ("header zeroed", spoilt(SOUND, patched_bytes(0, bytes(100)))),
    ("header random", spoilt(SOUND, patched_bytes(0, random.Random(1).randbytes(100)))),
    ("header random but for the magic", spoilt(SOUND, patched_bytes(16, random.Random(2).randbytes(84)))),
    ("wal mode without wanting it", _header(18, ">BB", 2, 2)),
    ("only the write version is of wal mode", _header(18, ">B", 2)),
)


def _cut(keep: Callable[[int], int]) -> Spoil:
    return lambda path: os.truncate(path, keep(path.stat().st_size))


TRUNCATED: Final = (
    *((f"cut to {size} bytes", spoilt(SOUND, _cut(partial(min, size)))) for size in (1, 16, 50, 99, 100, 511, 512)),
    ("cut by half", spoilt(SOUND, _cut(lambda size: size // 2))),
    ("cut by half, in wal mode", spoilt(IN_WAL_MODE, _cut(lambda size: size // 2))),
    ("cut by a page", spoilt(SOUND, _cut(lambda size: size - 512))),
    ("cut by a byte", spoilt(SOUND, _cut(lambda size: size - 1))),
)

PLACES: Final[Mapping[str, Callable[[Pages], int]]] = {
    "root of a table": lambda p: p.root("item"),
    "inner page of a table": lambda p: p.interior("item"),
    "leaf of a table": lambda p: p.leaves("item")[3],
    "root of an index": lambda p: p.root("by_code"),
    "leaf of an index": lambda p: p.leaves("by_code")[3],
    "leaf of a table without rowid": lambda p: p.leaves("word")[2],
    "leaf of the schema": lambda p: p.leaves("sqlite_schema")[-1],
    "overflow page": lambda p: p.overflow("big")[3],
    "freelist trunk": lambda p: p.trunks()[0],
}
FILLS: Final[Mapping[str, Callable[[Pages], bytes]]] = {
    "zeroed": lambda p: bytes(p.size),
    "all ones": lambda p: b"\xff" * p.size,
    "random": lambda p: random.Random(3).randbytes(p.size),
    "a copy of another": lambda p: p.content(p.leaves("item")[5]),
}


def _whole_pages() -> Iterator[tuple[str, Build]]:
    for place, page in PLACES.items():
        for fill, content in FILLS.items():
            yield f"{place}: {fill}", _spoilt(partial(_fill, page, content))


def _fill(page: Callable[[Pages], int], content: Callable[[Pages], bytes], pages: Pages) -> None:
    pages.fill(page(pages), content(pages))


def _spoilt(change: Callable[[Pages], object], build: Build = SOUND) -> Build:
    return spoilt(build, paged(change))


def _swap(pages: Pages) -> None:
    one, other = pages.leaves("item")[2:4]
    content = pages.content(one)
    pages.fill(one, pages.content(other))
    pages.fill(other, content)


def _in_header(name: str, field: int, width: int, value: int) -> Callable[[Pages], None]:
    """Write a number into the b-tree header of a leaf."""
    return lambda p: p.put(p.header(p.leaves(name)[3]) + field, value, width)


def _child(child: Callable[[Pages], int]) -> Callable[[Pages], None]:
    """Let the first entry of the root of the table lead somewhere else."""
    return lambda p: p.put(p.cells(p.root("item"))[0], child(p), 4)


def _in_first_cell(name: str, offset: int, data: bytes) -> Callable[[Pages], None]:
    def change(pages: Pages) -> None:
        start = pages.cells(pages.leaves(name)[3])[0] + offset
        pages.data[start : start + len(data)] = data

    return change


def _exchange_cells(name: str) -> Callable[[Pages], None]:
    """Two entries of a leaf change places, so that they are out of order."""

    def change(pages: Pages) -> None:
        pointers = pages.header(pages.leaves(name)[3]) + 8
        first, second = pages.number(pointers, 2), pages.number(pointers + 2, 2)
        pages.put(pointers, second, 2)
        pages.put(pointers + 2, first, 2)

    return change


def _next_overflow(number: Callable[[Pages], int]) -> Callable[[Pages], None]:
    return lambda p: p.put(p.start(p.overflow("big")[2]), number(p), 4)


def _in_trunk(field: int, number: Callable[[Pages], int]) -> Callable[[Pages], None]:
    return lambda p: p.put(p.start(p.trunks()[0]) + field, number(p), 4)


STRUCTURE: Final[Mapping[str, Callable[[Pages], object]]] = {
    "two leaves swapped": _swap,
    "leaf of an index in a table": lambda p: p.put(p.header(p.leaves("item")[3]), LEAF_INDEX, 1),
    "unknown kind of page": _in_header("item", 0, 1, 7),
    "free block beyond the page": _in_header("item", 1, 2, 511),
    "free block in itself": _in_header("item", 1, 2, 300),
    "too many cells": _in_header("item", 3, 2, 200),
    "65535 cells": _in_header("item", 3, 2, 65535),
    "no cells": _in_header("item", 3, 2, 0),
    "content in the header": _in_header("item", 5, 2, 3),
    "fragments": _in_header("item", 7, 1, 200),
    "cell beyond the page": _in_header("item", 8, 2, 600),
    "cell in the header": _in_header("item", 8, 2, 2),
    "two cells at one place": lambda p: p.put(p.header(p.leaves("item")[3]) + 10, 400, 2),
    "child 0": _child(lambda _: 0),
    "child beyond the end": _child(lambda p: p.count + 9),
    "child 2^32": _child(lambda _: 2**32 - 1),
    "child in a circle": _child(lambda p: p.root("item")),
    "child in another tree": _child(lambda p: p.leaves("word")[0]),
    "child twice": _child(lambda p: p.number(p.header(p.root("item")) + 8, 4)),
    "child on the freelist": _child(lambda p: p.trunks()[0]),
    "right child beyond the end": lambda p: p.put(p.header(p.root("item")) + 8, 99_999, 4),
    "key of an inner page": lambda p: p.put(p.cells(p.root("item"))[0] + 4, 1, 1),
    "size of a row": _in_first_cell("item", 0, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    "a row of 2 GB": _in_first_cell("item", 0, b"\x87\xff\xff\xff\x7f"),
    "header of a row": _in_first_cell("item", 3, b"\x7f"),
    "a kind of value that there is not": _in_first_cell("item", 5, b"\x0a\x0b"),
    "a text that is longer than its row": _in_first_cell("item", 5, b"\xff\x7f"),
    "a text that is no UTF-8": _in_first_cell("item", 8, b"\xff\xfe\xc0"),
    "rowids out of order": _exchange_cells("item"),
    "keys out of order": _exchange_cells("by_code"),
    "keys out of order, without rowid": _exchange_cells("word"),
    "key of an index": _in_first_cell("by_code", 4, b"zzz"),
    "overflow cut": _next_overflow(lambda _: 0),
    "overflow beyond the end": _next_overflow(lambda _: 99_999),
    "overflow in a circle": _next_overflow(lambda p: p.overflow("big")[0]),
    "overflow in a table": _next_overflow(lambda p: p.leaves("item")[0]),
    "freelist in a circle": _in_trunk(0, lambda p: p.trunks()[0]),
    "freelist goes on beyond the end": _in_trunk(0, lambda _: 99_999),
    "too many free pages in a trunk": _in_trunk(4, lambda _: 5000),
    "free page in use": _in_trunk(8, lambda p: p.leaves("item")[0]),
    "free page beyond the end": _in_trunk(8, lambda _: 99_999),
    "free page 0": _in_trunk(8, lambda _: 0),
    "free page twice": _in_trunk(8, lambda p: p.number(p.start(p.trunks()[0]) + 12, 4)),
    "freelist lost": lambda p: p.put(32, 0, 8),
}

POINTER_MAP: Final[Mapping[str, Callable[[Pages], object]]] = {
    "pointer map zeroed": lambda p: p.fill(2, bytes(p.size)),
    "pointer map random": lambda p: p.fill(2, random.Random(4).randbytes(p.size)),
    "kind of a page in the pointer map": lambda p: p.put(p.start(2) + 5 * 7, 9, 1),
    "parent of a page in the pointer map": lambda p: p.put(p.start(2) + 5 * 7 + 1, 3, 4),
    "largest root page": lambda p: p.put(52, 99_999, 4),
    "auto_vacuum forgotten": lambda p: p.put(52, 0, 4),
    "freelist with a pointer map": lambda p: p.fill(p.trunks()[0], b"\xff" * p.size),
}


def _at_random(seed: int, path: Path) -> None:
    """A few bytes of the file, as a bad disk or cable changes them."""
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 12)):
        start, length = chance.randrange(0 if seed % 4 == 0 else PAGE_1, len(data)), chance.choice((1, 2, 4, 512))
        data[start : start + length] = chance.randbytes(min(length, len(data) - start))
    path.write_bytes(data)


RANDOM: Final = (
    (f"random {seed}", spoilt((SOUND, IN_WAL_MODE, AUTO_VACUUM)[seed % 3], partial(_at_random, seed)))
    for seed in range(24)
)

CASES: Final[tuple[Case, ...]] = cases(
    Trouble.DAMAGED,
    (
        *((f"header: {name}", build) for name, build in HEADER),
        *TRUNCATED,
        *_whole_pages(),
        *((name, _spoilt(change)) for name, change in STRUCTURE.items()),
        *((name, _spoilt(change, AUTO_VACUUM)) for name, change in POINTER_MAP.items()),
        *RANDOM,
    ),
)
