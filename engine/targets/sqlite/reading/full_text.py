"""The segments of full-text indexes (FTS5), and how many words they cover."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.queries import query
from engine.targets.sqlite.reading import catalog
from engine.targets.sqlite.reading.catalog import Segments, Texts
from engine.targets.sqlite.reading.virtual import is_contentless, made_with

_AVERAGES: Final = "SELECT block FROM {data} WHERE id = 1"
_MOST_AVERAGES: Final = 100
"""Indexes that are looked at: of very many, each is small."""


async def fts5_segments(
    read: Callable[[str], Awaitable[list[Any]]], virtual_tables: Iterable[tuple[str, str | None]]
) -> dict[str, Segments | None]:
    """The segments of each full-text index among these tables, which come with their SQL; None of one that cannot be
    read: a check tells why. `read` raises sqlite3.Error."""
    return {name: await _segments_of(read, name) for name, _ in made_with(frozenset({"fts5"}), virtual_tables)}


async def _segments_of(read: Callable[[str], Awaitable[list[Any]]], name: str) -> Segments | None:
    try:
        if not await read(catalog.stored_table(f"{name}_idx")):
            return None
        ((number, pages),) = await read(query("full_text_segments", shadow=f"main.{quote(name + '_idx')}"))
    except sqlite3.Error:
        return None
    return Segments(number=number, pages=pages)


async def fts5_texts(
    read: Callable[[str], Awaitable[list[Any]]], virtual_tables: Iterable[tuple[str, str | None]], most: int
) -> list[Texts]:
    """What a check compares with its text, of the full-text indexes among these tables. `most`: the most rows or
    words that there can be. `read` raises sqlite3.Error."""
    found = []
    for name, sql in islice(made_with(frozenset({"fts5"}), virtual_tables), _MOST_AVERAGES):
        if is_contentless(sql):
            continue
        with suppress(sqlite3.Error):
            if not await read(catalog.stored_table(f"{name}_data")):
                continue
            for (block,) in await read(_AVERAGES.format(data=f"main.{quote(name + '_data')}")):
                if numbers := list(varints(block) if isinstance(block, bytes) else ()):
                    found.append(Texts(min(numbers[0], most), min(sum(numbers[1:]), most)))
    return found


def varints(block: bytes) -> Iterator[int]:
    """The numbers in a block, as SQLite writes them: seven bits of each byte, and all eight of a ninth one."""
    number = length = 0
    for byte in block:
        length += 1
        number = number << 8 | byte if length == 9 else number << 7 | byte & 0x7F
        if byte < 0x80 or length == 9:
            yield number
            number = length = 0
