"""The list of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine import Engine, JobId, Operation, Request
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, add_completed_job, add_failed_job, entry, open_console
from tui.console.actions import ACTIONS
from tui.console.screens.palette import PaletteScreen
from tui.console.views.palette import Command, Kind, commands, matching, palette_rows

BOUND = {"cancel", "retry", "pin"}


def everything() -> list[Command]:
    bound = {action.id for action in ACTIONS}
    return commands(bound, lambda _: True, themes=("dbtend", "ansi-dark"), theme="dbtend", refresh=0.25)


def names(typed: str) -> list[str]:
    return [command.name for command in matching(everything(), typed)]


def test_what_cannot_be_done_is_not_offered() -> None:
    offered = commands(BOUND, lambda name: name != "cancel", themes=(), theme="", refresh=1)
    assert [c.name for c in offered if c.kind is Kind.ACTION] == ["retry", "pin", "unpin"]


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("cancel", "cancel works on a waiting or running job."),
        ("canc", "cancel works on a waiting or running job."),
        ("submit", "submit works in a plan in which something can run."),
        ("filter-t", "filter-targets works in a list of targets."),
    ],
)
def test_of_what_can_be_done_only_elsewhere_that_is_said(typed: str, why: str) -> None:
    known = commands(BOUND, lambda name: name != "cancel", themes=(), theme="", refresh=1)
    assert [row.text for row in palette_rows(matching(known, typed), 72)] == [why]
    assert {c.kind for c in matching(known, "i")} == {Kind.ACTION}
    assert Kind.ELSEWHERE not in {c.kind for c in matching(known, "old history")}


def test_of_what_a_console_that_is_read_only_does_not_do_that_is_said() -> None:
    known = commands(BOUND, lambda _: False, themes=(), theme="", refresh=1, is_barred=lambda name: name == "retry")
    (row,) = palette_rows(matching(known, "retry"), 100)
    assert row.text == "Read-only: running jobs is off."


def test_names_come_before_explanations() -> None:
    assert names("the")[:3] == ["theme", "theme dbtend", "theme ansi-dark"]
    assert names("retention") == ["pin", "unpin"]
    assert names("ansi") == ["theme ansi-dark"]
    assert names("nothing like it") == []


@pytest.mark.parametrize(
    ("typed", "pane"), [("targets", "pane-1"), ("op", "pane-2"), ("jobs", "pane-3"), ("detail", "pane-4")]
)
def test_a_pane_is_found_first_by_what_it_shows(typed: str, pane: str) -> None:
    here = commands({"workers", "pane-1", "pane-2", "pane-3", "pane-4"}, lambda _: True, themes=(), theme="", refresh=1)
    assert matching(here, typed)[0].value == pane


@pytest.mark.parametrize("typed", ["42.1", "#42.1", " 42.1 "])
def test_a_number_is_a_job(typed: str) -> None:
    assert matching(everything(), typed)[0] == Command(Kind.JOB, "42.1", "#42.1", "Open this job")


@pytest.mark.parametrize("width", [40, 58, 72])
def test_rows_fit(width: int) -> None:
    assert all(len(row.text) <= width for row in palette_rows(everything(), width))
    assert palette_rows([], width)[0].text == "There is no such command."


async def test_a_command_is_done_where_it_was_asked_for(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "colon", *"zoo", "enter")
        assert console.app.screen.has_class("-zoomed")
        await console.press("plus", "colon", *"ret", "enter")
        assert console.lines("#text")[0] == "Run #1 on app.db again?"
        await console.press("n", "colon", *"fold", "enter")
        assert len(console.lines()) == 2


async def test_moving_in_the_list_and_leaving_it(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("colon", *"theme ", "down", "ctrl+n", "ctrl+p", "down", "down", "enter")
        assert console.app.theme == "high-contrast"
        assert 'theme = "high-contrast"' in console.message
        await console.press("colon", "escape")
        assert console.screen_name == "MainScreen"
        await console.press("colon", *"xyz", "enter")
        assert isinstance(console.app.screen, PaletteScreen)


async def test_a_job_is_opened_by_its_number(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("colon", *"1.2", "enter")
        assert console.screen_name == "JobScreen"
        assert console.app.screen.selected_job[1] == JobId(1)  # type: ignore[attr-defined]
        await console.press("escape", "colon", *"1.1", "enter")
        assert console.screen_name == "JobScreen"


async def test_a_batch_is_opened_in_the_history(sales: Path, clock: Clock) -> None:
    async with Engine.open(Path("jobs.db"), clock=clock) as engine:
        for name in ("a.db", "b.db"):
            Path(name).write_bytes(sales.read_bytes())
        await engine.submit([Request(target=name, operations=(Operation.CHECK,)) for name in ("a.db", "b.db")])
        await engine.cancel_batch(1)
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        await console.press("colon", *"b7", "enter")
        assert console.message == "There is no batch b7."
        await console.press("colon", *"b1", "enter")
        assert console.screen_name == "HistoryScreen"
        await console.until(lambda: any("b.db" in row for row in console.lines("#history")))


@pytest.mark.parametrize("job", ["77", "1.9"])
async def test_a_job_that_is_not_there_is_not_opened(job: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("colon", *job, "enter")
        assert console.screen_name == "MainScreen"
        assert console.message == f"There is no job #{job}."


async def test_what_cannot_be_done_here_is_not_done(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("colon", *"retry", "enter")
        assert console.screen_name == "PaletteScreen"
        assert console.lines("#commands") == ["retry works on a job that has ended."]


async def test_the_pace_of_looks(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("less_than_sign")
        assert console.app.context.feed.refresh == 0.5
        assert console.message == "Running jobs are refreshed every 0.5 s."
        await console.press("greater_than_sign", "greater_than_sign")
        assert console.app.context.feed.refresh == 0.25
        await console.press("colon", *"refresh 5", "enter")
        assert console.app.context.feed.refresh == 5


async def test_only_the_terminals_own_colours_where_none_are_wanted(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_console(seeded.path, entry(), clock=clock) as console:
        assert console.app.theme == "ansi-dark"
        await console.press("C")
        assert [line.split()[0:2] for line in console.lines("#commands")] == [
            ["theme", "ansi-dark"],
            ["theme", "ansi-light"],
        ]


async def test_places_that_are_open_are_gone_back_to(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("h")
        await console.until(lambda: not any("…" in line for line in console.lines("#history")))
        await console.press("enter", "w", "h")
        assert [type(screen).__name__ for screen in console.app.screen_stack] == ["MainScreen", "HistoryScreen"]
