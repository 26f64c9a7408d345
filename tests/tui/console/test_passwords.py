"""The password of a server is typed hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.widgets import Input

from engine import Operation, Status
from engine.config.config_file import ConfigFile
from engine.config.model import TargetEntry
from engine.domain import typed_passwords
from tests.postgres_databases import SECRET, Database
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.saved_targets import SavedTargets
from tui.console.screens.typed_questions import PasswordScreen

pytestmark = pytest.mark.usefixtures("no_password_is_known")


def shown(console: Console) -> str:
    """Everything that is on the screen."""
    width, _ = console.app.size
    strips = console.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip.crop(0, width)) for strip in strips)


@pytest.mark.parametrize("way", ["r", "p", "1 T"])
async def test_a_target_whose_password_is_missing_can_be_run_once_it_was_typed(
    guarded: Database, tmp_path: Path, clock: Clock, way: str
) -> None:
    shop = TargetEntry(name="shop", url=guarded.as_user("ann"), operations=(Operation.VACUUM,))
    async with open_console(tmp_path / "jobs.db", shop, clock=clock, size=(120, 40), workers=1) as console:
        await console.until(lambda: any("press T to type it" in line for line in console.lines("#operations")))
        await console.press(*way.split())
        assert console.screen_name == "PasswordScreen"
        await console.press(*"mistaken", "enter")
        await console.until(lambda: "the password that was typed is wrong" in shown(console))
        await console.press("enter")  # nothing typed is no answer
        await console.press(*SECRET)
        assert console.app.screen.query_one(Input).value == SECRET
        assert SECRET not in shown(console)
        assert "•" * len(SECRET) in shown(console)
        await console.press("enter")
        await console.until(lambda: any("vacuum" in line for line in console.lines("#operations")))
        assert console.message.startswith(f"shop: postgresql {guarded.major}.")
        await console.until(lambda: any("[x] vacuum" in line for line in console.lines("#operations")))
        await console.press("r", "enter")
        await console.until(lambda: any("completed" in line for line in console.lines("#jobs")))
        (job,) = await console.engine.history()
        assert job.status is Status.COMPLETED
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


async def test_who_leaves_it_is_told_where_to_put_it(guarded: Database, tmp_path: Path, clock: Clock) -> None:
    shop = TargetEntry(name="shop", url=guarded.as_user("ann"), operations=(Operation.VACUUM,))
    async with open_console(tmp_path / "jobs.db", shop, clock=clock, size=(120, 40)) as console:
        await console.until(lambda: any("press T to type it" in line for line in console.lines("#operations")))
        await console.press("1", "T", "escape")
        assert console.screen_name == "MainScreen"
        assert "it asks for a password, and none was found (put it into ~/.pgpass (mode 0600)" in console.message


async def test_it_can_be_typed_in_the_form_of_a_target(guarded: Database, tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[targets.shop]\nurl = "{guarded.as_user("ann")}"\n')
    file = ConfigFile(path)
    config = file.load()
    saved = SavedTargets(file, config)
    async with open_console(tmp_path / "jobs.db", *config.targets, clock=clock, size=(120, 40), saved=saved) as console:
        await console.press("1", "e", "ctrl+t")
        await console.until(lambda: console.screen_name == "PasswordScreen")
        await console.press(*SECRET, "enter")
        await console.until(lambda: "Connected: postgresql" in shown(console))
    assert SECRET not in path.read_text()


async def test_nothing_is_run_where_the_worker_that_is_up_cannot_know_it(
    guarded: Database, tmp_path: Path, clock: Clock
) -> None:
    shop = TargetEntry(name="shop", url=guarded.as_user("ann"), operations=(Operation.VACUUM,))
    typed_passwords.remember(guarded.as_user("ann"), SECRET)
    async with open_console(
        tmp_path / "jobs.db", shop, clock=clock, size=(120, 40), worker_lacks=lambda url: "its password was typed here"
    ) as console:
        await console.until(lambda: any("[x]" in line for line in console.lines("#operations")))
        await console.press("r", "enter")
        why = "shop: its password was typed here, and the running worker process does not have it"
        await console.until(lambda: why in console.message)
        assert await console.engine.history() == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_the_question(
    size: tuple[int, int], sales: Path, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(Path("jobs.db"), entry(), clock=clock, size=size) as console:
        console.app.push_screen(PasswordScreen("shop: it asks for a password, and none was found."))
        await console.press(*"abc")
        assert looks_right(console.app)
