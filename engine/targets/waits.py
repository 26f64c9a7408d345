"""Waiting: for the first of several events, for other jobs, and for a lock that is not had in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

MOMENT: Final = 0.03
"""Seconds in which most tasks are done: for these no event is waited for."""


OthersLookup = Callable[[], Awaitable[bool]]


async def no_others() -> bool:
    """An `OthersLookup` without other jobs."""
    return False


def no_lock(waited: float, holders: str) -> str:
    """Why a step failed that did not get its lock in `waited` seconds. `holders`: who held it, as text."""
    return f"it waited {waited:g} s for its lock: {holders or 'held by another session'}"


async def first_of(
    *events: asyncio.Event, task: asyncio.Future[Any] | None = None, timeout: float | None = None
) -> None:
    """Wait until one of the events is set, the task is done, or `timeout` seconds have passed."""
    if task is not None and timeout is None and not any(event.is_set() for event in events):
        await asyncio.wait({task}, timeout=MOMENT)
        if task.done():
            return
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait({*waits, *filter(None, [task])}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
