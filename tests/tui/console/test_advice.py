"""Advice in the console: what a target needs, and which operations are selected."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine import Advice, CheckLevel, Engine, Level, Operation
from engine.domain.thresholds import Thresholds
from engine.inspection import inspector
from tests.sqlite_files import transaction
from tests.tui.console.harness import Clock, Console, chosen, entry, open_console
from tui.console.parts import target_inspector
from tui.console.screens.main import MainScreen
from tui.console.target_model import TargetModel
from tui.console.views.hints import examined
from tui.console.views.lists import TargetState
from tui.console.widgets.item_list import ItemList

STORE = Path("jobs.db")


@pytest.fixture
def may_advise(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Until it is set, advice waits."""
    advise, event = Engine.advise, asyncio.Event()

    async def when_it_may(self: Engine, target: str, **more: Any) -> object:
        await event.wait()
        return await advise(self, target, **more)

    monkeypatch.setattr(Engine, "advise", when_it_may)
    return event


def levels(console: Console) -> dict[str, str]:
    lines = (line[4:].split() for line in console.lines("#operations") if line.startswith("["))
    return {
        words[0]: words[-1]
        for words in lines
        if words[-1] in {"critical", "now", "soon", "unknown", "unchecked", "small", "ok"}
    }


def check_row(console: Console) -> str:
    (row,) = (line for line in console.lines("#operations") if line[4:].startswith("check "))
    return row.rpartition(")")[0] + ")"


async def test_what_is_needed_is_chosen_and_runs_as_it_is_advised(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, workers=1) as console:
        assert chosen(console) == ["analyze", "check"]
        assert (levels(console)["analyze"], levels(console)["check"]) == ("small", "unchecked")
        assert levels(console)["vacuum"] == "ok"
        assert console.lines("#targets")[0].split() == [">", "sales.db", "unchecked"]

        await console.press("r", "enter")
        (done,) = await console.engine.wait([1])
        assert done.request.operations == (Operation.CHECK, Operation.ANALYZE)
        await console.until(lambda: levels(console)["analyze"] == "ok")
        await console.until(lambda: levels(console)["check"] == "ok")
        assert chosen(console) == []
        assert console.lines("#targets")[0].split() == [">", "sales.db", "ok"]
        await console.press("r")
        assert console.message.startswith("Nothing to run")


async def test_the_cursor_is_on_what_matters_most_and_stays_there(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, workers=1) as console:
        operations = console.app.screen.query_one("#operations", ItemList)
        assert operations.key is Operation.ANALYZE
        await console.press("r", "enter")
        await console.engine.wait([1])
        await console.until(lambda: levels(console)["analyze"] == "ok")
        assert operations.key is Operation.ANALYZE


async def test_a_cursor_that_was_moved_before_it_is_known_what_is_needed_stays(
    sales: Path, clock: Clock, may_advise: asyncio.Event
) -> None:
    async with open_console(STORE, entry(), clock=clock, settled=False) as console:
        await console.until(lambda: console.lines("#operations")[0].startswith("["), settled=False)
        await console.pilot.press("down", "up")
        may_advise.set()
        await console.until(lambda: levels(console))
        assert console.app.screen.query_one("#operations", ItemList).key is Operation.VACUUM


async def test_what_the_config_names_is_chosen_whether_needed_or_not(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(operations=(Operation.VACUUM,)), clock=clock) as console:
        assert chosen(console) == ["vacuum"]
        assert levels(console)["analyze"] == "small"


async def test_what_the_user_says_stands_until_it_is_under_way(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, workers=1) as console:
        await console.press("2", "g", "space", "down", "space")
        assert chosen(console) == ["vacuum", "check"]
        await console.press("r", "enter")
        (done,) = await console.engine.wait([1])
        assert done.request.operations == (Operation.CHECK, Operation.VACUUM)
        assert done.request.options.check is CheckLevel.QUICK  # as advised
        await console.until(lambda: chosen(console) == ["analyze", "check"])
        assert check_row(console) == "[x] check (quick)"  # before ANALYZE, as the file has changed since the last one


