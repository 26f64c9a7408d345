"""Calls that may never return: so many at most, and what they give or raise comes back."""

from __future__ import annotations

import asyncio
import threading

import pytest

from engine.system.daemon_threads import DaemonThreads


async def test_a_call_gives_what_it_returns_or_raises() -> None:
    threads = DaemonThreads(1)
    assert await threads.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    assert await threads.run(lambda: threading.current_thread().daemon)


async def test_a_call_beyond_the_limit_waits_until_one_that_nobody_waits_for_any_more_returns() -> None:
    threads, begun, go_on = DaemonThreads(1), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hangs() -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait()

    first = asyncio.create_task(threads.run(hangs))
    await begun.wait()
    first.cancel()
    second = asyncio.create_task(threads.run(lambda: 7))
    await asyncio.wait({first})
    assert not second.done()
    go_on.set()
    assert await second == 7
