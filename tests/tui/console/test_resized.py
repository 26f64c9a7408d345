"""A console that gets another size: what the cursor is on stays in view."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_completed_job, entry, open_console
from tui.console.context import FEW_TARGETS
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.line_view import LineView

MANY = 15


def cursor_is_in_view(console: Console, selector: str) -> bool:
    view = console.app.screen.query_one(selector, LineView)
    return 0 <= view.cursor - view.scroll_offset.y < view.scrollable_content_region.height


async def shrink(console: Console) -> None:
    await console.pilot.resize_terminal(60, 15)
    await console.until(lambda: console.app.screen.size.height == 15)


@pytest.mark.parametrize(("key", "down", "selector"), [("1", 3, "#targets"), ("3", 7, "#jobs"), ("h", 13, "#history")])
async def test_the_row_of_the_cursor_is_in_view_in_a_smaller_window(
    key: str, down: int, selector: str, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    for _ in range(MANY):
        await add_completed_job(seeded.store, seeded.owner, clock)
    targets = [entry(), *(entry(f"gone-{number}.db") for number in range(FEW_TARGETS - 1))]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        await console.press(key, *["down"] * down)
        assert cursor_is_in_view(console, selector)
        await shrink(console)
        assert cursor_is_in_view(console, selector)


async def test_an_operation_is_in_view_in_a_smaller_window(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("2", "G")
        operation = console.app.screen.query_one("#operations", ItemList).key
        await shrink(console)
        assert console.app.screen.query_one("#operations", ItemList).key == operation
        assert cursor_is_in_view(console, "#operations")


async def test_a_word_is_whole_in_a_narrower_window(sales: Path, clock: Clock) -> None:
    async with open_console(sales.with_name("jobs.db"), entry(), clock=clock, size=(160, 50)) as console:
        said = "A sentence that is longer than the sixty cells of a window into which it does not fit in one line."
        console.app.context.tell(said)
        await console.settle()
        await shrink(console)
        assert console.message == said
        assert max(map(len, console.lines("#message"))) <= 60
