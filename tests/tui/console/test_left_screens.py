"""A screen that was left is gone from memory, with what was drawn of it."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
from textual.screen import Screen
from textual.widget import Widget

from tests.tui.console.harness import Clock, entry, open_console

STORE = Path("jobs.db")


@pytest.mark.parametrize("key", ["h", "f", "w", "question_mark", "S", "p"])
async def test_a_page_that_was_left_is_gone(clock: Clock, sales: Path, key: str) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press(key)
        assert len(console.app.screen_stack) == 2
        left: weakref.ref[Screen[object]] = weakref.ref(console.app.screen)
        drawn = [weakref.ref(widget._styles_cache) for widget in console.app.screen.walk_children(Widget)]
        await console.press("escape")
        assert len(console.app.screen_stack) == 1

        def is_gone() -> bool:
            gc.collect()
            return left() is None and all(lines() is None for lines in drawn)

        await console.until(is_gone)  # a cancelled timer keeps it until its time comes


async def test_a_screen_is_seen_below_a_question_and_not_below_a_page(clock: Clock, sales: Path) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:

        def seen() -> list[bool]:
            return [screen.is_current for screen in console.app.screen_stack]

        assert seen() == [True]
        await console.press("p")
        assert seen() == [False, True]
        await console.press("colon")
        assert seen() == [False, True, True]
        await console.press("escape", "escape")
        assert seen() == [True]
