"""What waits in GIN indexes to be put in place, and how much of their tables BRIN indexes do not cover."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.domain.frozen import frozen
from engine.targets.postgres.connection.names import quote
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.page_sample import first_pages, may_read_files
from engine.targets.postgres.reading.pages import PAGE
from engine.targets.postgres.reading.reader import Reader

MOST: Final = 1000
"""GIN indexes whose pending list is read, the largest ones."""


@frozen
class IndexUpkeep:
    """Work of VACUUM on one index that can be done without the rest of it."""

    index: int
    method: str
    table: int
    table_pages: int
    waiting: int
    """Bytes: of the pending list of a GIN index, or of the part of the table that a BRIN index does not cover."""
    file_lag: float = 0.0
    """Seconds for which a change may be missing from the file that this was read from; 0 where it was not."""


_PENDING_PAGES: Final = 36
"""Where the first page of a GIN index has the number of pages of its pending list."""


async def index_upkeep(reader: Reader) -> list[IndexUpkeep]:
    """Raises TargetError."""
    rows = await reader.rows(query("index_upkeep"), row=(int, str, int, int, int, float | None, float))
    found = [(IndexUpkeep(*row[:5]), row[5], row[6]) for row in rows]
    brin = [one for one, _, _ in found if one.method == "brin" and one.waiting]
    gin = [one for one in found if one[0].method == "gin"][:MOST]
    if not gin:
        return brin
    oids = [one.index for one, _, _ in gin]
    if schema := await reader.rows(query("pgstatginindex"), row=(str,)):
        function = f"{quote(schema[0][0])}.pgstatginindex"
        pending = f"SELECT oid, (SELECT pending_pages::int8 FROM {function}(oid::oid)) FROM unnest(%s::int8[]) AS oid"
        with contextlib.suppress(psycopg.Error, TargetError):
            measured = dict(await reader.rows_or_error(pending, [oids], row=(int, int)))
            return brin + [replace(one, waiting=measured.get(one.index, 0) * PAGE) for one, _, _ in gin]
    if not await may_read_files(reader):
        return brin
    gin = [one for one in gin if one[1] is None or one[1] > one[2]]  # VACUUM has cleaned the others since
    pages = await first_pages(reader, [one.index for one, _, _ in gin])
    return brin + [
        replace(one, waiting=page.number("I", _PENDING_PAGES) * PAGE, file_lag=lag)
        for one, _, lag in gin
        if (page := pages.get(one.index)) is not None
    ]
