"""Keys that come in one burst: each is for what the one before it has begun."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events

from engine.config.config_file import ConfigFile
from engine.config.model import Config
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_failed_job, entry, open_console
from tui.console.saved_targets import SavedTargets


def burst(console: Console, text: str) -> None:
    """All at once, as a slow line brings them."""
    for char in text:
        key = {"/": "slash", ":": "colon", "\n": "enter"}.get(char, char)
        console.app.post_message(events.Key(key, char if char.isprintable() else None))


async def test_what_is_typed_after_a_slash_is_the_filter(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("h")
        await console.until(lambda: not any("…" in line for line in console.lines("#history")))
        burst(console, "/type")
        await console.until(lambda: "type" in str(console.app.screen.query_one("#history").border_subtitle))
        assert console.screen_name == "HistoryScreen"
        assert len(await console.engine.history()) == 1


@pytest.mark.parametrize("typed", [":1\n", ":1.1\n"])
async def test_what_is_typed_after_a_colon_is_the_command(
    typed: str, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        burst(console, typed)
        await console.until(lambda: console.screen_name == "JobScreen")


async def test_what_is_typed_after_a_key_that_opens_the_form_is_in_it(
    sales: Path, seeded: Seeded, clock: Clock, tmp_path: Path
) -> None:
    saved = SavedTargets(ConfigFile(tmp_path / "config.toml"), Config())
    async with open_console(seeded.path, entry(), clock=clock, saved=saved) as console:
        burst(console, "1A/srv/tt.db")
        await console.until(lambda: console.screen_name == "TargetFormScreen")
        await console.until(lambda: console.app.screen.query_one("#url").value == "/srv/tt.db")  # type: ignore[attr-defined]


async def test_a_key_after_which_nothing_comes_does_not_hold_up_the_next(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        burst(console, "hq" * 20 + "w")
        await console.until(lambda: console.screen_name == "WorkersScreen")


async def test_production_is_not_run_once_more_at_the_press_of_a_key(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    production = entry("app", label="PROD").__class__(name="app", url="sqlite:///app.db", label="PROD")
    async with open_console(seeded.path, production, clock=clock) as console:
        await console.press("3", "t", "y", "enter")
        assert len(await console.engine.history()) == 1
        assert console.screen_name == "TypedConfirmScreen"
        assert console.lines("#error") == ["That is not app. Nothing was done."]
        assert "Type app to confirm:" in console.lines("#text")
