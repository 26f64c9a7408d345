"""Targets in the console: added, changed, removed, tested, marked; all of it kept in the config file."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from engine import Engine, Operation, TargetInfo
from engine.config import config_file
from engine.config.config_file import ConfigFile
from engine.config.model import TargetEntry
from engine.domain.extent import Extent
from engine.inspection import demo_database
from tests.sqlite_files import make_database
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import ENDLESS, Clock, Console, add_completed_job, chosen, entry, open_console
from tests.tui.console.test_snapshots import LooksRight, Size, both_sizes
from tui.console import connection_test
from tui.console.parts import target_inspector
from tui.console.parts.target_actions import NOT_KEPT
from tui.console.saved_targets import SavedTargets
from tui.console.screens.main import MainScreen
from tui.console.widgets.line_view import LineView

STORE = Path("jobs.db")
CONFIG = Path("config.toml")


def saved(text: str = "") -> SavedTargets:
    """The config file in the current directory, with this text; there is none without any."""
    if text:
        CONFIG.write_text(text)
    file = ConfigFile(CONFIG)
    return SavedTargets(file, file.load(), reserved={"run"})


def in_config() -> dict[str, TargetEntry]:
    return {one.name: one for one in ConfigFile(CONFIG).load().targets}


async def fill_in(console: Console, **fields: str) -> None:
    for name, value in fields.items():
        console.app.screen.query_one(f"#{name}", Input).value = value
    await console.settle()


def said(console: Console, field: str) -> str:
    """The message below a field; a long path may be wrapped anywhere."""
    lines = [line.strip() for line in console.lines(f"#{field}-message")]
    return ("" if "saved as" in lines[0] else " ").join(lines)


def row(console: Console, number: int = 0) -> list[str]:
    return [line for line in console.lines("#targets") if line[2:3].strip()][number].split()


SALES = '# ours\n\n[targets.sales]\nurl = "sales.db"  # here\nlabel = "PROD"\njobs = 2\n'


# Added, changed, removed


async def test_a_target_is_added_by_keys_alone(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("A")
        assert console.screen_name == "TargetFormScreen"
        assert not any(field.cursor_blink for field in console.app.screen.query(Input))
        await console.press(*"sales.db", "tab", *"Q3 shop", "tab", *"PROD", "tab", "space", "down", "down", "space")
        assert said(console, "url") == f"saved as {sales}"
        await console.press("enter")
        assert console.screen_name == "MainScreen"
        assert in_config() == {
            "Q3 shop": TargetEntry(
                name="Q3 shop", url=str(sales), label="PROD", operations=(Operation.VACUUM, Operation.REINDEX)
            )
        }
        assert CONFIG.stat().st_mode & 0o777 == 0o600
        assert row(console) == [">", "Q3", "shop", "[PROD]", "unchecked"]
        assert console.message == "Saved in config.toml."
        assert chosen(console) == ["vacuum", "reindex"]
        assert "Q3 shop [PROD]" in console.text("#header")


async def test_a_name_that_is_not_typed_is_the_files(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("A", *"sales.db")
        assert said(console, "name") == "default: sales"
        await console.press("enter")
        assert list(in_config()) == ["sales"]


async def test_a_name_is_proposed_while_the_path_is_typed_and_never_in_place_of_what_was_typed(
    sales: Path, clock: Clock
) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("A")
        field = console.app.screen.query_one("#name", Input)
        seen = []
        for key in "/srv/sal":
            await console.press(key)
            seen.append(field.placeholder)
        assert seen == ["", "s", "sr", "srv", "srv", "s", "sa", "sal"]
        assert (field.value, said(console, "name")) == ("", "default: sal")
        await console.press("tab", *"shop", "shift+tab", *"es.db")
        assert (field.value, field.placeholder) == ("shop", "sales")
        await fill_in(console, url="postgresql://dba:secret@db1")
        assert field.placeholder == ""


async def test_what_is_typed_ahead_comes_to_its_field(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("A")
        for key in (*"ab", "tab", *"cd", "tab", *"ef", "enter"):
            console.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await console.until(lambda: console.screen_name == "ConfirmScreen")
        await console.press("y")
        assert [(one.name, Path(one.url).name, one.label) for one in in_config().values()] == [("cd", "ab", "ef")]


async def test_the_keys_that_are_named_work_where_text_is_typed(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("A")
        assert "f1 help" in console.text("#footer")
        await console.press("f1")
        assert console.screen_name == "HelpScreen"
        await console.press("escape", "tab", "tab", "tab")
        assert "? help" in console.text("#footer")


async def test_what_is_wrong_is_said_at_its_field(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved(SALES)) as console:
        await console.press("A")
        assert said(console, "url") == ""
        await console.press("enter")
        assert said(console, "url") == "enter a path, such as ~/data/sales.db"
        assert console.app.focused is console.app.screen.query_one("#url")

        await fill_in(console, url="postgresql://dba:secret@db1/shop")
        assert said(console, "url").startswith("a password must not be part of a target (put it where")
        await fill_in(console, url="other.db", name="sales")
        assert said(console, "name") == "sales is the name of another target"
        await console.press("enter")
        assert console.app.focused is console.app.screen.query_one("#name")
        await fill_in(console, name="run")
        assert said(console, "name") == "is a command of dbtend: choose another name"
        await fill_in(console, url="sales.db")
        assert said(console, "url") == "the same database as sales"
        await console.press("escape")
        assert console.screen_name == "MainScreen"
        assert CONFIG.read_text() == SALES


async def test_a_file_that_is_not_there_is_saved_once_somebody_says_so(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved(), size=(120, 40)) as console:
        await console.press("A", *"sale.db")
        assert said(console, "url") == f"saved as {sales.with_name('sale.db')}"
        await console.press("tab")
        assert said(console, "url").replace(" ", "").endswith("sale.db;thereisnosuchfile")
        await console.press("enter")
        assert console.lines("#text")[0] == "Save a target that cannot be read?"
        assert "sale.db: there is no such file." in " ".join(console.lines("#text"))
        await console.press("enter")
        assert not CONFIG.exists()
        assert console.app.focused is console.app.screen.query_one("#url")
        await console.press("enter", "y")
        assert list(in_config()) == ["sale"]
        await console.press("1", "e", "tab", "tab", *"QA", "enter")
        assert in_config()["sale"].label == "QA"


async def test_a_target_is_changed_in_place(sales: Path, clock: Clock) -> None:
    file = saved(SALES)
    async with open_console(STORE, file.whole(file.entries[0]), clock=clock, saved=file) as console:
        await console.press("1", "e")
        assert console.app.screen.query_one("#label", Input).value == "PROD"
        await fill_in(console, name="shop", label="")
        await console.press("enter")
        assert CONFIG.read_text() == SALES.replace(".sales]", ".shop]").replace('label = "PROD"\n', "")
        assert row(console) == [">", "shop", "unchecked"]
        assert console.app.context.names.of(f"sqlite://{sales}") == "shop"


async def test_a_name_is_no_markup(sales: Path, clock: Clock) -> None:
    file = saved(SALES.replace(".sales]", '."[red]x[/nonsense]"]'))
    async with open_console(STORE, *file.entries, clock=clock, saved=file) as console:
        await console.press("1", "e")
        title = console.app.screen.query_one("#form")._border_title
        assert title is not None
        assert title.plain == "Change [red]x[/nonsense]"
        await console.press("escape", "D")
        assert console.lines("#text")[0].startswith("Remove [red]x[/nonsense] [PROD] from")


async def test_another_place_for_a_target_is_looked_at(sales: Path, clock: Clock, tmp_path: Path) -> None:
    make_database(tmp_path / "other.db")
    file = saved(SALES)
    async with open_console(STORE, *file.entries, clock=clock, saved=file) as console:
        await console.press("1", "e")
        await fill_in(console, url="other.db")
        await console.press("enter")
        assert in_config()["sales"].url == str(tmp_path / "other.db")
        assert "sales [PROD]" in console.text("#header")
        assert "missing" not in console.lines("#targets")[0]


async def test_what_was_given_on_the_command_line_is_saved_with_e(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, saved=saved(), size=(120, 40)) as console:
        assert row(console) == [">", "sales.db", "unchecked"]
        await console.press("1", "e")
        assert console.app.screen.query_one("#url", Input).value == "sales.db"
        await console.press("enter")
        assert in_config()["sales.db"].url == str(sales)
        assert row(console) == [">", "sales.db", "unchecked"]


@pytest.mark.parametrize(("size", "words"), [((80, 24), "unsaved: e saves it"), ((60, 15), "unsaved (e)")])
async def test_that_a_target_is_not_saved_is_said_whole(
    size: tuple[int, int], words: str, sales: Path, clock: Clock
) -> None:
    async with open_console(STORE, entry(), clock=clock, saved=saved(), size=size) as console:
        border = console.app.screen.query_one("#targets").border_subtitle
        assert str(border) == words


async def test_a_label_of_the_config_holds_for_a_path_on_the_command_line(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(str(sales)), clock=clock, saved=saved(SALES)) as console:
        assert "[PROD]" in console.lines("#targets")[0]
        assert "[PROD]" in console.text("#header")


async def test_remove_asks_and_no_is_the_default(sales: Path, seeded: Seeded, clock: Clock, tmp_path: Path) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    file = saved(SALES + '\n[targets.app]\nurl = "app.db"\n')
    async with open_console(seeded.path, *file.entries, clock=clock, saved=file) as console:
        await console.press("1", "down", "D")
        assert console.lines("#text")[0] == "Remove sales [PROD] from the config file config.toml?"
        assert "Its history and the database itself stay" in " ".join(console.lines("#text"))
        await console.press("enter")
        assert list(in_config()) == ["sales", "app"]
        await console.press("D", "y")
        assert list(in_config()) == ["app"]
        assert row(console)[:2] == [">", "app"]
        assert console.message == "sales [PROD] removed. Its history is kept."
        assert len(await console.engine.history()) == 1
        await console.press("D", "y")
        assert console.lines("#targets") == ["No targets yet."]


async def test_a_config_that_is_wrong_is_shown_and_not_touched(sales: Path, clock: Clock) -> None:
    file = saved(SALES)
    async with open_console(STORE, *file.entries, clock=clock, saved=file) as console:
        CONFIG.write_text("[targets\n")
        await console.press("1", "e")
        assert console.screen_name == "MainScreen"
        assert console.message.startswith("config.toml, line 1: Expected ']'")
        await console.press("D")
        assert console.message.startswith("config.toml, line 1: Expected ']'")
        assert CONFIG.read_text() == "[targets\n"
        assert row(console)[1] == "sales"


async def test_what_somebody_else_changed_meanwhile_is_said_in_the_form(sales: Path, clock: Clock) -> None:
    file = saved(SALES)
    async with open_console(STORE, *file.entries, clock=clock, saved=file) as console:
        await console.press("1", "e")
        CONFIG.write_text(SALES.replace("PROD", "TEST"))
        await fill_in(console, label="QA")
        await console.press("enter")
        assert console.screen_name == "TargetFormScreen"
        assert console.message.startswith("sales: was changed in config.toml by another program")


@pytest.mark.parametrize("now", [SALES.replace("PROD", "TEST"), "# nothing any more\n"], ids=["changed", "gone"])
async def test_what_somebody_else_changed_does_not_keep_a_target(now: str, sales: Path, clock: Clock) -> None:
    file = saved(SALES)
    async with open_console(STORE, *file.entries, clock=clock, saved=file) as console:
        CONFIG.write_text(now)
        await console.press("1", "D")
        where = "the config file" if "sales" in now else "this session"
        assert f"from {where}" in " ".join(console.lines("#text"))
        await console.press("y")
        assert console.message.startswith("sales [PROD] removed.")
        assert in_config() == {}
        assert console.lines("#targets") == ["No targets yet."]


async def test_esc_while_it_is_saved_leaves_nothing_half_done(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        with nobody_else_writes():
            await console.press("A", *"sales.db")
            await begin_to_save(console)
            await console.pilot.press("escape")
            await console.pilot.pause()
            assert console.screen_name == "MainScreen"
            assert console.message == "Saving goes on; the result is shown here."
        await console.until(lambda: "No targets yet." not in console.lines("#targets"))
        assert console.message == "Saved in config.toml."
        assert list(in_config()) == ["sales"]
        assert row(console)[:2] == [">", "sales"]
        await console.press("1", "D", "y")
        assert in_config() == {}


async def test_a_form_that_is_saved_below_another_screen_closes_alone(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        with nobody_else_writes():
            await console.press("A", *"sales.db", "tab", "tab", "tab")
            await begin_to_save(console)
            await console.pilot.press("h")
            await console.pilot.pause()
            assert console.screen_name == "HistoryScreen"
        await console.settle()
        assert list(in_config()) == ["sales"]
        assert console.screen_name == "HistoryScreen"
        await console.press("escape")
        assert console.screen_name == "MainScreen"
        assert row(console)[:2] == [">", "sales"]


async def test_a_save_that_fails_after_its_form_was_left_is_told(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        with nobody_else_writes():
            await console.press("A", *"sales.db")
            await begin_to_save(console)
            await console.pilot.press("escape")
            await console.pilot.pause()
            CONFIG.write_text("[targets\n")
        await console.settle()
        assert console.message.startswith("config.toml, line 1: Expected ']'")
        assert console.lines("#targets") == ["No targets yet."]


async def begin_to_save(console: Console) -> None:
    await console.pilot.press("enter")
    await console.until(lambda: any(worker.name == "save" for worker in console.app.workers), settled=False)


@contextmanager
def nobody_else_writes() -> Iterator[None]:
    """As another dbtend does while it changes the config file."""
    with config_file._locked(Path.cwd()):
        yield


async def test_a_demo_keeps_nothing(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("1", "A")
        assert console.message == NOT_KEPT


# Tested


async def test_the_connection_is_tested_from_the_list_and_from_the_form(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, saved=saved()) as console:
        await console.press("1", "T")
        assert console.message == "sales.db: sqlite 3.46.0, 516 kB, journal delete, 29% empty, writable."
        await console.press("A", *"sales.db", "ctrl+t")
        assert console.lines("#tested") == ["Connected: sqlite 3.46.0, 516 kB, journal delete, 29% empty, writable."]
        await fill_in(console, url="gone.db")
        await console.press("tab", "tab", "tab", "T")
        assert console.lines("#tested")[0].startswith("No connection: there is no such file (check the path")
        sales.chmod(0o444)
        await fill_in(console, url="sales.db")
        await console.press("T")
        assert "read-only: the file is read-only" in " ".join(map(str.strip, console.lines("#tested")))
        assert not CONFIG.exists()


async def test_the_test_of_a_pattern_says_what_it_stands_for(sales: Path, clock: Clock) -> None:
    Path("tenants").mkdir()
    for name in ("t1.db", "t2.db", "t10.db", "t11.db", "old.db"):
        Path("tenants", name).write_bytes(sales.read_bytes())
    Path("tenants/new.db").touch()
    pattern = '[targets.tenants]\nurl = "tenants/*.db"\nexclude = ["old.db"]\n'
    async with open_console(STORE, entry(), clock=clock, saved=saved(pattern)) as console:
        await console.press("1", "A", *"tenants/t*.db", "ctrl+t")
        assert console.lines("#tested") == ["It stands for 4 databases: t1, t2, t10 and 1 more."]
        await fill_in(console, url="tenants")
        await console.press("ctrl+t")
        tested = " ".join(map(str.strip, console.lines("#tested")))
        assert tested.startswith("It stands for 5 databases: old, t1, t2 and 2 more; left out: 1 empty file (")
        await fill_in(console, url="tenants/x*.db")
        await console.press("ctrl+t")
        tested = " ".join(map(str.strip, console.lines("#tested")))  # it is wrapped by the length of the directory
        assert tested.startswith("No connection: matches no file (looked in ")


async def test_a_test_that_is_not_answered_ends(sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: Engine, target: str) -> TargetInfo:
        await asyncio.Event().wait()
        raise AssertionError

    async with open_console(STORE, entry(), clock=clock) as console:
        monkeypatch.setattr(Engine, "inspect", never)
        monkeypatch.setattr(connection_test, "PATIENCE", 0.05)
        await console.press("1", "T")
        assert console.message == "sales.db: no answer in 0.05 s (is its disk still there?)"


# Looked at again


async def test_a_looks_again_and_says_so(sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    inspect, may_answer = Engine.inspect, asyncio.Event()

    async def when_it_may(self: Engine, target: str) -> TargetInfo:
        await may_answer.wait()
        return await inspect(self, target)

    async with open_console(STORE, entry(), clock=clock) as console:
        monkeypatch.setattr(Engine, "inspect", when_it_may)
        await console.pilot.press("1", "a")
        await console.pilot.pause()
        assert row(console)[2:] == ["inspecting", "…"]
        may_answer.set()
        await console.settle()
        assert row(console)[2:] == ["unchecked"]


# Gone and back


async def glance(console: Console) -> None:
    """What the timer does every few seconds."""
    screen = console.app.screen_stack[0]
    assert isinstance(screen, MainScreen)
    await screen.inspector.check_presence()
    await console.settle()


async def test_a_database_that_goes_is_told_and_found_again(sales: Path, clock: Clock) -> None:
    elsewhere = sales.with_name("elsewhere.db")
    async with open_console(STORE, entry(), clock=clock) as console:
        before = console.lines("#operations")
        await glance(console)
        sales.rename(elsewhere)
        await glance(console)
        assert row(console)[2:] == ["×", "missing"]
        shown = " ".join(console.lines("#operations"))
        assert shown.startswith("sales.db: there is no such file Check the path")
        assert "It was available before: was it moved, or its disk unmounted?" in shown
        sales.mkdir()
        await glance(console)
        await console.press("1", "a")
        assert "a directory" in console.lines("#targets")[1]
        sales.rmdir()
        elsewhere.rename(sales)
        await glance(console)
        assert console.lines("#operations") == before

        sales.chmod(0)
        await glance(console)
        assert "no permission to read it" in console.lines("#targets")[1]
        sales.chmod(0o644)
        await glance(console)
        assert console.lines("#operations") == before


@pytest.mark.parametrize("sign", ["key", "focus", "screen", "job"])
async def test_databases_are_glanced_at_when_somebody_is_here_or_a_job_moves(
    sign: str, sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await glance(console)
        if sign == "screen":
            await console.press("question_mark")
        sales.unlink()
        monkeypatch.setattr(target_inspector, "PRESENCE_EVERY", 0.0)
        match sign:
            case "key":
                await console.press("down")
            case "focus":
                console.app.post_message(events.AppFocus())
            case "screen":
                await console.press("escape")
            case _:
                await add_completed_job(seeded.store, seeded.owner, clock, "other")
        await console.until(lambda: "missing" in console.lines("#targets")[0])


@pytest.mark.parametrize("gated", ["inspect", "advise"])
async def test_a_target_that_waits_for_its_turn_waits_only_once(
    gated: str, sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs may end more quickly than their targets are inspected."""
    do, answers, asked = getattr(Engine, gated), asyncio.Event(), list[str]()

    async def when_it_may(self: Engine, target: str, **options: Any) -> object:
        asked.append(target)
        await answers.wait()
        return await do(self, target, **options)

    for slots in ("FILES_INSPECTED_AT_ONCE", "FILES_ADVISED_AT_ONCE"):
        monkeypatch.setattr(target_inspector, slots, 1)
    async with open_console(STORE, entry(), clock=clock) as console:
        screen = console.app.screen
        assert isinstance(screen, MainScreen)
        monkeypatch.setattr(Engine, gated, when_it_may)
        for _ in range(5):
            inspection = screen.inspector.inspect([0])
            if gated == "advise":
                await inspection.wait()
            await console.pilot.pause()
        open_ = [worker for worker in console.app.workers if not worker.is_finished and worker.name not in ENDLESS]
        answers.set()
        await console.settle()
    assert len(open_) == len(asked) == 2


