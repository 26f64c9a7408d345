"""Waiting that a cancel does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


async def wait_uncancelled(running: Coroutine[Any, Any, _T]) -> _T:
    """The result of `running`, also where the task that awaits it is cancelled meanwhile: that comes too late."""
    task = asyncio.ensure_future(running)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()
