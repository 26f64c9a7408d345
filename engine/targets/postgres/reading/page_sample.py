"""A few pages of an index or of a TOAST table, read from its file: no lock is taken, no page is locked in memory.

Changes since the last checkpoint may be missing from a file. So its pages tell only how many bytes a row takes, which
hardly changes. The number of rows is known from the catalog.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from engine.domain.errors import TargetError
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.pages import PAGE, Page
from engine.targets.postgres.reading.reader import Reader

_PAGES_IN_A_FILE: Final = 131_072
_WRITTEN: Final = 0.8
"""The share of the pages that must be in the file: those of a new index may be in memory only."""


async def may_read_files(reader: Reader) -> bool:
    """Whether the role may read pages, and they are as expected. Raises TargetError."""
    (may,) = await reader.row(query("may_read_pages", page=PAGE), row=(bool,))
    return bool(may)


async def sampled_pages(reader: Reader, oid: int, pages: int, most: int) -> list[Page]:
    """At most so many pages, spread evenly over the relation, and the same ones each time; none if they cannot be read.

    The first page is left out: in an index it has no entries.
    """
    blocks = spread(pages, most)
    try:
        rows = await reader.rows_or_error(
            query("pages", page=PAGE, pages_in_a_file=_PAGES_IN_A_FILE),
            {"oid": oid, "blocks": blocks},
            row=(bytes, bytes),
            most=len(blocks),
        )
    except (psycopg.Error, TargetError):  # dropped or rewritten in between, or forbidden by the provider
        return []
    found = [page for before, after in rows if (page := Page.of(before, after)) is not None]
    return found if len(found) >= _WRITTEN * len(blocks) else []


async def first_pages(reader: Reader, oids: Sequence[int]) -> dict[int, Page]:
    """The first pages of these, if they can be read."""
    try:
        rows = await reader.rows_or_error(
            query("first_pages", page=PAGE), {"oids": list(oids)}, row=(int, bytes), most=len(oids)
        )
    except (psycopg.Error, TargetError):
        return {}
    return {oid: page for oid, data in rows if (page := Page.of(data, b"")) is not None}


def spread(pages: int, most: int) -> list[int]:
    """Block numbers from 1 on, at uneven distances: what repeats regularly must not be met each time."""
    number = min(most, pages - 1)
    return [1 + int((place + place * 0.618 % 1) * (pages - 1) / number) for place in range(number)]
