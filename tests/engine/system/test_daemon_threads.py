"""Calls that may never return: so many at most, and what they give or raise comes back."""

from __future__ import annotations

import asyncio
import threading
import weakref

import pytest

from engine.system.daemon_threads import DaemonThreads


class Mark:
    """Gone when its thread has ended."""


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


async def test_a_thread_is_kept_for_the_next_call_and_ends_with_who_started_it() -> None:
    threads, ended, in_thread = DaemonThreads(2), threading.Event(), threading.local()

    def begin() -> int:
        in_thread.mark = Mark()
        weakref.finalize(in_thread.mark, ended.set)
        return threading.get_ident()

    first = await threads.run(begin)
    assert [await threads.run(threading.get_ident) for _ in range(3)] == [first] * 3
    assert not ended.is_set()
    del threads
    assert await asyncio.to_thread(ended.wait, 60)
