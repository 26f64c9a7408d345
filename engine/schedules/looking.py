"""Tells how many targets have been inspected while a night is planned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

Tell = Callable[[int, int], None]
"""Called with how many targets are inspected, and of how many."""


def counting(work: Callable[[S], Awaitable[T]], total: int, tell: Tell | None) -> Callable[[S], Awaitable[T]]:
    """Wrap `work` on a target, so that it is counted when it ends."""
    if tell is None:
        return work
    ended = count(1)

    async def counted(target: S) -> T:
        try:
            return await work(target)
        finally:
            tell(next(ended), total)

    return counted
