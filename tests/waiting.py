"""Waiting for what no event tells of: look again and again until it is so. Other tests do not sleep: see
`tests/test_sleeps.py`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
PATIENCE = 120.0
SHORTEST, LONGEST = 0.005, 0.25


def _nothing_more() -> object:
    return "it does not come true"


def wait_until(
    condition: Callable[[], T | None], *, otherwise: Callable[[], object] = _nothing_more, patience: float = PATIENCE
) -> T:
    """What the condition returns, as soon as that counts as true.

    `otherwise`: what to say if it does not within `patience`, in seconds.
    """
    looks = _Looks(otherwise, patience)
    while not (found := condition()):
        time.sleep(looks.pause())
    return found


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]], *, otherwise: Callable[[], object] = _nothing_more
) -> T: ...


@overload
async def eventually(condition: Callable[[], T | None], *, otherwise: Callable[[], object] = _nothing_more) -> T: ...


async def eventually(condition: Callable[[], Any], *, otherwise: Callable[[], object] = _nothing_more) -> Any:
    """The same while the event loop goes on."""
    looks = _Looks(otherwise, PATIENCE)
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        await asyncio.sleep(looks.pause())


class _Looks:
    """A look that is expensive is rarer: what it waits for needs the processor."""

    def __init__(self, otherwise: Callable[[], object], patience: float) -> None:
        self._otherwise, self._began = otherwise, time.monotonic()
        self._give_up = self._began + patience

    def pause(self) -> float:
        """Seconds until the next look."""
        now = time.monotonic()
        assert now < self._give_up, self._otherwise()
        seconds = min(max(SHORTEST, 5 * (now - self._began)), LONGEST)
        self._began = now + seconds
        return seconds
