"""A task in the background that ends by an error says so, while the block goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.system.background import in_background

if TYPE_CHECKING:
    import pytest


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
