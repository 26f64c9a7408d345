"""Indexes that may not be needed: a DBA decides about them, and nothing here drops any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from engine.domain.frozen import frozen
from engine.targets.postgres.queries import query
from engine.targets.postgres.reading.reader import Reader
from engine.targets.postgres.reading.relations import LEFTOVER


@frozen
class Duplicate:
    """An index that does the same as another."""

    schema: str
    name: str
    same_as: str
    bytes: int


@frozen
class UnusedIndex:
    """An index that no query has used since the server counts uses."""

    schema: str
    name: str
    bytes: int
    since: datetime
    """When the server began to count the uses of the index."""
    counted_for: float
    """The seconds for which the server has counted."""


@frozen(kw_only=True)
class NeedlessIndexes:
    duplicates: Sequence[Duplicate] = ()
    prefixes: Sequence[Duplicate] = ()
    """Indexes whose keys are the first keys of another index."""
    unused: Sequence[UnusedIndex] = ()


NONE_NEEDLESS: Final = NeedlessIndexes()


async def needless_indexes(reader: Reader) -> NeedlessIndexes:
    """Raises TargetError."""
    return NeedlessIndexes(
        duplicates=[
            Duplicate(*row) for row in await reader.rows(query("duplicate_indexes", leftover=LEFTOVER), row=Duplicate)
        ],
        prefixes=[Duplicate(*row) for row in await reader.rows(query("prefix_indexes"), row=Duplicate)],
        unused=[UnusedIndex(*row) for row in await reader.rows(query("unused_indexes"), row=UnusedIndex)],
    )
