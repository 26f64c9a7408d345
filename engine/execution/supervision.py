"""What every process does for the store, whoever's jobs they are: rescue from dead processes, and time limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from engine.domain.errors import StoreError
from engine.store.protocol import OwnerSupervision

INTERVAL = 1.0
"""Seconds between two looks, at most; that the owner of a running child died is noticed in a fraction of that."""

log = logging.getLogger("dbtend")


@asynccontextmanager
async def supervising(store: OwnerSupervision) -> AsyncIterator[None]:
    """Look after the store now, and all the time while inside. Where there is nothing to do, nothing is written."""
    await _tend(store)
    task = asyncio.create_task(_supervise(store), name="dbtend-supervising")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _tend(store: OwnerSupervision) -> None:
    for job in await store.rescue():
        log.info("#%s was taken from a process that died", job)
    await store.enforce_time_limits()


async def _supervise(store: OwnerSupervision) -> None:
    while True:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):  # wait_for would not be ended where one died at that moment
                    await store.owner_died()
            await _tend(store)
        except StoreError:  # whoever uses the store learns of it; here another try follows
            await asyncio.sleep(INTERVAL)
        except Exception:  # a defect of ours must not end the rescue for good
            log.exception("the store could not be tended")
            await asyncio.sleep(INTERVAL)
