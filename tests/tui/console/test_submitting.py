"""Running what a plan shows: at the press of a key, or once the target has been typed."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from engine import Operation, Plan, Request, Status
from engine.targets.sqlite.planning import copy_costs, planner
from tests.sqlite_files import transaction
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.keymap import with_keys
from tui.console.screens.submitting import CHANGED, ONLY_SHOWN

both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
VACUUM = (Operation.VACUUM,)


async def jobs(console: Console) -> list[str]:
    return [job.target.rpartition("/")[2] for job in await console.engine.history()]


async def test_what_blocks_everyone_in_production_is_run_once_its_name_was_typed(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(label="PROD", operations=VACUUM), clock=clock) as console:
        await console.press("r", "enter")
        assert console.screen_name == "TypedConfirmScreen"
        assert console.lines("#text")[0] == "Run this on sales.db [PROD]?"
        assert "is labelled PROD. While it runs, vacuum blocks everyone." in " ".join(console.lines("#text"))
        await console.press(*"app.db", "enter")
        assert console.lines("#error") == ["That is not sales.db. Nothing was done."]
        await console.press("s")
        assert console.lines("#error") == [""]
        await console.press("escape")
        assert console.screen_name == "PlanScreen"
        assert console.message == "Not run."
        assert await jobs(console) == []
        await console.press("enter", *"sales.db", "enter")
        assert console.screen_name == "MainScreen"
        assert await jobs(console) == ["sales.db"]


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE])
async def test_what_blocks_writers_alone_is_asked_for_in_production(
    operation: Operation, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    in_wal_mode(sales)
    async with open_console(seeded.path, entry(label="PROD", operations=(operation,)), clock=clock) as console:
        await console.press("r", "enter")
        assert console.screen_name == "TypedConfirmScreen"
        assert f"While it runs, {operation} blocks writers." in " ".join(console.lines("#text"))
        await console.press(*"sales.db", "enter")
        assert await jobs(console) == ["sales.db"]


def in_wal_mode(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = wal")


@pytest.mark.parametrize(
    ("label", "operations"), [("dev", VACUUM), (None, VACUUM), ("PROD", (Operation.CHECK,))], ids=str
)
async def test_a_key_is_enough_elsewhere(
    label: str | None, operations: tuple[Operation, ...], sales: Path, seeded: Seeded, clock: Clock
) -> None:
    in_wal_mode(sales)
    async with open_console(seeded.path, entry(label=label, operations=operations), clock=clock) as console:
        await console.press("r", "enter")
        assert console.screen_name == "MainScreen"
        assert await jobs(console) == ["sales.db"]


async def test_each_operation_keeps_what_the_accepted_plan_expects_it_to_take(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    operations = (Operation.VACUUM, Operation.ANALYZE, Operation.INCREMENTAL_VACUUM)
    async with open_console(seeded.path, entry(operations=operations), clock=clock) as console:
        await console.press("r", "enter")
        (job,) = await console.engine.history()
        vacuum, analyze, not_needed = [child.estimate for child in job.children]
        assert vacuum is not None
        assert analyze is not None
        assert vacuum > analyze > 0.0
        assert not_needed == 0.0


async def test_of_several_targets_their_label_is_typed(sales: Path, seeded: Seeded, clock: Clock) -> None:
    Path("app.db").write_bytes(sales.read_bytes())
    targets = [entry(label="PROD", operations=VACUUM), entry("app.db", label="PROD", operations=VACUUM)]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        await console.press("1", "space", "down", "space", "r")
        await console.until(lambda: console.app.screen.can("submit"))  # type: ignore[attr-defined]
        await console.press("enter")
        assert console.lines("#text")[0] == "Run this on 2 targets?"
        await console.press(*"PROD", "enter")
        assert sorted(await jobs(console)) == ["app.db", "sales.db"]


async def test_a_plan_is_copied_as_a_script(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("TMUX", raising=False)
    async with open_console(seeded.path, entry(operations=VACUUM), clock=clock) as console:
        driver, sent = console.app._driver, list[str]()
        assert driver is not None
        monkeypatch.setattr(driver, "write", sent.append)
        await console.press("r", "y")
        (sequence,) = [data for data in sent if data.startswith("\x1b]52;c;")]
        script = base64.b64decode(sequence[len("\x1b]52;c;") : -1]).decode().splitlines()
        assert script[0].startswith("-- sqlite:///")
        assert script[1] == "-- vacuum"
        assert script[-1] == "VACUUM;"


async def test_the_plans_of_several_targets_have_a_find_line(sales: Path, seeded: Seeded, clock: Clock) -> None:
    Path("app.db").write_bytes(sales.read_bytes())
    async with open_console(seeded.path, entry(), entry("app.db"), clock=clock) as console:
        await console.press("1", "space", "down", "space", "p", "slash", *"ANALYZE", "escape")
        assert console.screen_name == "PlansScreen"
        await console.press("escape")
        assert console.screen_name == "MainScreen"


@both_sizes
async def test_question_before_production_is_blocked(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with open_console(seeded.path, entry(label="PROD", operations=VACUUM), clock=clock, size=size) as console:
        await console.press("r", "enter")
        assert looks_right(console.app)


async def test_a_plan_that_a_lock_kept_away_is_looked_for_again(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(
        seeded.path, entry(operations=VACUUM, settings={"lock_timeout": 0}), clock=clock
    ) as console:
        with transaction(sales, "EXCLUSIVE"):
            await console.press("r")
            said = " ".join(map(str.strip, console.lines("#page")))
            assert "no lock at once" in said
            assert "Press a to plan again." in said
            assert "lock_timeout in the config file, of the target or in [defaults]" in said
            assert "a plan again" in console.text("#footer")
            await console.press("a")
            assert "no lock at once" in " ".join(map(str.strip, console.lines("#page")))
        await console.press("a")
        assert any("VACUUM" in line for line in console.lines("#page"))
        assert not any("plan again" in line for line in console.lines("#page"))
        await console.press("enter")
        assert await jobs(console) == ["sales.db"]


async def test_enter_before_all_is_planned_says_how_far_it_is(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("app.db").write_bytes(sales.read_bytes())
    targets = [entry(name, operations=VACUUM) for name in ("app.db", "sales.db")]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        plan, may_go_on = console.engine.plan, asyncio.Event()

        async def plan_later(request: Request, **known: Any) -> Plan:
            if request.target == "sales.db":
                await may_go_on.wait()
            return await plan(request, **known)

        monkeypatch.setattr(console.engine, "plan", plan_later)
        await console.press("1", "asterisk")
        await console.pilot.press("r")
        await console.until(
            lambda: "1 of 2 targets so far, 1 operation" in "".join(console.lines("#page")), settled=False
        )
        await console.pilot.press("enter")
        assert console.message == "Plans are still being made: 1 of 2. enter runs them when all are made."
        may_go_on.set()
        await console.until(lambda: "2 targets, 2 operations" in "".join(console.lines("#page")))
        assert console.message == ""
        await console.press("enter")
        assert sorted(await jobs(console)) == ["app.db", "sales.db"]


@pytest.mark.parametrize("is_asked", [False, True])
async def test_a_database_that_has_changed_since_is_planned_again(
    sales: Path, seeded: Seeded, clock: Clock, *, is_asked: bool
) -> None:
    """Also while the question is open. The second enter runs the new plan."""
    target = entry(label="PROD" if is_asked else None, operations=VACUUM)
    confirm = ("enter", *"sales.db", "enter") if is_asked else ("enter",)
    async with open_console(seeded.path, target, clock=clock) as console:
        await console.press("r", *confirm[:-1])
        grow(sales)
        await console.press(confirm[-1])
        assert (console.screen_name, console.message) == ("PlanScreen", with_keys(CHANGED))
        assert await jobs(console) == []
        await console.press(*confirm)
        assert (console.screen_name, await jobs(console)) == ("MainScreen", ["sales.db"])


async def test_another_database_at_its_path_is_planned_again(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(operations=VACUUM), clock=clock) as console:
        await console.press("r")
        Path("new.db").write_bytes(sales.read_bytes())
        Path("new.db").rename(sales)
        await console.press("enter")
        assert (console.screen_name, console.message) == ("PlanScreen", with_keys(CHANGED))


async def test_small_changes_do_not_keep_a_plan_from_running(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(operations=VACUUM), clock=clock) as console:
        await console.press("r")
        with closing(sqlite3.connect(sales)) as db:
            db.execute("CREATE TABLE small(a)")
        await console.press("enter")
        assert (console.screen_name, await jobs(console)) == ("MainScreen", ["sales.db"])


async def test_of_several_plans_one_that_has_changed_has_all_planned_again(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    Path("app.db").write_bytes(sales.read_bytes())
    targets = [entry(operations=VACUUM), entry("app.db", operations=VACUUM)]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        await console.press("1", "asterisk", "r")
        grow(sales)
        await console.press("enter")
        assert (console.screen_name, console.message) == ("PlansScreen", with_keys(CHANGED))
        assert await jobs(console) == []
        await console.press("enter")
        assert sorted(await jobs(console)) == ["app.db", "sales.db"]


def grow(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE large AS SELECT zeroblob(?) AS a", (2 * path.stat().st_size,))
        db.commit()


async def test_enter_where_nothing_can_run_says_so(sales: Path, seeded: Seeded, clock: Clock) -> None:
    without_search = entry(operations=(Operation.FTS_OPTIMIZE,))
    async with open_console(seeded.path, without_search, clock=clock) as console:
        await console.press("r", "enter")
        assert (console.screen_name, console.message) == ("PlanScreen", "Nothing to run.")


async def test_the_plans_of_several_targets_are_looked_for_again(sales: Path, seeded: Seeded, clock: Clock) -> None:
    Path("app.db").write_bytes(sales.read_bytes())
    targets = [entry(name, operations=VACUUM, settings={"lock_timeout": 0}) for name in ("sales.db", "app.db")]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        await console.press("1", "space", "down", "space")
        with transaction(sales, "EXCLUSIVE"):
            await console.press("r")
            await console.until(lambda: console.app.screen.can("submit"))  # type: ignore[attr-defined]
            assert any("locked, not planned" in line for line in console.lines("#page"))
            assert any("Press a to plan again." in line for line in console.lines("#page"))
        await console.press("a")
        await console.until(lambda: console.app.screen.can("submit"))  # type: ignore[attr-defined]
        assert not any("locked, not planned" in line for line in console.lines("#page"))


async def test_an_exchange_that_the_plan_offers_is_chosen_by_a_key(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "WORTH_AN_EXCHANGE", 0)
    for name in ("_EXCHANGE", "_EXCHANGED", "_SYNC", "_OBJECT_CHECKED"):
        monkeypatch.setattr(copy_costs, name, -1.0)
    async with open_console(seeded.path, entry(operations=VACUUM), clock=clock) as console:
        await console.press("r")
        assert "x swap" in console.text("#footer")
        await console.press("x")
        await console.until(lambda: "(--swap)" in " ".join(console.lines("#page")))
        assert "x swap" in console.text("#footer")
        await console.press("x")
        await console.until(lambda: "--swap takes" in " ".join(console.lines("#page")))
        await console.press("x", "enter")
        await console.until(lambda: console.screen_name == "MainScreen")
        (job,) = await console.engine.history()
        assert job.request.options.swap


async def test_the_key_for_an_exchange_says_where_none_is_offered(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(operations=VACUUM), clock=clock) as console:
        await console.press("r")
        assert "x swap" not in console.text("#footer")
        await console.press("x")
        assert console.message == "This plan has no VACUUM that --swap would make faster."


@pytest.mark.parametrize("marked", [1, 2])
async def test_p_only_shows_the_plan(sales: Path, seeded: Seeded, clock: Clock, marked: int) -> None:
    Path("app.db").write_bytes(sales.read_bytes())
    targets = [entry(name, operations=VACUUM) for name in ("app.db", "sales.db")[:marked]]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        jobs = await console.engine.count()
        await console.press("1", "asterisk", "p", "enter")
        assert console.message == with_keys(ONLY_SHOWN)
        assert "run this plan" not in console.text("#footer")
        assert await console.engine.count() == jobs
        await console.press("escape", "r")
        assert "run this plan" in console.text("#footer")


def settled_files() -> None:
    """Databases that need nothing."""
    for name in ("gone.db", "emptied.db", "whole.db"):
        with closing(sqlite3.connect(name, isolation_level=None)) as db:
            db.execute("CREATE TABLE a(b)")


WENT_AWAY = ("emptied.db", "gone.db")


async def dbtend(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tui.cli", *words]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)


def ended(children: Iterable[tuple[str, str, str | None, str | None]]) -> list[tuple[str, ...]]:
    return [tuple(map(str, child)) for child in children]


@pytest.mark.parametrize("from_fleet", [False, True], ids=["main", "fleet"])
@pytest.mark.parametrize("operations", [None, VACUUM], ids=["needed", "named"])
async def test_what_went_away_since_its_inspection_is_told_and_stored_as_by_the_command_line(
    operations: tuple[Operation, ...] | None, from_fleet: bool, seeded: Seeded, clock: Clock
) -> None:
    settled_files()
    targets = [entry(name, operations=operations) for name in ("emptied.db", "gone.db", "whole.db")]
    async with open_console(seeded.path, *targets, clock=clock) as console:
        await console.press(*(["f"] if from_fleet else ["1", "down", "down", "up", "up"]))
        Path("gone.db").unlink()
        os.truncate("emptied.db", 0)
        await console.press("asterisk", "r")
        assert console.screen_name == "PlansScreen"
        await console.until(lambda: not console.app.screen.progress)  # type: ignore[attr-defined]
        page = " ".join(map(str.strip, console.lines("#page")))
        assert [f"{name}  unreachable" in page for name in WENT_AWAY] == [True, True]
        await console.press("enter")
        assert console.screen_name == "MainScreen"
        jobs = {Path(job.target).name: job for job in await console.engine.history()}
        assert len({job.batch for job in jobs.values()}) == 1
    assert jobs["whole.db"].status is Status.PENDING
    Path("c.toml").write_text("".join(f"[targets.'{name}']\nurl = '{Path(name).resolve()}'\n" for name in jobs))
    words = ["--needed"] if operations is None else ["--op", "vacuum"]
    words += ["--config", "c.toml", "--store"]
    for name in WENT_AWAY:
        answer = await dbtend("plan", name, *words, str(seeded.path))
        said = answer.stderr.split(": ", 2)[2]  # the page names the target in the line above
        assert answer.returncode == 2
        assert said.strip() in page
    by_command = json.loads((await dbtend("run", *jobs, *words, "cli.db", "--json")).stdout)
    for job in by_command["jobs"]:
        if (name := Path(job["target"]).name) in WENT_AWAY:
            assert ended((c.operation, c.status, c.reason, c.error) for c in jobs[name].children) == ended(
                (c["operation"], c["status"], c["reason"], c["error"]) for c in job["children"]
            )


async def test_an_empty_file_that_the_config_names_says_so(seeded: Seeded, clock: Clock) -> None:
    Path("empty.db").touch()
    answer = await dbtend("plan", "empty.db", "--store", str(seeded.path))
    async with open_console(seeded.path, entry("empty.db"), clock=clock) as console:
        await console.press("r")
        assert console.message == answer.stderr.strip().replace(f"dbtend: {Path.cwd()}/", "")
