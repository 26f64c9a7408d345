"""A console that is read-only: it shows everything, says so, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from engine import OnDuplicate, Operation
from engine.config.config_file import ConfigFile
from engine.domain.errors import HotJournalError
from tests.building import new_job
from tests.engine.processes import python
from tests.engine.test_read_only import RUNS, everything_below
from tests.sqlite_files import make_database
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, add_failed_job, add_running_job, entry, open_console
from tui.console.actions import ACTIONS, Place
from tui.console.saved_targets import SavedTargets
from tui.console.views.hints import target_trouble
from tui.console.views.keys import help_document
from tui.console.views.lists import TargetState

LooksRight = Callable[[App[None]], bool]
both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


@both_sizes
async def test_main(size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size, read_only=True) as console:
        await console.press("3", "down")
        assert looks_right(console.app)


@both_sizes
async def test_without_a_store(size: tuple[int, int], sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), entry(), clock=clock, size=size, read_only=True) as console:
        assert looks_right(console.app)
    assert everything_below(sales.parent).keys() == {str(sales)}


def not_done() -> None:
    raise AssertionError("a worker was started")


async def test_each_key_that_would_change_something_says_why_it_does_not(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    await add_running_job(seeded.store, seeded.owner, clock)
    last = seeded.store.last_change()
    async with open_console(seeded.path, entry(), clock=clock, read_only=True, ensure_worker=not_done) as console:
        assert "read-only" in console.text("#header")
        said = {}
        for key in ("c", "t", "m", "P", "r"):
            await console.press("3", key)
            assert console.screen_name == "MainScreen"
            said[key] = console.message
        assert said["c"] == "Read-only: cancelling jobs is off."
        assert said["r"].endswith("running jobs is off. p shows the plan.")
        assert all(sentence.startswith("Read-only") for sentence in said.values())
        writing = {action.label for action in ACTIONS if action.writes}
        for keys in (["3"], ["h"], ["enter"], ["escape", "escape", "w"], ["escape", "p"]):
            await console.press(*keys)
            shown = console.text("#footer")
            assert not {f" {label} " for label in writing if f" {label} " in f"{shown} "}
        assert console.screen_name == "PlanScreen"
        await console.press("enter")
        assert console.screen_name == "PlanScreen"
        assert console.message == "Read-only: running jobs is off."
    assert seeded.store.last_change() == last


async def test_no_text_names_a_key_that_is_off(sales: Path, clock: Clock) -> None:
    file = ConfigFile(Path("config.toml"))
    saved = SavedTargets(file, file.load(), reserved=set())
    async with open_console(Path("jobs.db"), entry(), clock=clock, saved=saved, read_only=True) as console:
        assert not console.app.screen.query_one("#targets").border_subtitle
        await console.press("w")
        assert "dbtend worker" in " ".join(console.lines("#page"))
    assert not {action.help for action in ACTIONS if action.writes} & {
        line.text.split("  ")[-1] for line in help_document(list(Place), 200, read_only=True)
    }
    hot = TargetState(entry(), error=HotJournalError(str(sales), "a crash"))
    shown = {read_only: target_trouble(hot, 80, read_only=read_only) for read_only in (False, True)}
    assert len(shown[False]) == len(shown[True]) + 1


async def test_jobs_that_were_left_are_not_asked_about(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await seeded.store.submit([new_job("app")], OnDuplicate.REFUSE)
    await seeded.store._writer.run(lambda c: c.execute("DELETE FROM worker"))
    async with open_console(seeded.path, entry(), clock=clock, read_only=True, ensure_worker=not_done) as console:
        await console.until(lambda: "no worker, 1 waiting" in console.text("#header"))
        assert console.screen_name == "MainScreen"


async def test_the_jobs_of_another_process_are_seen_to_move(tmp_path: Path, clock: Clock) -> None:
    path = make_database(tmp_path / "sales.db", rows=50)
    with python(RUNS, tmp_path / "jobs.db", path) as process:
        process.tell()
        assert await process.says() == "completed"
        target = entry(operations=(Operation.ANALYZE,))
        async with open_console(tmp_path / "jobs.db", target, clock=clock, read_only=True) as console:
            assert "✓ completed" in console.lines()[0]
            process.tell()
            await console.until(lambda: "#2" in console.lines()[0] and "✓ completed" in console.lines()[0])
