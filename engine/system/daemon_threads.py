"""Threads for calls that may never return, as of a hanging disk: so many at most, and no exit waits for them."""

from __future__ import annotations

import _thread
import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

_T = TypeVar("_T")


class DaemonThreads:
    """A call beyond the limit waits until another one returns. Threads are kept for the next calls, while this is."""

    def __init__(self, limit: int) -> None:
        self._room = asyncio.Semaphore(limit)
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._started = 0
        self._idle = 0

    def __del__(self) -> None:
        for _ in range(self._started):
            self._calls.put(None)

    async def run(self, call: Callable[[], _T]) -> _T:
        """Run a call in a thread, and return its result or raise its exception.

        If this is cancelled, the call goes on, and what it gives is dropped.
        """
        await self._room.acquire()
        loop = asyncio.get_running_loop()
        result: asyncio.Future[_T] = loop.create_future()

        def deliver(finish: Callable[[], None]) -> None:
            self._idle += 1
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

        if self._idle:
            self._idle -= 1
        else:
            self._start()
        self._calls.put(work)
        return await result

    def _start(self) -> None:
        try:
            _thread.start_new_thread(_work_on, (self._calls,))  # that of `threading` would hold this one until it runs
        except RuntimeError:  # the system has no thread left
            self._room.release()
            raise
        self._started += 1


def _work_on(calls: SimpleQueue[Callable[[], None] | None]) -> None:
    while (call := calls.get()) is not None:
        call()
        del call  # it holds who started this thread
