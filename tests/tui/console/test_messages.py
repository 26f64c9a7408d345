"""A word for a moment: it is seen whole, above the footer, and moves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.console.harness import Clock, entry, open_console

Size = tuple[int, int]


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (160, 50)])
async def test_a_word_moves_nothing_and_hides_no_key(size: Size, sales: Path, clock: Clock) -> None:
    async with open_console(sales.with_name("jobs.db"), entry(), clock=clock, size=size) as console:
        screen = console.app.screen
        panes = list(screen.query("#targets, #operations, #jobs, #detail, #footer"))
        places = [pane.region for pane in panes]
        await console.press("t")
        assert console.message
        message = screen.query_one("#message").region
        assert (message.width, message.bottom) == (size[0], size[1] - 1)
        assert [pane.region for pane in panes] == places
        await console.press("j")
        assert not screen.query_one("#message").region


async def test_a_word_on_what_is_being_typed_leaves_it_in_sight(sales: Path, clock: Clock) -> None:
    async with open_console(sales.with_name("jobs.db"), entry(), clock=clock) as console:
        await console.press("h", "/", *"status:x")
        assert console.message
        message, typed = (console.app.screen.query_one(name).region for name in ("#message", "#typed"))
        assert message.bottom == typed.y
