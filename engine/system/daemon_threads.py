"""Threads for calls that may never return, as of a hanging disk: so many at most, and no exit waits for them."""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")


class DaemonThreads:
    """Each call has a thread of its own; a call beyond the limit waits until another one returns."""

    def __init__(self, limit: int) -> None:
        self._room = asyncio.Semaphore(limit)

    async def run(self, call: Callable[[], _T]) -> _T:
        """Run a call in a thread, and return its result or raise its exception.

        If this is cancelled, the call goes on, and what it gives is dropped.
        """
        await self._room.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_T] = loop.create_future()

        def deliver(finish: Callable[[], None]) -> None:
            self._room.release()
            if not result.done():
                finish()

        def work() -> None:
            try:
                value = call()
            except BaseException as error:
                finish: Callable[[], None] = partial(result.set_exception, error)
            else:
                finish = partial(result.set_result, value)
            with suppress(RuntimeError):  # the loop is closed: no call waits for the result
                loop.call_soon_threadsafe(deliver, finish)

        try:
            _thread.start_new_thread(work, ())  # that of `threading` would hold this one until the new one runs
        except RuntimeError:  # the system has no thread left
            self._room.release()
            raise
        return await result
