"""The walk through ids: those of a history, newest first, or many in parts."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Final

GROWTH: Final = 4
PORTION: Final = 100


def id_ranges(oldest: int, newest: int, *, first: int, largest: int) -> Iterator[tuple[int, int]]:
    """Ranges of ids from the newest to the oldest, the lower end first. The first has `first` ids; they grow to
    `largest`."""
    high, size = newest, first
    while high >= oldest:
        low = max(high - size + 1, oldest)
        yield low, high
        high, size = low - 1, min(size * GROWTH, largest)


def portions(ids: Collection[int]) -> Iterator[list[int]]:
    """The ids in parts, so that a read of one is soon over."""
    all_of_them = list(ids)
    return (all_of_them[begin : begin + PORTION] for begin in range(0, len(all_of_them), PORTION))


async def first_ids(search: AsyncIterator[array[int]], limit: int) -> array[int]:
    """The first ids of a search, at most `limit`."""
    first: array[int] = array("q")
    async for ids in search:
        first += ids
        if len(first) >= limit:
            break
    return first[:limit]
