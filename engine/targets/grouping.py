"""Tiny steps become one, so that many small tables take no more than their work: pure functions of all engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import add, gt
from typing import Final, TypeVar

_T = TypeVar("_T")
_SHOWN: Final = 3


def in_groups(items: Iterable[_T], costs: Callable[[_T], Sequence[float]], most: Sequence[float]) -> Iterator[list[_T]]:
    """Groups of neighbours. `costs`: what an item costs, in several measures; `most`: what a group may cost in each."""
    group: list[_T] = []
    so_far: Sequence[float] = [0.0] * len(most)
    for item in items:
        cost = costs(item)
        so_far = [*map(add, so_far, cost)]
        if group and any(map(gt, so_far, most)):
            yield group
            group, so_far = [], cost
        group.append(item)
    if group:
        yield group


def shortened(parts: Sequence[str], separator: str) -> str:
    """The first parts of the SQL of a group, and how many more there are, as a comment."""
    left = len(parts) - _SHOWN
    return separator.join(parts[:_SHOWN]) + (f" -- and {left:,} more" if left > 0 else "")
