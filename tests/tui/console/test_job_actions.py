"""Actions on jobs, from every screen that shows jobs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from engine import EngineName, JobId, OnDuplicate, Operation, Reason, Request, Status, Step
from engine.domain.claims import Outcome, Report
from engine.domain.errors import UsageError
from engine.store.protocol import NewJob
from engine.targets import resolve
from tests.building import COMPLETED
from tests.engine.targets.sqlite.another_process import another_process
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
    statuses,
)

TO_THE_JOB = {"main": ("3",), "history": ("h",), "job": ("3", "enter")}
every_screen = pytest.mark.parametrize("screen", TO_THE_JOB)


async def go_to_the_job(console: Console, screen: str) -> None:
    await console.press(*TO_THE_JOB[screen])
    if screen == "history":
        await console.until(lambda: not any("…" in line for line in console.lines("#history")))


@every_screen
async def test_a_job_is_cancelled(screen: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await go_to_the_job(console, screen)
        assert "c cancel" in console.text("#footer")
        await console.press("c")
        assert "Cancel #1 on sales" in console.lines("#text")[0]
        assert console.lines("#text")[-1].split() == ["y", "yes", "enter", "no"]
        await console.press("enter")
        assert await seeded.store.cancel_requests(seeded.owner) == set()
        await console.press("c", "y")
        assert await seeded.store.cancel_requests(seeded.owner) == {JobId(1, 2)}
        assert statuses(await console.engine.job(1)) == ["completed", "running", "cancelled", "cancelled"]
        await console.until(lambda: any("cancelling" in line for line in console.lines("*")))
        await console.press("c")
        assert console.message.startswith("Cancel of #1 was already requested")


@every_screen
async def test_a_cancel_of_what_is_over_says_so(screen: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await go_to_the_job(console, screen)
        assert "c cancel" not in console.text("#footer")
        await console.press("c")
        assert console.message == "Nothing to cancel: #1 has ended (failed)."


@every_screen
async def test_a_cancel_that_comes_too_late_says_so(screen: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await go_to_the_job(console, screen)
        await console.press("c")
        await finish_job(seeded.store, seeded.owner, clock, 1)
        await console.press("y")
        assert console.message == "#1 had already ended: completed."
        assert (await console.engine.job(1)).status is Status.COMPLETED


@every_screen
async def test_a_job_is_run_once_more(screen: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("r", "enter", "c", "y")
        await console.until(lambda: "cancelled" in console.lines()[0])
        await console.press("1")
        await go_to_the_job(console, screen)
        assert "t retry" in console.text("#footer")
        await console.press("t", "enter")
        assert len(await console.engine.history()) == 1
        await console.press("t", "y")
        again = await console.engine.job(2)
        assert (again.retry_of, again.status) == (1, Status.PENDING)
        await console.until(lambda: "#2" in console.tree.line_at(0).text)
        if screen == "main":
            assert console.tree.job == JobId(2)
        elif screen == "job":
            await console.until(lambda: console.lines("#page")[0].startswith("#2 sales.db"))
            assert console.app.screen.query_one("#page").border_title == "Job #2"
        else:
            assert console.message == "Runs again as #2."
            assert console.lines("#history")[0].startswith("#2")


@every_screen
async def test_of_a_job_whose_window_closed_the_rest_is_run(
    screen: str, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    url = resolve("sales.db").url
    request = Request(target=url, operations=(Operation.VACUUM, Operation.REINDEX))
    job = NewJob(request=request, engine=EngineName.SQLITE, target_key="of sales")
    await seeded.store.submit([job], OnDuplicate.REFUSE)
    late = Outcome(status=Status.COMPLETED, reason=Reason.WILL_NOT_FIT, error="1 of 2 steps done", left=1)
    for outcome in (COMPLETED, late):
        claim = await seeded.store.claim(seeded.owner)
        assert claim is not None
        step = Step(
            number=1,
            attempt=1,
            object="by price",
            command="REINDEX",
            status=Status.COMPLETED,
            started_at=clock(),
            finished_at=clock(),
        )
        await seeded.store.finish(claim, outcome, Report(steps=(step,)))
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await go_to_the_job(console, screen)
        await console.press("t")
        assert console.lines("#text")[0].replace("\N{NO-BREAK SPACE}", " ") == "Run the rest of #1 on sales.db?"
        await console.press("y")
        again = await console.engine.job(2)
    assert again.request.operations == (Operation.REINDEX,)
    assert again.request.options.done == ((Operation.REINDEX, "by price"),)


async def test_the_question_before_a_retry_on_production_says_whom_it_blocks(sales: Path, clock: Clock) -> None:
    async with open_console(Path("jobs.db"), entry(label="PROD"), clock=clock) as console:
        (job,) = await console.engine.submit([Request(target="sales.db", operations=(Operation.VACUUM,))])
        await console.engine.cancel(JobId(job.id))
        await console.until(lambda: "cancelled" in console.lines()[0])
        await console.press("3", "t")
        asked = " ".join(console.lines("#text"))
        assert "Run #1 on sales.db [PROD] again?" in asked.replace("\N{NO-BREAK SPACE}", " ")
        assert "sales.db is labelled PROD. While it runs, vacuum blocks everyone." in asked


async def test_a_retry_on_a_target_of_which_no_kind_is_known_any_more_says_so(
    sales: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_longer(target: str) -> None:
        raise UsageError(target, "is of no kind that is known here")

    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3")
        monkeypatch.setattr("engine.inspection.inspector.resolve", no_longer)
        monkeypatch.setattr(console.engine._manager(), "_resolve", no_longer)
        await console.press("t")
        assert console.screen_name == "ConfirmScreen"
        await console.press("y")
        await console.until(lambda: "is of no kind that is known here" in console.message)


@pytest.mark.parametrize("marks", [(), ("space",)], ids=["one", "marked"])
async def test_of_a_console_and_a_command_that_retry_one_job_only_one_makes_a_job(
    marks: tuple[str, ...], sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("r", "enter", "c", "y")
        await console.until(lambda: "cancelled" in console.lines()[0])
        await console.press("3", *marks, "t")
        command = [sys.executable, "-m", "tui.cli", "retry", "1", "--yes", "--quiet", "--store", str(seeded.path)]
        answer = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert "#2 " in answer.stdout
        assert (await console.engine.job(2)).status.is_final
        await console.press("y")
        assert "job #2 has repeated the job meanwhile" in console.message
        assert await console.engine.count() == 2
        await console.press("escape", "t", "y")
        assert await console.engine.count() == 3


@every_screen
async def test_a_retry_of_what_is_open_says_so(screen: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await go_to_the_job(console, screen)
        await console.press("t")
        assert console.message == "Nothing to retry: #1 is still running."


@every_screen
async def test_a_job_is_pinned_and_unpinned(screen: str, sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await go_to_the_job(console, screen)
        shown = {"main": "#detail", "history": "#history", "job": "#page"}[screen]
        word = "*" if screen == "history" else "pinned"
        assert word not in " ".join(console.lines(shown))
        has_room = screen != "main"  # there it is named by the help alone
        assert ("m pin" in console.text("#footer")) == has_room
        await console.press("m")
        assert (await console.engine.job(1)).pinned
        assert console.message == "#1 is pinned: retention never removes it."
        await console.until(lambda: word in " ".join(console.lines(shown)))
        assert ("m unpin" in console.text("#footer")) == has_room
        await console.press("m")
        assert not (await console.engine.job(1)).pinned
        await console.until(lambda: word not in " ".join(console.lines(shown)))


async def test_a_job_that_was_pinned_on_its_page_is_pinned_in_the_history(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await go_to_the_job(console, "history")
        await console.press("enter", "m", "escape")
        await console.until(lambda: "*" in console.lines("#history")[0])


@every_screen
async def test_where_there_is_no_job_nothing_is_done(screen: str, sales: Path, clock: Clock) -> None:
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        await console.press(*TO_THE_JOB[screen], "c")
        assert console.message.startswith("Nothing to cancel")
        await console.press("t")
        assert console.message.startswith("Nothing to retry")
        await console.press("m")
        assert console.message.startswith("Nothing to pin")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("m",), "#1 is pinned: retention never removes it."),
        (("t", "y"), "Runs again as #2."),
    ],
    ids=["pin", "retry"],
)
async def test_what_is_stored_after_its_screen_was_left_is_told_on_the_one_below(
    keys: tuple[str, ...], said: str, sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("r", "enter", "c", "y")
        await console.until(lambda: "cancelled" in console.lines()[0])
        await console.press("3", "enter")
        assert console.screen_name == "JobScreen"
        with another_process(seeded.path, "BEGIN IMMEDIATE"):
            for key in (*keys, "escape"):
                await console.pilot.press(key)
            assert console.screen_name == "MainScreen"
        await console.until(lambda: console.message == said)
        if "t" in keys:
            await console.until(lambda: "#2" in console.tree.line_at(0).text)
            assert console.tree.job == JobId(1)


async def test_what_is_refused_below_a_question_is_read_once_that_is_answered(
    sales: Path, seeded: Seeded, clock: Clock
) -> None:
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("r", "enter", "r")
        with another_process(seeded.path, "BEGIN IMMEDIATE"):
            await console.pilot.press("enter", "P")
            await console.pilot.pause()
            assert console.screen_name == "ConfirmScreen"
        await console.settle()
        assert console.screen_name == "ConfirmScreen"
        await console.press("n")
        assert console.screen_name == "MainScreen"
        assert console.message.startswith("sales.db: job #1 already does exactly this")
