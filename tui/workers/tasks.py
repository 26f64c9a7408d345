"""Tasks that belong together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from engine.domain.errors import StoreUnreachableError

RETRY_AFTER: Final = 0.5
"""Seconds until the server of a store that cannot be reached is tried again."""

T = TypeVar("T")


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
