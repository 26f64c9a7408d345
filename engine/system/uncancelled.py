"""Waiting for what must end, also while this is being cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")
_NUDGE_INTERVAL: Final = 0.02


async def wait_uncancelled(future: asyncio.Future[T], nudge: Callable[[], Awaitable[None]] | None = None) -> T:
    """The result of `future`, which is waited for even when cancelled, with a `nudge` now and then.

    Raises asyncio.CancelledError at the end if it was cancelled while it waited.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            if nudge is not None:
                await nudge()
            await asyncio.wait({future}, timeout=_NUDGE_INTERVAL if nudge else None)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # retrieved here, so that asyncio does not report it as lost
        raise cancelled
    return future.result()
