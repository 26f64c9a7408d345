"""The history: its filter line, and how its rows follow what happens."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator

import pytest
from textual.content import Content

from engine import Engine, HistoryFilter, JobId, OnDuplicate, Operation
from engine.config.model import TargetEntry
from engine.domain.claims import Outcome, Report
from engine.domain.errors import StoreError
from engine.domain.statuses import Status
from engine.store.sqlite import history_search
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import (
    Clock,
    Console,
    add_completed_job,
    add_failed_job,
    add_running_job,
    entry,
    finish_job,
    open_console,
)
from tui.console.widgets.history_list import HistoryList


async def some_jobs(seeded: Seeded, clock: Clock) -> None:
    """#1 failed on app, #2 completed on sales, #3 failed on stock; a day between them."""
    await add_failed_job(seeded.store, seeded.owner, clock, "app")
    clock.forward(86_400)
    await add_completed_job(seeded.store, seeded.owner, clock, "sales")
    clock.forward(86_400)
    await add_failed_job(seeded.store, seeded.owner, clock, "stock")


def ids(console: Console) -> list[int]:
    view = console.app.screen.query_one(HistoryList)
    return list(view._ids)


def border(console: Console) -> str:
    return Content.from_markup(console.app.screen.query_one(HistoryList).border_subtitle or "").plain


async def type_filter(console: Console, text: str) -> None:
    await console.press("slash")
    await console.press(*("space" if char == " " else char for char in text))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("target:sales", [2]),
        ("target:SHOP", [2]),
        ("status:failed", [3, 1]),
        ("status:failed since:1d", [3]),
        ("op:vacuum", [2]),
        ("unique failed", [3, 1]),
        ("unique target:app", [1]),
        ('"failed unique"', []),
    ],
)
async def test_the_filter_takes_effect_while_it_is_typed(
    seeded: Seeded, clock: Clock, words: str, found: list[int]
) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        console.app.context.names.learn(TargetEntry(name="shop", url="sqlite:///sales.db"))
        await console.press("h")
        assert (ids(console), border(console)) == ([3, 2, 1], "3 jobs")
        await type_filter(console, words)
        await console.until(lambda: ids(console) == found)
        assert border(console) == f"{len(found)} of 3 jobs  {words}"


async def test_a_history_that_cannot_be_read_is_not_empty_and_is_read_again(
    seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(engine: Engine, where: HistoryFilter, *, folded: bool) -> AsyncIterator[array[int]]:
        raise StoreError("store", "cannot be read")

    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        with monkeypatch.context() as patch:
            patch.setattr(Engine, "search", unreadable)
            await console.press("h")
            view = console.app.screen.query_one(HistoryList)
            assert "cannot be read" in console.message
            assert (view.line_below(0).text, border(console)) == ("", "0 jobs so far")
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: ids(console) == [4, 3, 2, 1])
        assert border(console) == "4 jobs"


@pytest.mark.parametrize("last", ['stat"us:fai', 'op:"va', 'sta""'])
async def test_a_word_that_is_not_finished_is_left_out_whole_however_it_is_quoted(
    last: str, seeded: Seeded, clock: Clock
) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, f"target:sales {last}")
        await console.until(lambda: border(console) == "1 of 3 jobs  target:sales")


async def test_blanks_between_quotes_are_kept(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, '"UNIQUE constraint"')
        await console.until(lambda: ids(console) == [3, 1])
        await console.press("escape")
        await type_filter(console, '"UNIQUE  constraint"')
        await console.until(lambda: ids(console) == [])
        assert border(console) == '0 of 3 jobs  "UNIQUE  constraint"'