async def test_one_database_that_does_not_answer_keeps_no_other_waiting(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its inspection nor its presence check delays others."""
    inspect, extent, answers = Engine.inspect, Engine.extent, asyncio.Event()

    async def inspect_when_it_may(self: Engine, target: str) -> TargetInfo:
        if target == "slow.db":
            await answers.wait()
        return await inspect(self, target)

    async def presence_when_it_may(self: Engine, target: str) -> Extent:
        if target == "slow.db":
            await answers.wait()
        return await extent(self, target)

    make_database(sales.with_name("slow.db"))
    async with open_console(STORE, entry("slow.db"), entry(), clock=clock) as console:
        await glance(console)
        monkeypatch.setattr(Engine, "inspect", inspect_when_it_may)
        monkeypatch.setattr(Engine, "extent", presence_when_it_may)
        screen = console.app.screen
        assert isinstance(screen, MainScreen)
        screen.inspector.inspect_again([0, 1])
        assert [row(console, number)[-2:] for number in (0, 1)] == [["inspecting", "…"]] * 2
        await console.until(lambda: row(console, 0)[-1] == "unchecked", settled=False)
        sales.unlink()
        screen.inspector._last_presence_check = 0
        monkeypatch.setattr(target_inspector, "PRESENCE_EVERY", 0.0)
        screen.inspector.check_presence_if_due()
        await console.until(lambda: "missing" in console.lines("#targets")[0], settled=False)
        assert row(console, 2)[-2:] == ["inspecting", "…"]
        answers.set()
        await console.settle()


@pytest.mark.parametrize("replace", [os.replace, shutil.copyfile])
@pytest.mark.parametrize("rows", [20, 2_050], ids=["smaller", "within a tenth"])
@pytest.mark.parametrize("glances", [0, 1])
async def test_another_database_in_the_same_place_is_looked_at(
    glances: int, rows: int, replace: Callable[[Path, Path], object], sales: Path, clock: Clock
) -> None:
    sales.unlink()
    make_database(sales, rows=2_000)
    async with open_console(STORE, entry(), clock=clock) as console:
        for _ in range(glances):
            await glance(console)
        before = console.text("#header")
        replace(make_database(sales.with_name("new.db"), rows=rows), sales)
        await glance(console)
        assert console.text("#header") != before


async def test_a_console_where_nothing_changes_writes_nothing(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a database is gone; and looks at it less and less often."""
    async with open_console(STORE, entry(), entry("gone.db"), clock=clock) as console:
        screen = console.app.screen
        assert isinstance(screen, MainScreen)
        await glance(console)
        painted = []
        monkeypatch.setattr(console.app, "_display", lambda _, what: painted.append(what))
        waits = []
        for _ in range(6):
            assert screen.inspector.retry.timer is not None
            waits.append(screen.inspector.retry.timer._interval)
            screen.inspector.retry.timer.stop()
            screen.inspector.retry.now()
            await console.settle()
            await glance(console)
        assert waits == [3.0, 6.0, 12.0, 24.0, 48.0, 60.0]
        assert painted == []
        await console.press("1")
        assert painted


# Marked


@pytest.fixture
def three(sales: Path) -> list[TargetEntry]:
    for name in ("app.db", "web.db"):
        make_database(sales.with_name(name))
    return [entry(), entry("app.db"), entry("web.db", label="PROD")]


async def test_marked_targets_are_run_in_one_go(three: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *three, entry("gone.db"), clock=clock, workers=2) as console:
        await console.press("1", "down", "space", "space", "space")
        assert [line[:3] for line in console.lines("#targets")] == ["  a", " ●g", "  t", " ●s", ">●w"]
        assert console.app.screen.query_one("#targets").border_title == "1 Targets 4, 3 marked"
        await console.press("r")
        assert console.screen_name == "PlansScreen"
        page = console.lines("#page")
        assert page[0].startswith("2 targets, ")
        assert "gone.db  unreachable" in page
        assert "  there is no such file (check the path; dbtend never creates a database)" in page
        await console.press("enter")
        assert console.screen_name == "TypedConfirmScreen"
        await console.press(*"web.db", "enter")
        done = await console.engine.wait([1, 2, 3])
        assert [job.target.rpartition("/")[2] for job in done] == ["sales.db", "web.db", "gone.db"]
        assert done[0].request.operations == (Operation.CHECK, Operation.ANALYZE)
        assert console.app.screen.query_one("#targets").border_title == "1 Targets 4"
        await console.until(lambda: "b1  3 targets" in console.lines()[0] and "1 unreachable" in console.lines()[0])


async def test_a_choice_is_for_all_that_are_marked(three: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *three, clock=clock) as console:
        await console.press("1", "space", "space", "2", "g")
        assert console.app.screen.query_one("#operations").border_title == "2 Operations of 2"
        wanted = set(chosen(console)) ^ {"vacuum"}
        await console.press("space", "r")
        await console.press("enter")
        jobs = await console.engine.history()
        assert [set(map(str, job.request.operations)) for job in jobs] == [wanted] * 2


async def test_escape_takes_the_marks_away_before_it_goes_back(three: list[TargetEntry], clock: Clock) -> None:
    async with open_console(STORE, *three, clock=clock) as console:
        await console.press("1", "plus", "space", "escape", "escape")
        assert not any("*" in line[:2] for line in console.lines("#targets"))
        assert console.app.screen.has_class("-zoomed")
        await console.press("escape")
        assert not console.app.screen.has_class("-zoomed")


async def test_of_those_that_are_marked_an_open_job_that_does_the_same_is_joined(
    three: list[TargetEntry], clock: Clock
) -> None:
    async with open_console(STORE, *three, clock=clock) as console:
        await console.press("1", "r", "enter")
        assert len(await console.engine.history()) == 1
        clock.forward(1)
        await console.press("1", "space", "space", "r", "enter")
        assert console.message.startswith("Joined, as they already do exactly this: #1")
        assert len(await console.engine.history()) == 2


# The first start


async def test_a_sample_is_built_for_this_session(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    build, may_begin = demo_database.build_demo_database, threading.Event()

    def when_it_may(path: Path) -> None:
        may_begin.wait()
        build(path)

    monkeypatch.setattr(demo_database, "build_demo_database", when_it_may)
    async with open_console(STORE, clock=clock, saved=saved(), size=(120, 40)) as console:
        await console.pilot.press("d", "d")
        await console.pilot.pause()
        assert console.lines("#operations")[0] == "Building a sample database ..."
        assert "sample" not in console.text("#footer")
        await console.pilot.press("r")
        assert console.message == "Nothing to run yet: the sample database is being built."
        may_begin.set()
        await console.settle()
        (sample,) = tmp_path.glob("dbtend-demo-*/sample.db")
        assert str(sample) in console.message.replace(" ", "")
        assert row(console)[:2] == [">", "sample.db"]
        assert "analyze" in chosen(console)  # how much is worth a VACUUM may take longer to find out than there is time
        assert not CONFIG.exists()
        await console.press("d")
        assert len(list(tmp_path.glob("dbtend-demo-*"))) == 1


async def test_no_place_for_a_sample_is_a_sentence(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere/at/all")
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("d")
        assert (
            console.message
            == "sample: no temporary directory: No such file or directory (set TMPDIR to another directory)"
        )


# What it looks like


@both_sizes
async def test_form_empty(size: Size, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(STORE, clock=clock, size=size, saved=saved()) as console:
        await console.press("A")
        assert looks_right(console.app)


@both_sizes
async def test_form_with_errors(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(STORE, clock=clock, size=size, saved=saved(SALES)) as console:
        await console.press("A", "enter")
        await fill_in(console, url="postgresql://dba:x@db1/shop", name="sales", label="PROD\x07")
        assert looks_right(console.app)


@both_sizes
async def test_form_with_the_result_of_a_test(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    file = saved(SALES + 'operations = ["vacuum", "check"]\n')
    async with open_console(STORE, *file.entries, clock=clock, size=size, saved=file) as console:
        await console.press("1", "e", "ctrl+t", "tab", "tab", "tab")
        assert looks_right(console.app)


@both_sizes
async def test_question_before_a_target_is_removed(
    size: Size, sales: Path, clock: Clock, looks_right: LooksRight
) -> None:
    file = saved(SALES)
    async with open_console(STORE, *file.entries, clock=clock, size=size, saved=file) as console:
        await console.press("1", "D")
        assert looks_right(console.app)


@both_sizes
async def test_marks(size: Size, three: list[TargetEntry], clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(STORE, *three, clock=clock, size=size, saved=saved(SALES)) as console:
        await console.press("1", "down", "space", "space")
        assert looks_right(console.app)


@both_sizes
async def test_plans_of_several_targets(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    shop = TargetEntry(name="shop", url="shop.db", label="PROD", operations=(Operation.VACUUM,))
    three = [entry(), entry("gone.db"), shop]
    sales.with_name("shop.db").write_bytes(sales.read_bytes())
    async with open_console(STORE, *three, clock=clock, size=size) as console:
        await console.press("1", "space", "space", "space", "r")
        assert looks_right(console.app)


@both_sizes
async def test_a_database_that_is_gone(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(STORE, entry(label="PROD"), clock=clock, size=size) as console:
        await glance(console)
        sales.unlink()
        await glance(console)
        assert looks_right(console.app)


async def test_where_there_is_no_job_the_pane_to_begin_in_is_named_once_there_is_a_target(
    sales: Path, clock: Clock
) -> None:
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        assert console.lines() == ["No job yet."]
        await console.press("A", *"sales.db", "enter")
        hint = "Select operations in pane 2, then press r to see the plan."
        assert " ".join(console.lines()) == f"No job yet. {hint}"
        await console.press("1", "D", "y")
        assert console.lines() == ["No job yet."]


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 40)])
async def test_the_list_of_targets_has_a_row_for_each_and_none_that_is_empty(
    size: Size, sales: Path, clock: Clock
) -> None:
    lost = sales.rename(sales.with_name("moved.db"))
    async with open_console(STORE, entry(), clock=clock, size=size) as console:
        targets_list = console.app.screen.query_one("#targets")
        assert targets_list.size.height == (1 if size == (60, 15) else 2)  # the second one says why it cannot be opened
        lost.rename(sales)
        await console.press("1", "a")
        await console.until(lambda: "missing" not in console.lines("#targets")[0])
        assert targets_list.size.height == 1


@pytest.mark.parametrize(("width", "columns"), [(60, 22), (80, 29), (100, 34), (120, 34), (159, 46)])
async def test_the_lists_at_the_left_have_a_share_of_the_width(
    width: int, columns: int, sales: Path, clock: Clock
) -> None:
    async with open_console(STORE, entry(), clock=clock, size=(width, 30)) as console:
        assert console.app.screen.query_one("#left").size.width == columns


def drawn(console: Console, selector: str) -> list[list[str]]:
    """The rows of a list that are in view, with its heading, as cells."""
    view = console.app.screen.query_one(selector, LineView)
    return [re.split(r"  +", view.render_line(y).text.strip()) for y in range(view.size.height)]


@pytest.mark.parametrize("size", [(160, 50), (160, 24), (200, 60)])
async def test_a_wide_window_shows_the_targets_as_the_table_of_the_fleet(
    size: Size, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock, str(sales.with_suffix(""))[1:])
    async with open_console(seeded.path, entry(), entry("gone.db"), clock=clock, size=size) as console:
        await console.until(lambda: "ok 11:06" in drawn(console, "#targets")[2])
        heading, gone, found, *rest = drawn(console, "#targets")
        shown = [column for column in heading if column not in {"engine", "next", "surveyed"}]
        all_columns = ["target", "size", "reclaim", "level", "why", "checked", "last run"]
        assert shown == [column for column in all_columns if column != "size" or size[1] > 24]  # the pane is narrower
        assert {">gone.db", "unreachable", "there is no such file"} <= set(gone)
        assert {"sales.db", "unchecked"} <= set(found)
        assert all(row == [""] for row in rest)
        await console.press("f")
        fleet = {row[0]: set(row) for row in drawn(console, "#fleet")[1:3]}
        assert fleet["gone.db"] >= {*gone[1:6]}
        assert fleet["sales.db"] >= {"sales.db", "unchecked", "172 kB"}


async def test_the_table_goes_with_the_width_of_its_pane(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, size=(160, 50)) as console:
        await console.until(lambda: "checked" in drawn(console, "#targets")[0])
        await console.pilot.resize_terminal(120, 40)
        await console.until(lambda: "checked" not in drawn(console, "#targets")[0])
        await console.press("1", "plus")
        await console.until(lambda: "checked" in drawn(console, "#targets")[0])


async def test_a_pattern_of_files_that_is_added_is_expanded_at_once(sales: Path, clock: Clock) -> None:
    directory = sales.parent / "tenants"
    directory.mkdir()
    for n in (1, 2):
        shutil.copy(sales, directory / f"t{n}.db")
    async with open_console(STORE, clock=clock, saved=saved()) as console:
        await console.press("A", *f"{directory}/*.db", "enter")
        assert console.screen_name == "MainScreen"
        assert in_config()["tenants"].url == f"{directory}/*.db"
        await console.until(lambda: [line.split()[-2] for line in console.lines("#targets")] == ["t1", "t2"])
