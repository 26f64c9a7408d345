"""The segments of full-text indexes (FTS5)."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from engine.targets.sqlite.connection.names import quote
from engine.targets.sqlite.reading.catalog import Segments
from engine.targets.sqlite.reading.virtual import made_with

# From one segment to the next, and to the last page of each: however long they are.
_SEGMENTS: Final = """
WITH RECURSIVE segment(id) AS (
    SELECT min(segid) FROM {shadow}
    UNION ALL
    SELECT (SELECT min(segid) FROM {shadow} WHERE segid > id) FROM segment WHERE id IS NOT NULL
)
SELECT count(id), coalesce(sum((SELECT pgno >> 1 FROM {shadow} WHERE segid = id ORDER BY term DESC LIMIT 1)), 0)
FROM segment
"""


async def fts5_segments(
    read: Callable[[str], Awaitable[list[Any]]], virtual_tables: Iterable[tuple[str, str | None]]
) -> dict[str, Segments | None]:
    """The segments of each full-text index among these tables, which come with their SQL; None of one that cannot be
    read: a check tells why. `read` raises sqlite3.Error."""
    return {name: await _segments_of(read, name) for name, _ in made_with(frozenset({"fts5"}), virtual_tables)}


async def _segments_of(read: Callable[[str], Awaitable[list[Any]]], name: str) -> Segments | None:
    try:
        ((number, pages),) = await read(_SEGMENTS.format(shadow=f"main.{quote(name + '_idx')}"))
    except sqlite3.Error:
        return None
    return Segments(number=number, pages=pages)
