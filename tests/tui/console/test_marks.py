"""Several jobs are marked, and one action is for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from engine import JobId, Operation, Request
from engine.domain.requests import OnDuplicate
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import (
    Clock,
    add_completed_job,
    add_failed_job,
    add_running_job,
    entry,
    open_console,
    statuses,
)
from tui.console.views.line import MARK
from tui.console.widgets.job_tree import JobTree

both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])


def marked(tree: JobTree) -> list[str]:
    return [f"#{job}" for _, job in tree.marked_jobs]


async def test_a_mark_is_set_and_taken_away_and_the_cursor_goes_on(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "space")
        assert console.lines()[0].startswith(f"►{MARK}#2")
        assert console.tree.job == JobId(1)
        assert str(console.tree.border_subtitle) == "1 marked, 1 failed, 1 completed"
        await console.press("up", "space")
        assert console.lines()[0].startswith("► #2")
        await console.press("l", "down", "space", "space")
        assert marked(console.tree) == ["#1.1", "#1.2"]
        assert console.lines()[2].startswith(f" .1{MARK}vacuum")
        await console.press("escape")
        assert marked(console.tree) == ["#1.1", "#1.2"]
        await console.press("escape")
        assert marked(console.tree) == []


async def test_a_job_that_is_marked_as_a_whole_counts_once(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "l", "space", "space")
        assert marked(console.tree) == ["#1"]


async def test_all_that_are_marked_are_cancelled(sales: Path, seeded: Seeded, clock: Clock) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock, "old")
    await add_running_job(seeded.store, seeded.owner, clock)
    await seeded.store.submit([new_job("app", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "g", "space", "space")
        console.tree.go_to_parent(1)
        await console.press("space", "c")
        assert console.lines("#text")[:5] == [
            "Cancel 2 marked jobs?",
            "#3 vacuum on app.db",
            "#2 vacuum analyze reindex optimize on sales.db",
            "analyze ends as soon as that is safe for the data.",
            "Leaves: the tables done so far have new statistics,",
        ]
        assert "1 of 3 marked have already ended." in console.lines("#text")
        await console.press("n")
        assert marked(console.tree) == ["#3", "#2", "#1"]
        await console.press("c", "y")
        assert statuses(await console.engine.job(3)) == ["cancelled"]
        assert await seeded.store.cancel_requests(seeded.owner) == {JobId(2, 2)}
        assert marked(console.tree) == []


async def test_all_that_are_marked_are_run_once_more(sales: Path, seeded: Seeded, clock: Clock) -> None:
    for name in ("app.db", "gone.db"):
        Path(name).write_bytes(sales.read_bytes())
    async with open_console(seeded.path, entry(), clock=clock) as console:
        for name in ("sales.db", "app.db", "gone.db"):
            (job,) = await console.engine.submit([Request(target=name, operations=(Operation.VACUUM,))])
            await console.engine.cancel(JobId(job.id))
        Path("gone.db").unlink()
        await console.until(lambda: ["cancelled" in line for line in console.lines()] == [True] * 3)
        await console.press("3", "g", "space", "space", "space", "c")
        assert console.message == "Nothing to cancel: all 3 marked jobs have ended."
        await console.press("t")
        assert console.lines("#text")[:5] == [
            "Run 3 marked jobs again?",
            "#3 vacuum on gone.db",
            "#2 vacuum on app.db",
            "#1 vacuum on sales.db",
            "Each becomes a new job.",
        ]
        await console.press("y")
        assert [(job.id, job.retry_of) for job in await console.engine.history()][:2] == [(5, 2), (4, 1)]
        assert console.message.startswith("1 of 3 not started: ")
        assert "gone.db" in console.message
        assert marked(console.tree) == []


async def test_all_that_are_marked_are_pinned_and_unpinned(sales: Path, seeded: Seeded, clock: Clock) -> None:
    for name in ("app", "crm"):
        await add_failed_job(seeded.store, seeded.owner, clock, name)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "m")
        await console.press("g", "space", "space", "m")
        assert console.message == "2 jobs pinned."
        assert [(await console.engine.job(n)).pinned for n in (1, 2)] == [True, True]
        await console.until(lambda: all(console.tree._parents[n].pinned for n in (1, 2)))
        await console.press("g", "space", "space", "m")
        assert console.message == "2 jobs no longer pinned."


@both_sizes
async def test_marked_jobs(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "space", "down", "space")
        assert looks_right(console.app)


@both_sizes
async def test_question_before_marked_jobs_are_cancelled(
    size: tuple[int, int], sales: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    await seeded.store.submit([new_job("app", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "g", "space", "space", "c")
        assert looks_right(console.app)
