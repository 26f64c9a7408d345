"""The console, driven by keys, on real databases and a real store."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.geometry import Size
from textual.screen import Screen

from engine import EngineName, JobId, OnDuplicate, Operation, Progress, Request, Status, Step
from engine.domain.claims import Report
from engine.store.protocol import NewJob
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import (
    Clock,
    Console,
    _claim_of_running,
    add_completed_job,
    add_failed_job,
    add_running_job,
    chosen,
    entry,
    finish_job,
    open_console,
    statuses,
)
from tests.tui.jobs import child, parent
from tui.console.actions import ACTIONS
from tui.console.parts import retry
from tui.console.screens import main
from tui.console.screens.main import MainScreen
from tui.console.views.keys import places_of
from tui.console.widgets import job_tree
from tui.console.widgets.history_list import HistoryList
from tui.console.widgets.item_list import ItemList
from tui.console.widgets.operation_list import OperationList

STORE = Path("jobs.db")


async def test_a_run_from_choosing_operations_to_the_history(sales: Path, clock: Clock) -> None:
    """The rows of the children change by themselves, and end as the store says."""
    size_before = sales.stat().st_size
    async with open_console(STORE, entry(), clock=clock, workers=2) as console:
        await console.press("2", "g", "space", "down", "space", "down", "space", "down", "space", "down", "space")
        assert chosen(console) == ["vacuum", "reindex", "optimize"]

        await console.press("r")
        assert console.screen_name == "PlanScreen"
        assert "  VACUUM" in console.lines("#page")
        assert not await console.engine.history()

        await console.press("enter")
        (done,) = await console.engine.wait([1])
        await console.until(lambda: "✓ completed" in console.lines()[0])
        assert done.request.operations == (Operation.VACUUM, Operation.REINDEX, Operation.OPTIMIZE)
        assert statuses(done) == ["completed"] * 3
        rows = console.lines()
        assert len(rows) == 4
        assert "sales.db" in rows[0]
        assert "3/3" in rows[0]
        assert all("✓ completed" in row for row in rows)
        assert "->" in rows[1]
        assert sales.stat().st_size < size_before
        assert console.tree.job == JobId(1)
        assert console.app.focused is console.tree

        await console.press("h")
        await console.until(lambda: "✓ completed" in console.lines("#history")[0])
        await console.press("enter")
        assert console.screen_name == "JobScreen"
        assert any('REINDEX main."my-index"' in line for line in console.lines("#page"))
        await console.press("escape", "q")
        assert console.screen_name == "MainScreen"


async def test_the_header_tells_the_new_size_when_a_job_is_over(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(operations=(Operation.VACUUM,)), clock=clock, workers=1) as console:
        before = console.text("#header")
        await console.press("r", "enter")
        await console.until(lambda: console.text("#header") != before and "nothing running" in console.text("#header"))
        assert " 0% reclaimable " in console.text("#header")


async def test_escape_from_the_plan_runs_nothing(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, workers=1) as console:
        await console.press("p", "escape", "enter", "enter")
        assert console.screen_name == "MainScreen"
        assert not await console.engine.history()


async def test_nothing_chosen_is_said_and_not_run(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(operations=(Operation.VACUUM,)), clock=clock) as console:
        await console.press("2", "space", "r")
        assert console.screen_name == "MainScreen"
        assert console.message == "Nothing to run: select an operation in pane 2 with space."
        assert "r run" not in console.text("#footer")
        await console.press("down")
        assert not console.app.screen.query_one("#message").display


async def test_a_plan_that_cannot_be_made_is_a_sentence(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        sales.unlink()
        await console.press("r")
        assert "there is no such file" in " ".join(console.lines("#page"))
        await console.press("enter")
        assert console.screen_name == "PlanScreen"
        assert "run this plan" not in console.text("#footer")


async def test_the_same_request_twice_leads_to_the_job_that_is_there(sales: Path, clock: Clock) -> None:
    """R20: a second identical request is refused while the first is open."""
    started = []
    async with open_console(STORE, entry(), clock=clock, ensure_worker=lambda: started.append(1)) as console:
        await console.press("r", "enter")
        await console.until(lambda: "pending" in console.lines()[0])
        await console.press("2", "r", "enter")
        assert console.message.startswith("sales.db: job #1 already does exactly this")
        assert len(await console.engine.history()) == 1
        assert started
        assert "no worker" in console.text("#header")


async def test_a_job_that_comes_while_nobody_serves_gets_a_worker(sales: Path, clock: Clock) -> None:
    started: list[int] = []
    async with open_console(STORE, entry(), clock=clock, ensure_worker=lambda: started.append(1)) as console:
        await console.engine.submit([Request(target=str(sales), operations=(Operation.VACUUM,))])
        await console.until(lambda: started)  # a job is open, and no process is alive that would carry it out


async def test_cancel_asks_and_no_is_the_default(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("r", "enter")
        for answer in ("enter", "escape", "n"):
            await console.press("c")
            assert console.screen_name == "ConfirmScreen"
            assert "Cancel #1 on sales.db" in console.lines("#text")[0]
            await console.press(answer)
            assert (await console.engine.job(1)).status is Status.PENDING
        await console.press("c", "y")
        await console.until(lambda: "■ cancelled" in console.lines()[0])
        assert statuses(await console.engine.job(1)) == ["cancelled"] * 2
        await console.press("c")
        assert console.message.startswith("Nothing to cancel")


async def test_one_child_is_cancelled_while_it_runs(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "down", "down", "c", "y")
        await console.until(lambda: "cancelling" in console.lines()[2])
        job = await console.engine.job(1)
        assert statuses(job) == ["completed", "running", "pending", "pending"]
        assert await seeded.store.cancel_requests(seeded.owner) == {JobId(1, 2)}


async def test_retry_makes_a_new_job(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock, workers=1) as console:
        await console.press("r", "enter")
        await console.engine.wait([1])
        await console.until(lambda: "completed" in console.lines()[0])
        await console.press("t", "n")
        assert len(await console.engine.history()) == 1
        await console.press("t", "y")
        await console.engine.wait([2])
        await console.until(lambda: "#2" in console.lines()[0] and "completed" in console.lines()[0])
        assert (await console.engine.job(2)).retry_of == 1
        assert console.tree.job == JobId(2)


async def test_the_cursor_stays_on_its_job_when_another_comes(sales: Path, seeded: Seeded, clock: Clock) -> None:
    for _ in range(30):
        await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", *["down"] * 25)
        job, row = console.tree.job, console.tree.cursor - console.tree.scroll_offset.y
        assert job == JobId(5)
        await add_failed_job(seeded.store, seeded.owner, clock, "other")
        await console.until(lambda: "#31" in console.lines()[0])
        assert console.tree.job == job
        assert console.tree.cursor - console.tree.scroll_offset.y == row


async def test_a_parent_unfolds_when_it_starts_and_folds_by_hand(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: len(console.lines()) == 5)
        await console.press("3", "down", "down", "z")
        assert len(console.lines()) == 1
        assert console.tree.job == JobId(1)
        await console.press("l")
        assert len(console.lines()) == 5
        await console.press("left")
        assert len(console.lines()) == 1


async def test_a_job_that_is_over_folds_itself_when_another_starts(sales: Path, seeded: Seeded, clock: Clock) -> None:
    """Except parents that the user folded or unfolded, and the one under the cursor. The cursor does not move."""
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3")
        for parent_id in (1, 2, 3):
            await add_running_job(seeded.store, seeded.owner, clock)
            await console.until(lambda: "running" in console.lines()[0])
            await finish_job(seeded.store, seeded.owner, clock, parent_id)
            await console.until(lambda: "completed" in console.lines()[0])
            if parent_id == 2:
                console.tree.go_to_parent(2)
                await console.press("left", "l")
                console.tree.go_to_parent(1)
                await console.press("down")
        assert console.tree.job == JobId(1, 1)
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: "#4" in console.lines()[0] and "running" in console.lines()[0])
        assert [line[:4] for line in console.lines() if "#" in line] == ["▼ #4", "► #3", "▼ #2", "▼ #1"]
        assert console.tree.job == JobId(1, 1)
        console.tree.go_to_parent(4)
        await finish_job(seeded.store, seeded.owner, clock, 4)
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: "#5" in console.lines()[0] and "running" in console.lines()[0])
        assert [line[:4] for line in console.lines() if "#" in line] == ["▼ #5", "▼ #4", "► #3", "▼ #2", "► #1"]


@pytest.mark.parametrize("ids", [(7, 8), (8, 7)])
async def test_a_job_folds_itself_also_where_its_end_is_told_together_with_the_start_of_the_next(
    sales: Path, seeded: Seeded, clock: Clock, ids: tuple[int, int]
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: "running" in console.lines()[0])
        running, over = parent(child(status=Status.RUNNING)), parent(child())
        console.tree.put([replace(running, id=7)])
        console.tree.go_to_parent(1)
        news = {7: replace(over, id=7), 8: replace(running, id=8)}
        console.tree.put([news[number] for number in ids])
        assert [line[:4] for line in console.lines() if "#" in line][:2] == ["▼ #8", "► #7"]


async def test_there_is_a_timer_only_while_a_job_runs(sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        assert not console.app.context.feed.ticking
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: console.app.context.feed.ticking)
        await finish_job(seeded.store, seeded.owner, clock, 1)
        await console.until(lambda: "completed" in console.lines()[0])
        assert not console.app.context.feed.ticking


async def test_of_what_is_over_the_newest_are_shown(
    seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_tree, "KEPT", 2)

    def shown() -> list[str]:
        return [line.split()[1] for line in console.lines() if "#" in line]

    await seeded.store.submit([new_job("waits")], OnDuplicate.REFUSE)
    for name in ("a", "b"):
        await add_failed_job(seeded.store, seeded.owner, clock, name)
    async with open_console(seeded.path, clock=clock) as console:
        console.tree.go_to_parent(2)
        await console.press("3", "z")
        for name in ("c", "d", "e"):
            await add_failed_job(seeded.store, seeded.owner, clock, name)
        await console.until(lambda: "#6" in shown())
        assert shown() == ["#6", "#5", "#2", "#1"]
        await console.press("g")
        await add_failed_job(seeded.store, seeded.owner, clock, "f")
        await console.until(lambda: "#7" in shown())
        assert shown() == ["#7", "#6", "#1"]
        assert console.tree._expanded.keys() <= {1, 6, 7}


async def test_only_lines_that_changed_are_painted(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        painted: list[int] = []
        monkeypatch.setattr(console.tree, "refresh_line", painted.append)
        running = await console.engine.jobs([1])
        painted.clear()
        console.tree.put(running)
        assert painted == []
        clock.forward(1)
        console.tree.put(running)
        assert painted == [0, 2]


async def test_a_list_that_grows_and_shrinks_does_not_lay_out_the_screen(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock, size=(120, 40)) as console:
        await console.press("3")
        layouts, lay_out = list[bool](), Screen._refresh_layout

        def noted(screen: Screen[None], size: Size | None = None, scroll: bool = False) -> None:
            layouts.append(scroll)
            lay_out(screen, size, scroll)

        monkeypatch.setattr(Screen, "_refresh_layout", noted)
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: len(console.lines()) == 5)
        await console.press("z")
        assert len(console.lines()) == 1
        assert layouts == []
        for target in map(str, range(console.tree.size.height)):
            await seeded.store.submit([new_job(target)], OnDuplicate.REFUSE)
        await console.until(lambda: len(console.lines()) > console.tree.size.height)
        assert console.tree.show_vertical_scrollbar
        assert console.tree.vertical_scrollbar.window_virtual_size == len(console.lines())


async def test_progress_is_read_while_something_runs(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        assert "27%" in console.lines()[2]
        assert "0:04" in console.lines()[2]
        clock.forward(61)
        await console.until(lambda: "1:05" in console.lines()[2])


@pytest.mark.parametrize(("key", "focused"), [("1", "targets"), ("2", "operations"), ("3", "jobs"), ("4", "detail")])
async def test_numbers_jump_to_panes_and_plus_zooms_them(key: str, focused: str, sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press(key)
        assert console.app.focused is not None
        assert console.app.focused.id == focused
        narrow = console.app.focused.size
        await console.press("plus")
        assert console.app.focused.size.width == 78
        assert console.app.focused.size.height == 20
        await console.press("tab")
        assert console.app.focused.id != focused
        assert console.app.focused.size.width == 78
        await console.press(key, "escape")
        assert console.app.focused.size == narrow


async def test_the_detail_of_what_runs_goes_on_where_it_was_scrolled_to(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    job = await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("4", "j")
        assert (console.detail.scroll_offset.y, console.detail.line_count) == (1, 6)
        steps = tuple(
            Step(number=n, attempt=1, object=f"t{n}", command=f"ANALYZE main.t{n}", status=Status.COMPLETED,
                 started_at=clock.now, finished_at=clock.now)
            for n in range(3, 7)
        )  # fmt: skip
        progress = Progress(fraction=0.66, object="t7", steps_done=6, steps_total=9)
        await seeded.store.report(_claim_of_running(seeded.owner, job), Report(progress=progress, steps=steps))
        clock.forward(1)
        await console.until(lambda: "6 of 9 steps done, at t7" in console.lines("#detail"))
        await console.until(lambda: "ANALYZE main.t6" in console.lines("#detail"))
        assert (console.detail.scroll_offset.y, console.detail.line_count) == (1, 6)


async def test_help_names_every_key_of_the_screen(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        await console.press("question_mark")
        text = "\n".join(console.lines("#page"))
        here = places_of(MainScreen.FOOTER)
        assert all((action.help.split(" (")[0][:40] in text) == (action.place in here) for action in ACTIONS)
        await console.press("G", "g", "pagedown", "j", "k", "escape")
        assert console.screen_name == "MainScreen"


async def test_a_broken_target_leaves_the_others_usable(sales: Path, clock: Clock) -> None:
    Path("noise.db").write_bytes(b"this is no database, not at all " * 64)
    async with open_console(STORE, entry("noise.db"), entry(), clock=clock) as console:
        assert "× no database" in console.lines("#targets")[0]
        await console.press("r")
        assert console.message == "noise.db: this is not a SQLite database, or it is encrypted"
        await console.press("1", "down", "r")
        assert console.screen_name == "PlanScreen"


async def test_hostile_names_reach_the_screen_as_harmless_text(clock: Clock) -> None:
    name = "[bold]x[b]\x1b[31m.db"
    with closing(sqlite3.connect(name)) as db:
        db.execute('CREATE TABLE "t\x1b]0;owned\x07[red]"(a)')
    target = entry(name, operations=(Operation.ANALYZE,))
    async with open_console(STORE, target, clock=clock, size=(120, 40)) as console:
        (named,) = console.lines("#targets")[:1]
        assert "[bold]" in named
        assert "\\x1b[31m" in named
        await console.press("r")
        shown = "\n".join(console.lines("#page"))
        assert "\x1b" not in shown
        assert "\\x1b]0;owned\\x07[red]" in shown


async def test_a_store_that_breaks_is_a_sentence(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        with closing(sqlite3.connect(seeded.path)) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute("ALTER TABLE step RENAME TO lost")
            db.commit()
        await console.press("3", "z", "down", "enter")
        assert console.screen_name == "JobScreen"
        await console.until(lambda: console.lines("#page"))
        said = "".join("".join(console.lines("#page")).split())  # wherever the lines were wrapped
        sentence = f"{seeded.path}: cannot be read: no such table: step (run `dbtend doctor`)"
        assert said == "".join(sentence.split())


async def test_many_jobs_in_the_history_are_read_by_the_page(seeded: Seeded, clock: Clock) -> None:
    request = Request(target="sqlite:///sales.db", operations=(Operation.VACUUM,))
    await _many(seeded.store, request, 700)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await console.until(lambda: "700 jobs" in str(console.app.screen.query_one("#history").border_subtitle))
        await console.press("G")
        view = console.app.screen.query_one("#history", HistoryList)
        await console.until(lambda: "#1 " in view.render_line(view.size.height - 1).text)
        await console.until(lambda: "cancelled" in view.render_line(view.size.height - 1).text)
        known = view._jobs
        assert 64 <= len(known) <= 3 * 128


async def test_jobs_that_retention_removed_leave_the_history(seeded: Seeded, clock: Clock) -> None:
    """Those of a page that was not looked at yet: they are found to be gone when they come into view."""
    request = Request(target="sqlite:///sales.db", operations=(Operation.VACUUM,))
    await _many(seeded.store, request, 300)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await console.until(
            lambda: "cancelled" in console.app.screen.query_one("#history", HistoryList).line_at(0).text
        )
        await seeded.store.prune(range(1, 101))
        await console.press("G")
        await console.until(lambda: "200 jobs" in str(console.app.screen.query_one("#history").border_subtitle))
        await console.until(lambda: console.lines("#history")[-1].startswith("#101 "))


async def _many(store: SqliteStore, request: Request, number: int) -> None:
    jobs = [NewJob(request=request, engine=EngineName.SQLITE, target_key=f"key {n}") for n in range(number)]
    ids = await store.submit(jobs, OnDuplicate.REFUSE)
    await asyncio.gather(*(store.request_cancel(JobId(parent_id)) for parent_id in ids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_signals_end_the_console_in_order(number: signal.Signals, sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), clock=clock) as console:
        os.kill(os.getpid(), number)
        await console.until(lambda: console.app.return_code is not None)
        assert console.app.return_code == 0


async def test_leaving_says_how_many_jobs_go_on(
    sales: Path, seeded: Seeded, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("q")
    assert "1 job goes on: dbtend history" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keys", "focused"), [(("h",), "history"), (("?",), "page"), (("3",), "jobs"), (("3", "enter"), "page")]
)
async def test_a_window_that_was_too_small_for_a_moment_keeps_the_focus(
    keys: tuple[str, ...], focused: str, seeded: Seeded, clock: Clock
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press(*keys)
        await console.pilot.resize_terminal(50, 10)
        await console.until(lambda: console.app.focused is None)
        await console.pilot.resize_terminal(80, 24)
        await console.until(lambda: console.app.focused is not None and console.app.focused.id == focused)


async def test_a_new_console_shows_the_same_jobs_moving(sales: Path, seeded: Seeded, clock: Clock) -> None:
    parent_id = await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        shown = console.lines()
        await console.press("q")
    async with open_console(seeded.path, entry(), clock=clock) as console:
        assert console.lines() == shown
        await finish_job(seeded.store, seeded.owner, clock, parent_id)
        await console.until(lambda: "✓ completed" in console.lines()[0])


async def test_a_page_that_opens_while_the_console_ends_does_no_harm(clock: Clock) -> None:
    async with open_console(STORE, clock=clock) as console:
        console.app.exit()
        console.app.action_help()
        await console.until(lambda: console.app.return_code is not None)
    assert console.app.return_code == 0


async def test_the_history_moves_while_a_job_runs(seeded: Seeded, clock: Clock) -> None:
    parent_id = await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await console.until(lambda: "► running " in console.lines("#history")[0])
        await finish_job(seeded.store, seeded.owner, clock, parent_id)
        await console.until(lambda: "✓ completed " in console.lines("#history")[0])


async def test_keys_that_are_typed_ahead_are_for_the_new_pane(sales: Path, clock: Clock) -> None:
    async with open_console(STORE, entry(), entry("other.db"), clock=clock) as console:
        await console.press("2", "g")
        for zoomed in (False, True):
            await console.press("1", "down", *(["plus"] if zoomed else []))
            type_at_once(console, "2", "down", "down")
            await console.settle()
            operations = console.app.screen.query_one("#operations", OperationList)
            assert console.app.focused is operations
            assert operations.key is (Operation.BACKUP if zoomed else Operation.REINDEX)
            assert console.app.screen.query_one("#targets", ItemList).key == 0
            await console.press("down", "down", "down", "down")


async def test_a_plan_that_is_asked_for_right_after_a_choice_goes_by_it(sales: Path, clock: Clock) -> None:
    with closing(sqlite3.connect("other.db")) as db:
        db.execute("CREATE TABLE t(a)")
    async with open_console(STORE, entry(), entry("other.db"), clock=clock) as console:
        await console.press("1", "down")
        type_at_once(console, "up", "2", "g", "space", "p")
        await console.until(lambda: console.screen_name == "PlanScreen" and "  VACUUM" in console.lines("#page"))
        assert "other.db" in console.lines("#page")[0]


def type_at_once(console: Console, *keys: str) -> None:
    """Like typed-ahead keys from a terminal: nothing happens between two keys."""
    for key in keys:
        console.app.post_message(events.Key(key, key if len(key) == 1 else None))


async def test_a_target_that_was_locked_is_looked_at_again(
    sales: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "RETRY_AFTER", 0.2)
    with closing(sqlite3.connect(sales, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        async with open_console(STORE, entry(), clock=clock, settled=False) as console:
            await console.until(lambda: console.lines("#targets")[0].endswith("locked"), settled=False)
            holder.execute("ROLLBACK")
            await console.until(lambda: chosen(console))
            assert console.lines("#targets")[0].split() == [">", "sales.db", "unchecked"]
            assert isinstance(console.app.screen, main.MainScreen)
            assert not console.app.screen.inspector.retry.timer


async def test_the_footer_is_made_once_for_all_that_happens_together(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        screen, asked = console.app.screen, list[str]()
        assert isinstance(screen, MainScreen)
        can = MainScreen.can

        def noted(self: MainScreen, action_id: str) -> bool:
            asked.append(action_id)
            return can(self, action_id)

        monkeypatch.setattr(MainScreen, "can", noted)
        for _ in range(3):
            screen.refresh_footer()
        await console.settle()
        assert sorted(asked) == sorted(screen.FOOTER)
        await console.press("3")
        assert "cancel" not in console.text("#footer")
        await add_running_job(seeded.store, seeded.owner, clock)
        await console.until(lambda: " c cancel " in console.text("#footer"))
