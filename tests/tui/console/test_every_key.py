"""Every key reaches its action; every screen has a snapshot without colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from textual.app import App
from textual.screen import Screen

from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, add_completed_job, add_failed_job, entry, open_console
from tui.console import keymap
from tui.console.actions import ACTIONS, BY_ID, Place

WAY: dict[Place, tuple[str, ...]] = {
    Place.MAIN: (),
    Place.TARGETS: ("1",),
    Place.TARGET: ("1",),
    Place.FLEET: ("f",),
    Place.SCHEDULES: ("S",),
    Place.OPERATIONS: ("2",),
    Place.JOBS: ("3",),
    Place.ROWS: ("3",),
    Place.TREE: ("3",),
    Place.HISTORY: ("h",),
    Place.PAGE: ("3", "enter"),
    Place.JOB_PAGE: ("3", "enter"),
    Place.PAGE_MAP: ("1", "M"),
    Place.PLAN: ("r",),
    Place.PALETTE: ("colon",),
    Place.QUESTION: ("P",),
    Place.ENTRY: ("h", "slash"),
    Place.LIST: ("3",),
    Place.EVERYWHERE: ("3",),
}
"""Which keys lead to each place, but for the form: without a config file there is none, and it has tests of its own."""
ELSEWHERE = {"sample", "confirm", "keep", "do-command"}
"""Only without any target; and enter in an input, which is Textual's own."""


@pytest.mark.parametrize("way", sorted(set(WAY.values())), ids=" ".join)
async def test_keys(way: Sequence[str], sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, saved=None) as console:
        await console.press(*way)
        await console.until(lambda: console.app.screen is not None)
        bound = console.app.screen.active_bindings
        for action in ACTIONS:
            if WAY.get(action.place) != way or action.id in ELSEWHERE:
                continue
            for key in keymap.keys_of(action.id):
                found = bound[key].binding
                assert found.id == (action.same_key_as or action.id), key
                assert found.action.rpartition(".")[2] == action.call.rpartition(".")[2], key


def test_every_place_is_gone_to() -> None:
    assert set(WAY) == set(Place) - {Place.TYPED, Place.FORM}


@pytest.mark.parametrize("way", [(), ("f",), ("h",), ("S",), ("w",), ("3", "enter"), ("1", "M"), ("r",)], ids=" ".join)
async def test_help_names_no_key_that_does_nothing_here(
    way: Sequence[str], sales: Path, seeded: Seeded, clock: Clock
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=(120, 40)) as console:
        await console.press(*way)
        here = [console.app, console.app.screen, *console.app.screen.walk_children()]
        bound = {binding.id for node in here for _, binding in node._bindings}
        await console.press("question_mark")
        lines = [f"{' '.join(line.split())} " for line in console.lines("#page")]
        heads = {name: f"{' '.join(keymap.shown_keys(name))} {name} " for name in BY_ID}
        named = {name for name, head in heads.items() if any(line.startswith(head) for line in lines)}
        typing = {action.id for action in ACTIONS if action.place is Place.ENTRY}
        assert {BY_ID[name].same_key_as or name for name in named} <= bound | typing
        assert {"f": "fleet", "h": "history", "S": "schedules", "w": "workers"}.get("".join(way)) not in named
        assert {"help", "quit"} <= named


SCREENS = {
    "main": (),
    "jobs": ("3", "l", "down"),
    "plan": ("r",),
    "job": ("3", "G", "enter"),
    "history": ("h",),
    "history with a filter": ("h", "slash", *"status:failed"),
    "find": ("3", "G", "enter", "slash", *"REINDEX", "enter"),
    "workers": ("w",),
    "help": ("question_mark",),
    "commands": ("colon", *"theme"),
    "question": ("3", "g", "t"),
    "marks": ("3", "space", "space"),
    "zoomed": ("3", "plus"),
}


@pytest.mark.parametrize("name", SCREENS)
async def test_without_colours(
    name: str,
    sales: Path,
    seeded: Seeded,
    clock: Clock,
    looks_right: Callable[[App[None]], bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await add_completed_job(seeded.store, seeded.owner, clock)
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(label="PROD"), clock=clock, theme=None) as console:
        await console.press(*SCREENS[name])
        if name.startswith("history"):
            await console.until(lambda: not any("…" in line for line in console.lines("#history")))
        assert has_no_colour(console.app.screen)
        assert looks_right(console.app)


def has_no_colour(screen: Screen[object]) -> bool:
    """Whether nothing that is drawn has a colour of its own, after what the app filters out."""
    size = screen.size
    for strip in screen._compositor.render_strips():
        for _, style, _ in strip.crop(0, size.width):
            if style is not None and any(c is not None and not c.is_default for c in (style.color, style.bgcolor)):
                return False
    return True
