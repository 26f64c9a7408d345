"""Taking over what dead processes left running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from engine.errors import StoreError
from engine.store.base import Store

INTERVAL = 5.0


@asynccontextmanager
async def rescuing(store: Store) -> AsyncIterator[None]:
    """Rescue now, and every few seconds while inside. Where nobody died, nothing is written."""
    await store.rescue()
    task = asyncio.create_task(_rescue_regularly(store), name="dbtend-rescue")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _rescue_regularly(store: Store) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        with suppress(StoreError):
            await store.rescue()
