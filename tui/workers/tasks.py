"""Tasks that belong together."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any, Final, TypeVar

from engine import Engine
from engine.domain.errors import StoreUnreachableError

RETRY_AFTER: Final = 0.5
"""Seconds until the server of a store that cannot be reached is tried again."""

T = TypeVar("T")
log = logging.getLogger("dbtend")


async def first_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all until the first ends, and end the others. Raises the error of any of them."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def patiently(do: Callable[[], Awaitable[T]]) -> T:
    """The result of `do`, which is done again while the server of a shared store cannot be reached."""
    while True:
        try:
            return await do()
        except StoreUnreachableError:
            await asyncio.sleep(RETRY_AFTER)


async def opened(
    opening: Callable[[], AbstractAsyncContextManager[Engine]],
    stack: AsyncExitStack,
    *stops: asyncio.Event,
    give_up_after: float = math.inf,
) -> Engine | None:
    """The engine, of a shared store once its server can be reached; None if it is to stop before that, or after so
    many seconds."""
    told, give_up = "", time.monotonic() + give_up_after
    while not any(stop.is_set() for stop in stops) and time.monotonic() < give_up:
        try:
            return await stack.enter_async_context(opening())
        except StoreUnreachableError as error:
            if str(error) != told:
                log.warning("%s; waiting for it", error)
            told = str(error)
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_AFTER):
                    await first_of(*(stop.wait() for stop in stops))
    return None