async def test_what_is_typed_on_the_main_screen_to_look_for_jobs_is_the_filter(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("slash", *"op:reindex")
        await console.until(lambda: border(console).endswith(" of 3 jobs  op:reindex"))
        await console.press("escape")
        await console.until(lambda: border(console) == "3 jobs")


async def test_enter_keeps_the_filter_and_esc_first_clears_it_and_then_goes_back(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, "target:sales")
        assert console.text("#footer") == "enter keep  esc clear"
        await console.press("enter")
        assert ids(console) == [2]
        assert console.app.focused is console.app.screen.query_one(HistoryList)
        assert "/ filter" in console.text("#footer")
        await console.press("slash", "backspace", "backspace", "enter")
        assert border(console) == "1 of 3 jobs  target:sale"
        await console.press("escape")
        assert (console.screen_name, ids(console), border(console)) == ("HistoryScreen", [3, 2, 1], "3 jobs")
        await console.press("escape")
        assert console.screen_name == "MainScreen"


async def test_esc_in_the_line_clears_it_and_q_leaves_with_a_filter_in_force(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, "status:failed")
        await console.press("escape")
        assert (ids(console), console.screen_name) == ([3, 2, 1], "HistoryScreen")
        assert not console.app.screen.query("#entry")
        await type_filter(console, "status:failed")
        await console.press("enter", "q")
        assert console.screen_name == "MainScreen"


async def test_an_error_is_said_while_typing_and_what_was_found_stays(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, "target:sales status:faild")
        assert console.message.startswith("status:faild: is no status (did you mean failed?")
        assert ids(console) == [2]
        await console.press("enter")
        assert console.app.screen.query("#entry")  # it is not kept
        await console.press("backspace", "backspace", "l", "e", "d", "enter")
        assert (ids(console), console.message) == ([], "")


async def test_a_kept_filter_takes_another_word(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, "status:completed")
        await console.press("enter")
        await type_filter(console, "target:sales")
        await console.press("enter")
        await console.until(lambda: border(console).endswith("status:completed target:sales"))


async def test_the_beginning_of_what_is_known_is_neither_text_nor_wrong(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        for typed, hint in (
            ("target:sales st", "status: completed, partial"),
            ("target:sales status:", "status: completed, partial"),
            ("target:sales status:compl", "status: completed, partial"),
            ("target:sales op:", "op: vacuum, analyze"),
            ("target:sales since:7", "since: a date such as"),
        ):
            await type_filter(console, typed)
            await console.until(lambda: ids(console) == [2])
            assert console.message.startswith(hint)
            await console.press("escape")
            await console.until(lambda: len(ids(console)) == 3)


def view_of(console: Console) -> HistoryList:
    return console.app.screen.query_one(HistoryList)


async def test_nothing_found_says_what_to_do(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, entry("prod.db"), clock=clock) as console:
        await console.press("h")
        await type_filter(console, "op:backup")
        view = console.app.screen.query_one(HistoryList)
        await console.until(lambda: "No job matches op:backup" in view.render_line(0).text)
        assert "clear it with esc" in view.render_line(1).text
        await console.press("escape", "escape", "h")
        await type_filter(console, "reindex Prod")
        await console.until(lambda: "No job matches reindex Prod" in view_of(console).render_line(0).text)
        said = view_of(console).render_line(1).text.strip()
        assert said == "Plain words search error texts. Did you mean op:reindex target:Prod?"
        await console.press("escape", "escape", "h")
        await type_filter(console, "db:prod")
        await console.until(lambda: "No job matches db:prod" in view_of(console).render_line(0).text)
        said = view_of(console).render_line(1).text.strip()
        assert said.startswith("Plain words search error texts. Others begin with target:, status:, op:,")


async def test_a_label_finds_what_has_it(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        console.app.context.names.learn(TargetEntry(name="shop", url="sqlite:///sales.db", label="PROD"))
        await console.press("h")
        await type_filter(console, "target:prod")
        await console.until(lambda: ids(console) == [2])


async def test_rows_come_and_go_under_a_filter_as_jobs_change(seeded: Seeded, clock: Clock) -> None:
    running = await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, "status:running")
        await console.press("enter")
        await console.until(lambda: ids(console) == [running])
        (another,) = await seeded.store.submit([new_job("app", Operation.VACUUM)], OnDuplicate.REFUSE)
        claim = await seeded.store.claim(seeded.owner, [another])
        await console.until(lambda: ids(console) == [another, running])
        await finish_job(seeded.store, seeded.owner, clock, running)
        await console.until(lambda: ids(console) == [another])
        assert border(console) == "1 of 2 jobs  status:running"
        await console.press("escape")
        await type_filter(console, "full")
        await console.until(lambda: ids(console) == [])
        assert claim is not None
        await seeded.store.finish(claim, Outcome(status=Status.FAILED, error="disk is full"), Report())
        await console.until(lambda: ids(console) == [another])


async def test_the_cursor_stays_on_its_job_while_newer_ones_stop_matching(seeded: Seeded, clock: Clock) -> None:
    made = await seeded.store.submit([new_job(f"db{n}", Operation.VACUUM) for n in range(4)], OnDuplicate.REFUSE)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await type_filter(console, "status:pending")
        await console.press("enter", "down", "down")
        view = console.app.screen.query_one(HistoryList)
        assert view.parent_id == made[1]
        await seeded.store.request_cancel(JobId(made[3]))
        await console.until(lambda: ids(console) == [made[2], made[1], made[0]])
        assert view.parent_id == made[1]
        await seeded.store.request_cancel(JobId(made[1]))
        await console.until(lambda: ids(console) == [made[2], made[0]])
        assert view.parent_id == made[0]


async def test_the_end_is_reached_even_where_it_is_asked_for_before_all_was_read(
    seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_search, "FIRST_RANGE", 16)
    monkeypatch.setattr(history_search, "LARGEST_RANGE", 16)
    await seeded.store.submit([new_job(f"db{n}", Operation.VACUUM) for n in range(300)], OnDuplicate.REFUSE)
    async with open_console(seeded.path, clock=clock) as console:
        await console.pilot.press("h")
        await console.pilot.press("G")
        view = console.app.screen.query_one(HistoryList)
        await console.until(lambda: view.complete)
        assert (view.line_count, view.parent_id) == (300, 1)
        await console.until(lambda: "#1 " in view.render_line(view.size.height - 1).text)


async def test_the_end_of_a_list_that_has_just_grown_beyond_the_screen_is_in_view(seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        view = console.app.screen.query_one(HistoryList)
        view.begin(array("q", range(300, 290, -1)), (), lambda _: [])
        view.action_last()
        view.extend(range(290, 0, -1))
        view.end()
        assert view.scroll_offset.y + view.size.height == 300


async def test_a_search_that_fails_is_said_and_the_next_one_finds_again(seeded: Seeded, clock: Clock) -> None:
    await some_jobs(seeded, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        assert ids(console) == [3, 2, 1]
        await seeded.store._writer.run(lambda c: c.execute("ALTER TABLE parent_job RENAME TO hidden"))
        await type_filter(console, "status:failed")
        assert "cannot be read: no such table" in console.message
        assert ids(console) == []
        await seeded.store._writer.run(lambda c: c.execute("ALTER TABLE hidden RENAME TO parent_job"))
        await console.press("escape")
        await console.until(lambda: ids(console) == [3, 2, 1])
        await type_filter(console, "status:failed")
        await console.until(lambda: ids(console) == [3, 1])
