"""Supervision of the store in every process: rescue children of dead processes, enforce time limits,
let children start whose time has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from engine.domain.errors import StoreError
from engine.system.background import in_background, pause_loop

if TYPE_CHECKING:
    from engine.store.protocol import OwnerSupervision

INTERVAL = 1.0
"""The most seconds between two rounds; the death of an owner starts one sooner."""

log = logging.getLogger("dbtend")


@asynccontextmanager
async def supervising(store: OwnerSupervision, *, early: bool = False) -> AsyncIterator[None]:
    """Supervise the store now and while inside. Without anything to do nothing is written.

    `early`: do not wait for the first time.
    """
    if not early:
        await _supervise_once(store)
    async with in_background(_supervise(store), "dbtend-supervising"):
        yield


async def _supervise_once(store: OwnerSupervision) -> None:
    for job in await store.rescue():
        log.info("#%s lost its process: a worker takes it over", job)
    await store.enforce_time_limits()
    await store.let_start()


async def _supervise(store: OwnerSupervision) -> None:
    while True:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):  # wait_for would miss a cancel if an owner dies at that moment
                    await store.owner_died()
            await _supervise_once(store)
        except StoreError:  # users of the store see the error; try again
            await pause_loop(INTERVAL)
        except Exception:  # a defect must not end supervision
            log.exception("supervision of the store failed")
            await pause_loop(INTERVAL)
