"""A task in the background that ends by an error says so, while the block goes on; a cancel is postponed, not lost."""

from __future__ import annotations

import asyncio

import pytest

from engine.system.background import in_background, wait_postponing_cancel
from tests.waiting import eventually


async def test_an_error_that_ends_it_is_logged_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ZeroDivisionError("division by zero")

    async with in_background(work(), "counting"):
        while not caplog.records:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert "counting has ended" in caplog.text
        assert "ZeroDivisionError" in caplog.text


async def test_it_ends_with_its_block_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with in_background(work(), "counting"):
        await begun.wait()
    assert cancelled.is_set()
    assert caplog.text == ""


async def test_what_is_to_begin_later_is_not_begun_where_the_block_is_over_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()

    async with in_background(work(), "counting", after=3600):
        await asyncio.sleep(0)
    assert not begun.is_set()
    async with in_background(work(), "counting", after=0.001):
        await begun.wait()
    assert caplog.text == ""


@pytest.mark.parametrize("times", [1, 2])
async def test_a_cancel_during_work_that_must_end_comes_at_the_next_wait(times: int) -> None:
    work, ended = Work(), list[int]()

    async def loop() -> None:
        while True:
            ended.append(await wait_postponing_cancel(work.done()))
            await asyncio.sleep(0)

    looping = asyncio.create_task(loop())
    await work.begun.wait()
    for _ in range(times):
        looping.cancel()
        await asyncio.sleep(0)
    assert not looping.done()
    work.may_end.set()
    done, _ = await asyncio.wait({looping}, timeout=10)
    assert done == {looping}
    assert looping.cancelled()
    assert ended == [1]


async def test_a_result_that_nothing_follows_is_not_lost_by_a_cancel() -> None:
    work = Work()
    working = asyncio.create_task(wait_postponing_cancel(work.done()))
    await work.begun.wait()
    working.cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    assert await working == 1


async def test_a_time_limit_that_passed_during_such_work_disturbs_nothing_after_it() -> None:
    work = Work()

    async def limited() -> int:
        async with limit:
            result = await wait_postponing_cancel(work.done())
        for _ in range(5):
            await asyncio.sleep(0)
        return result

    limit = asyncio.timeout(0)
    working = asyncio.create_task(limited())
    await work.begun.wait()
    await eventually(limit.expired)
    work.may_end.set()
    assert await working == 1


async def test_a_cancel_beside_a_time_limit_that_passed_comes_nevertheless() -> None:
    work = Work()

    async def limited() -> None:
        async with limit:
            await wait_postponing_cancel(work.done())
        await asyncio.Event().wait()

    limit = asyncio.timeout(0)
    working = asyncio.create_task(limited())
    await work.begun.wait()
    await eventually(limit.expired)
    working.cancel()
    await asyncio.sleep(0)
    work.may_end.set()
    done, _ = await asyncio.wait({working}, timeout=10)
    assert done == {working}
    assert working.cancelled()


class Work:
    """What ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()

    async def done(self) -> int:
        self.begun.set()
        await self.may_end.wait()
        return 1
