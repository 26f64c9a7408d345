"""What is looked up one after the other in one thread, as long as each takes a moment."""

from __future__ import annotations

import asyncio
import threading

import pytest

from engine.targets import host_queue
from engine.targets.host_queue import found_at_once


async def test_all_is_found_in_one_thread_but_what_is_not_known_at_once() -> None:
    threads = set[int]()

    def find(place: int) -> str | None:
        threads.add(threading.get_ident())
        return None if place == 1 else str(place)

    assert await found_at_once(3, find) == {0: "0", 2: "2"}
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert await found_at_once(0, find) == {}


async def test_after_one_that_takes_longer_no_further_one_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_queue, "MOMENT", 1e-9)  # each takes longer
    assert await found_at_once(3, str) in ({}, {0: "0"})


async def test_a_cancel_ends_the_look_after_the_one_that_is_under_way() -> None:
    began, goes_on, ended = threading.Event(), threading.Event(), threading.Event()
    places = list[int]()

    def find(place: int) -> str | None:
        places.append(place)
        began.set()
        goes_on.wait()
        ended.set()
        return None

    looking = asyncio.create_task(found_at_once(3, find))
    await asyncio.to_thread(began.wait)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    goes_on.set()
    await asyncio.to_thread(ended.wait)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert places == [0]
