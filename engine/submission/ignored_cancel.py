"""Waits to the end and ignores a cancel. Compare `wait_uncancelled`, which raises it at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

_T = TypeVar("_T")


async def wait_ignoring_cancel(running: Coroutine[Any, Any, _T]) -> _T:
    """The result of `running`, even if the awaiting task is cancelled."""
    task = asyncio.ensure_future(running)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    return task.result()