async def test_a_check_stays_as_thorough_as_advised_until_it_is_asked_for(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        assert check_row(console) == "[x] check (quick)"
        await console.press("2", "g", "space")
        assert chosen(console) == ["vacuum", "analyze", "check"]
        assert check_row(console) == "[x] check (quick)"

        await console.press("g", *["down"] * 4, "space")
        assert check_row(console) == "[ ] check (full)"
        await console.press("space")
        assert check_row(console) == "[x] check (full)"
        await console.press("r", "enter")
        (parent,) = await console.engine.history()
        assert parent.request.options.check_level is CheckLevel.FULL


async def test_a_check_that_is_to_come_before_writing_stays_first_whatever_else_is_chosen(
    sales: Path, clock: Clock
) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("2", "g", "space")
        assert chosen(console) == ["vacuum", "analyze", "check"]
        await console.press("r", "enter")
        (parent,) = await console.engine.history()
        assert parent.request.operations == (Operation.CHECK, Operation.VACUUM, Operation.ANALYZE)
        assert parent.request.options.check_first
        assert parent.request.options.check is CheckLevel.QUICK


async def test_a_check_that_the_user_chooses_anew_comes_first_too(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(operations=(Operation.VACUUM,)), clock=clock) as console:
        await console.press("2", "g", *["down"] * 4, "space")
        assert chosen(console) == ["vacuum", "check"]
        await console.press("r", "enter")
        (parent,) = await console.engine.history()
        assert parent.request.operations == (Operation.CHECK, Operation.VACUUM)
        assert parent.request.options.check_first
        assert parent.request.options.check_level is CheckLevel.FULL


async def test_without_that_check_what_is_chosen_just_runs(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("2", "g", *["down"] * 4, "space")
        assert chosen(console) == ["analyze"]
        await console.press("r", "enter")
        (parent,) = await console.engine.history()
        assert parent.request.operations == (Operation.ANALYZE,)
        assert not parent.request.options.check_first


async def test_a_damaged_index_is_seen_at_once(sales: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(sales)) as db:
        db.execute("ANALYZE")
    async with open_console(STORE, entry(), clock=clock, workers=1) as console:
        with closing(sqlite3.connect(sales)) as db:
            db.execute("PRAGMA writable_schema = ON")
            db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'note', 'id') WHERE name = 'my-index'")
            db.commit()
        await console.press("2", "g", *["down"] * 4, "space", "space", "r", "enter")
        await console.engine.wait([1])
        await console.until(lambda: levels(console)["reindex"] == "critical")
        assert chosen(console) == ["reindex", "check"]
        assert console.lines("#targets")[0].split()[-1] == "critical"


async def test_where_nothing_can_be_known_what_is_usual_is_chosen(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    advise = Engine.advise

    async def while_locked(self: Engine, target: str, **more: Any) -> object:
        with transaction(sales, "EXCLUSIVE"):
            return await advise(self, target, **more)

    monkeypatch.setattr(Engine, "advise", while_locked)
    async with open_console(STORE, entry(), clock=clock) as console:
        assert chosen(console) == ["vacuum", "analyze"]
        assert levels(console) == {}
        assert "kB" in console.lines("#targets")[0]


async def test_what_there_was_no_time_for_is_looked_at_where_somebody_wants_to_know(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_inspector, "ADVICE_BUDGET", 0.0)
    async with open_console(STORE, entry(), clock=clock) as console:
        assert levels(console)["analyze"] == "unknown"
        await console.press("x")
        assert levels(console)["analyze"] == "small"
        assert console.message == "Full inspection finished."


async def test_where_one_of_several_cannot_be_looked_at_it_is_not_said_that_all_were(
    sales: Path, tmp_path: Path, clock: Clock
) -> None:
    other = tmp_path / "app.db"
    other.write_bytes(sales.read_bytes())
    async with open_console(STORE, entry(), entry("app.db"), clock=clock) as console:
        await console.press("1", "space", "down", "space")
        other.unlink()
        await console.press("x")
        assert console.message == "Full inspection incomplete. app.db: there is no such file."


async def test_what_is_locked_or_cannot_be_told_is_named_with_the_reason(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        monkeypatch.setattr(inspector, "LOCK_TIMEOUT", 0.01)
        with transaction(sales, "EXCLUSIVE"):
            await console.press("x")
            assert console.message.startswith("Full inspection incomplete. sales.db: ")
            assert "lock" in console.message
        await console.press("x")
        assert console.message == "Full inspection finished."


UNSEEN = Advice(
    operation=Operation.VACUUM,
    level=Level.UNKNOWN,
    reason="no page is free; half filled ones were not looked at (this SQLite cannot)",
)


def test_what_stays_unknown_is_no_look_at_everything() -> None:
    known = replace(UNSEEN, level=Level.NONE, reason="no page is free")
    states = [TargetState(entry(f"{name}.db"), advice=(UNSEEN, UNSEEN, known)) for name in "abcd"]
    assert examined((state, None) for state in states[:1]) == (
        "Full inspection incomplete. a.db: no page is free; half filled ones were not looked at (this SQLite cannot)."
    )
    assert examined((state, None) for state in states).endswith(". And 2 more.")
    for seen in (known, replace(UNSEEN, inspection_can_tell=False)):
        assert examined([(replace(states[0], advice=(seen,)), None)]) == "Full inspection finished."


async def test_a_look_at_everything_can_be_ended(sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    advise, ended = Engine.advise, asyncio.Event()

    async def for_ever(self: Engine, target: str, *, budget: float | None, limits: Thresholds) -> object:
        if budget is not None:
            return await advise(self, target, budget=budget, limits=limits)
        try:
            return await asyncio.Event().wait()
        finally:
            ended.set()

    monkeypatch.setattr(Engine, "advise", for_ever)
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.pilot.press("x")
        assert console.message.startswith("Full inspection of sales.db; x again stops it.")
        assert "inspecting" in console.lines("#targets")[0]
        await console.press("x")
        assert ended.is_set()
        assert console.lines("#targets")[0].split()[-1] == "unchecked"


async def test_the_plan_gives_the_reason_that_stood_beside_the_operation(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(operations=(Operation.VACUUM,)), clock=clock, size=(120, 40)) as console:
        await console.press("r")
        (advice,) = [a for a in await console.engine.advise(str(sales)) if a.operation is Operation.VACUUM]
        assert advice.reason in " ".join(line.strip() for line in console.lines("#page"))


@pytest.mark.parametrize("goes_to", ["", "HistoryScreen"])
async def test_a_plan_that_is_asked_for_too_early_comes_when_it_can(
    goes_to: str, sales: Path, clock: Clock, may_advise: asyncio.Event
) -> None:
    """But not over another screen that was opened in between."""
    async with open_console(STORE, entry(), clock=clock, settled=False) as console:
        await console.until(lambda: console.lines("#operations")[0].startswith("["), settled=False)
        assert chosen(console) == []
        await console.pilot.press("r")
        assert console.screen_name == "MainScreen"
        assert console.message == "Inspecting the target; the plan opens when that is done."
        if goes_to:
            await console.pilot.press("h")
        main = console.app.screen_stack[0]
        assert isinstance(main, MainScreen)
        may_advise.set()
        await console.until(lambda: not main.model.is_pending)
        assert console.screen_name == (goes_to or "PlanScreen")


def test_a_model_without_targets() -> None:
    model = TargetModel([])
    assert (model.state, model.chosen, model.request()) == (None, frozenset(), None)
    assert not model.is_pending
