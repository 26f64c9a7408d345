"""A window that is too small shows only that, and its keys change nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_running_job, entry, open_console
from tui.console import keymap
from tui.console.actions import ACTIONS

OUT = {"quit", "leave-console", "suspend"}
HERE: dict[str, tuple[str, ...]] = {
    "main": (),
    "job": ("3", "enter"),
    "history": ("h",),
    "question": ("3", "c"),
    "plan": ("p",),
    "commands": ("colon", *"theme"),
}


async def make_too_small(console: Console, size: tuple[int, int] = (59, 15)) -> None:
    await console.pilot.resize_terminal(*size)
    await console.until(lambda: console.app.focused is None)


@pytest.mark.parametrize("size", [(59, 24), (80, 14)])
@pytest.mark.parametrize("here", HERE)
async def test_no_key_acts_unseen(here: str, size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock) -> None:
    parent_id = await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press(*HERE[here])
        screens, before = list(console.app.screen_stack), (console.app.theme, console.app.context.feed.refresh)
        await make_too_small(console, size)
        for key in sorted({key for a in ACTIONS if a.id not in OUT for key in keymap.keys_of(a.id)} - {"q"}):
            await console.press(key)
        assert console.app.screen_stack == screens
        assert (console.app.theme, console.app.context.feed.refresh) == before
        assert all(child.cancel_requested_at is None for child in (await console.engine.job(parent_id)).children)
        assert not await console.engine.paused()


@pytest.mark.parametrize("here", ["question", "commands"])
async def test_a_question_does_not_hide_that_the_window_is_too_small(
    here: str, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press(*HERE[here])
        await make_too_small(console)
        assert not [widget.id for widget in console.app.screen.children if widget.display]


@pytest.mark.parametrize(("here", "focused"), [("commands", "typed"), ("question", "text"), ("job", "page")])
async def test_once_there_is_room_keys_go_where_they_went(
    here: str, focused: str, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press(*HERE[here])
        await make_too_small(console)
        await console.pilot.resize_terminal(80, 24)
        await console.until(lambda: console.app.focused is not None and console.app.focused.id == focused)


async def test_what_was_opened_meanwhile_has_its_focus_too(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await make_too_small(console)
        console.app.action_palette()
        await console.settle()
        await console.pilot.resize_terminal(80, 24)
        await console.until(lambda: console.app.focused is not None and console.app.focused.id == "typed")


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
@pytest.mark.parametrize("here", ["main", "job", "question"])
async def test_out_of_it_one_gets(here: str, key: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press(*HERE[here])
        await make_too_small(console)
        await console.pilot.press(key)
        await console.until(lambda: console.app.return_code is not None)


async def test_a_letter_that_may_have_been_meant_as_text_does_not_lead_out(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press(*HERE["commands"])
        await make_too_small(console)
        await console.press("q")
        assert console.app.return_code is None
        assert console.screen_name == "PaletteScreen"
