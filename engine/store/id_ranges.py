"""The walk through the ids of a history, newest first."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Iterator
from typing import Final

GROWTH: Final = 4


def id_ranges(oldest: int, newest: int, *, first: int, largest: int) -> Iterator[tuple[int, int]]:
    """Ranges of ids from the newest to the oldest, the lower end first. The first has `first` ids; they grow to
    `largest`."""
    high, size = newest, first
    while high >= oldest:
        low = max(high - size + 1, oldest)
        yield low, high
        high, size = low - 1, min(size * GROWTH, largest)


async def first_ids(portions: AsyncIterator[array[int]], limit: int) -> array[int]:
    """The first ids of a search, at most `limit`."""
    found: array[int] = array("q")
    async for ids in portions:
        found += ids
        if len(found) >= limit:
            break
    return found[:limit]
