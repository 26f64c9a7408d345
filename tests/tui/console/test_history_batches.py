"""The history folds batches: one row for each, which unfolds, and takes part in everything that jobs do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from textual.app import App

from engine import Engine, JobId, JobOutcome, OnDuplicate, Operation, Request
from engine.store.protocol import NewBatch
from engine.store.sqlite import history_search
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, add_completed_job, open_console
from tests.tui.console.test_batches import run_batch, tenants
from tests.tui.console.test_history import border, type_filter, view_of
from tui.console.views.line import MARK

STORE = Path("jobs.db")
all_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=["80x24", "120x40", "200x60"])


async def one_job(clock: Clock, target: str = "t1.db") -> int:
    async with Engine.open(STORE, workers=1, clock=clock) as engine:
        (job,) = await engine.submit([Request(target=target, operations=(Operation.ANALYZE,))])
        await engine.wait([job.id])
        clock.forward(60)
        return job.id


def rows(console: Console) -> list[str]:
    return console.lines("#history")


def ids(console: Console) -> list[str]:
    """`b1` or `#7` of each row."""
    return [row.lstrip("►▼ ").split()[0] for row in rows(console)]


async def test_a_batch_is_one_row_with_counts_that_unfolds_and_folds(sales: Path, clock: Clock) -> None:
    await run_batch(clock)
    await one_job(clock)
    async with open_console(STORE, clock=clock) as console:
        await console.press("h")
        await console.until(lambda: "unreachable" in rows(console)[-1])
        assert ids(console) == ["#13", "b1"]
        assert rows(console)[1].startswith("► b1 ")
        assert rows(console)[1].endswith("12 targets  10 completed, 2 unreachable")
        assert border(console) == "13 jobs"
        await console.press("down", "enter")
        await console.until(lambda: len(rows(console)) == 14)
        assert rows(console)[1].startswith("▼ b1 ")
        assert ids(console) == ["#13", "b1", *(f"#{n}" for n in range(12, 0, -1))]
        assert rows(console)[2].startswith("  #12 ")
        assert "× unreachable" in rows(console)[2]
        assert border(console) == "13 jobs"
        await console.press("down", "enter")
        assert console.screen_name == "JobScreen"
        await console.press("escape", "down", "z")
        assert ids(console) == ["#13", "b1"]
        assert view_of(console).cursor == 1
        await console.press("l", "l")
        await console.until(lambda: len(rows(console)) == 14)
        await console.press("left", "left")
        assert ids(console) == ["#13", "b1"]


async def test_a_filter_of_jobs_finds_the_jobs_of_a_batch_and_one_of_dates_the_batch(sales: Path, clock: Clock) -> None:
    await one_job(clock, "sales.db")
    clock.forward(3600)
    await run_batch(clock)
    async with open_console(STORE, clock=clock) as console:
        await console.press("h")
        await console.until(lambda: ids(console) == ["b1", "#1"])
        for words, found in (
            ("status:failed", ["#13", "#12"]),
            ("target:t7.db", ["#8"]),
            ("batch:1", [f"#{n}" for n in range(13, 1, -1)]),
            ("since:3h", ["b1", "#1"]),
        ):
            await type_filter(console, words)
            await console.until(lambda found=found: ids(console) == found)  # type: ignore[misc]
            await console.press("escape")
            await console.until(lambda: ids(console) == ["b1", "#1"])
        await type_filter(console, "since:30m")
        await console.until(lambda: ids(console) == ["b1"])
        assert border(console) == "1 jobs and batches  since:30m"


async def test_a_batch_is_marked_cancelled_and_retried_in_the_history(sales: Path, clock: Clock) -> None:
    async with Engine.open(STORE, clock=clock) as engine:
        await engine.submit(tenants(12))
    async with open_console(STORE, clock=clock) as console:
        while console.screen_name == "ConfirmScreen":
            await console.press("n")
        await console.press("h")
        await console.until(lambda: "10 waiting" in rows(console)[0])
        await console.press("space")
        assert rows(console)[0].startswith(f"► b1 {MARK}")
        assert border(console) == "1 marked, 12 jobs"
        assert "c cancel" in console.text("#footer")
        await console.press("c")
        assert console.lines("#text")[0].startswith("Cancel b1: 10 open jobs of 12?")
        await console.press("y")
        await console.until(lambda: "10 cancelled" in rows(console)[0])
        assert border(console) == "12 jobs"
        assert "t retry" in console.text("#footer")
        await console.press("m")
        assert console.message == "b1 is a batch. Only jobs can be pinned: unfold it and mark its jobs."
        for name in ("t11.db", "t12.db"):
            Path(name).unlink(missing_ok=True)
            with closing(sqlite3.connect(name, isolation_level=None)) as db:
                db.execute("CREATE TABLE a(b)")
        clock.forward(5)
        await console.press("t", "y")
        await console.until(lambda: ids(console) == ["b2", "b1"])
        await console.until(lambda: "12 waiting" in rows(console)[0])
        assert (await console.engine.batch(2)).retry_of == 1
        assert border(console) == "24 jobs"
        await console.press("y")
        assert console.message.startswith("Copied this row")


async def test_rows_of_batches_follow_what_happens(seeded: Seeded, clock: Clock) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        assert ids(console) == ["#1"]
        jobs = [new_job(f"db{n}", Operation.VACUUM) for n in range(30)]
        made = await seeded.store.submit(jobs, OnDuplicate.REFUSE, NewBatch())
        await console.until(lambda: ids(console) == ["b1", "#1"] and "30 waiting" in rows(console)[0])
        assert view_of(console).cursor == 1  # it stays on its job
        assert border(console) == "31 jobs"
        await console.press("up", "enter")
        await console.until(lambda: len(rows(console)) == 32)
        await seeded.store.request_cancel(JobId(made[-1]))
        await console.until(lambda: "1 cancelled" in rows(console)[0] and "cancelled" in rows(console)[1])
        await console.press("left")
        await seeded.store.request_cancel(JobId(made[0]))
        await console.until(lambda: "2 cancelled" in rows(console)[0])
        assert ids(console) == ["b1", "#1"]


async def batch_of(seeded: Seeded, clock: Clock, number: int) -> list[int]:
    """The ids of its jobs, which are cancelled."""
    jobs = [new_job(f"db{n}", Operation.VACUUM) for n in range(number)]
    made = await seeded.store.submit(jobs, OnDuplicate.REFUSE, NewBatch())
    ((batch, *_),) = [{job.batch for job in await seeded.store.jobs(made)}]
    await seeded.store.cancel_batch(batch or 0)
    clock.forward(60)
    return list(made)


def read_again(console: Console) -> None:
    """All jobs are read again where they are in view, as if others had taken their place in the cache."""
    view_of(console)._jobs.clear()
    view_of(console).refresh()


@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
async def test_a_batch_stays_while_any_of_its_jobs_does(seeded: Seeded, clock: Clock, unfolded: bool) -> None:
    old = await batch_of(seeded, clock, 3)
    jobs = await batch_of(seeded, clock, 6)
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h", "down")
        if unfolded:
            await console.press("enter")
        below = [f"#{n}" for n in reversed(jobs)] if unfolded else []
        await console.until(lambda: ids(console) == ["#10", "b2", *below, "b1"])
        await console.until(lambda: rows(console)[1].endswith("6 cancelled"))
        assert border(console) == "10 jobs"
        await seeded.store.prune([jobs[-1], jobs[-2], jobs[0]])
        read_again(console)
        await console.until(lambda: rows(console)[1].endswith("3 targets  3 cancelled"))
        below = [f"#{n}" for n in reversed(jobs[1:-2])] if unfolded else []
        assert ids(console) == ["#10", "b2", *below, "b1"]
        assert view_of(console).cursor == 1  # it stays on its batch
        assert border(console) == "7 jobs"
        await console.press("enter", "enter")
        assert ids(console) == ["#10", "b2", *below, "b1"]
        await seeded.store.prune(jobs)
        read_again(console)
        await console.until(lambda: ids(console) == ["#10", "b1"])
        assert border(console) == "4 jobs"
        await seeded.store.prune(old)
        read_again(console)
        await console.until(lambda: ids(console) == ["#10"])


async def test_a_batch_that_lost_jobs_unfolds_to_those_that_are_left(seeded: Seeded, clock: Clock) -> None:
    jobs = await batch_of(seeded, clock, 4)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await console.until(lambda: "4 cancelled" in rows(console)[0])
        await seeded.store.prune([jobs[0], jobs[3]])
        await console.press("enter")
        await console.until(lambda: ids(console) == ["b1", f"#{jobs[2]}", f"#{jobs[1]}"])
        assert "2 targets  2 cancelled" in rows(console)[0]
        assert border(console) == "2 jobs"
        await console.press("enter")
        await seeded.store.prune(jobs)
        await console.press("enter")
        await console.until(lambda: ids(console) == [])


async def test_a_batch_that_is_folded_leaves_the_next_one_where_it_is(seeded: Seeded, clock: Clock) -> None:
    await batch_of(seeded, clock, 2)
    await batch_of(seeded, clock, 2)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        await console.press("enter")
        await console.until(lambda: ids(console) == ["b2", "#4", "#3", "b1"])
        await console.press("enter")
        assert ids(console) == ["b2", "b1"]
        assert border(console) == "4 jobs"
        await type_filter(console, "since:7d")
        await console.until(lambda: border(console) == "2 jobs and batches  since:7d")


async def test_batches_are_read_only_where_they_are_in_view(
    seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_search, "FIRST_RANGE", 16)
    monkeypatch.setattr(history_search, "LARGEST_RANGE", 16)
    for batch in range(60):
        await seeded.store.submit(
            [new_job(f"db{batch}.{n}", Operation.VACUUM) for n in range(3)], OnDuplicate.REFUSE, NewBatch()
        )
        await seeded.store.cancel_batch(batch + 1)
    async with open_console(seeded.path, clock=clock) as console:
        await console.press("h")
        view = view_of(console)
        await console.until(lambda: view.complete)
        assert view.line_count == 60
        assert len(view._batches) < 40
        await console.press("G")
        await console.until(lambda: view.render_line(view.size.height - 1).text.startswith("► b1 "))
        await console.until(lambda: "3 cancelled" in view.render_line(view.size.height - 1).text)
        await console.press("enter")
        await console.until(lambda: view.line_count == 63)
        await console.press("down", "down", "down")
        assert view.parent_id == 1
        assert (await console.engine.batch(1)).counts == {JobOutcome.CANCELLED: 3}


@all_sizes
async def test_history_with_batches(
    size: tuple[int, int], sales: Path, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    await one_job(clock, "sales.db")
    await run_batch(clock)
    clock.forward(3600)
    await run_batch(clock, 5)
    async with open_console(STORE, clock=clock, size=size) as console:
        await console.press("h")
        await console.until(lambda: "unreachable" in rows(console)[0])
        await console.press("enter")
        await console.until(lambda: len(rows(console)) == 8)
        await console.press("down", "space")
        assert looks_right(console.app)
