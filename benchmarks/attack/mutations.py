"""Changes of a file, byte by byte and page by page: for whatever is kept in a SQLite file."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

MOST: Final = 100_000_000
"""Bytes of a file whose bytes are changed."""
Mutation = Callable[[Path, random.Random], str]
"""Changes a file; says how."""


def of_bytes(change: Callable[[bytearray, random.Random], str]) -> Mutation:
    def mutation(path: Path, dice: random.Random) -> str:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST:
            return "left as it is"
        content = bytearray(path.read_bytes())
        how = change(content, dice) if content else "it is empty"
        path.write_bytes(content)
        return how

    return mutation


def flipped(content: bytearray, dice: random.Random) -> str:
    places = [dice.randrange(len(content)) for _ in range(dice.choice((1, 3, 30, 1000)))]
    for place in places:
        content[place] = dice.randrange(256)
    return f"{len(places)} bytes are others, at {places[0]}..."


def header(content: bytearray, dice: random.Random) -> str:
    place = dice.randrange(min(100, len(content)))
    content[place] = dice.choice((0, 1, 2, 255, dice.randrange(256)))
    return f"byte {place} of the header is {content[place]}"


def cut(content: bytearray, dice: random.Random) -> str:
    at = dice.choice((0, 1, 15, 16, 99, 100, 512, 4096, dice.randrange(len(content))))
    del content[at:]
    return f"cut at {at}"


def page(content: bytearray, dice: random.Random) -> str:
    page = dice.randrange(max(len(content) // 4096, 1))
    filling = dice.choice((b"\0", b"\xff", b"A"))
    content[page * 4096 : (page + 1) * 4096] = filling * len(content[page * 4096 : (page + 1) * 4096])
    return f"page {page + 1} is all {filling!r}"


def swapped(content: bytearray, dice: random.Random) -> str:
    pages = len(content) // 4096
    one, other = (dice.randrange(1, max(pages, 2)) * 4096 for _ in range(2))
    content[one : one + 4096], content[other : other + 4096] = content[other : other + 4096], content[one : one + 4096]
    return f"pages {one // 4096 + 1} and {other // 4096 + 1} are swapped"


def text(content: bytearray, dice: random.Random) -> str:
    content[:] = dice.choice((b"this is text\n" * 500, b"\0" * 9000, dice.randbytes(9000)))
    return f"it is {bytes(content[:12])!r}..."


OF_BYTES: Final = tuple(map(of_bytes, (flipped, header, cut, page, swapped, text)))
