"""What every screen looks like, in every state, in both sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

from engine import OnDuplicate
from engine.store.sqlite.store import SqliteStore
from tests.building import ALL_FOUR, new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import (
    Clock,
    add_completed_job,
    add_failed_job,
    add_limited_job,
    add_rescued_job,
    add_running_job,
    begin_again,
    entry,
    open_console,
    stop_in_vain,
    worker_process,
)

LooksRight = Callable[[App[None]], bool]
both_sizes = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
Size = tuple[int, int]


@both_sizes
async def test_main_idle(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), entry(), clock=clock, size=size) as console:
        assert looks_right(console.app)


@both_sizes
async def test_main_with_jobs_that_are_over(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "z", "down", "down", "down", "down", "down", "z", "down")
        assert looks_right(console.app)


@both_sizes
async def test_main_with_a_running_job(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "down", "down")
        assert looks_right(console.app)


async def test_main_without_colours(
    sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await add_failed_job(seeded.store, seeded.owner, clock)
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(label="PROD"), clock=clock, theme=None) as console:
        await console.press("3", "down")
        assert console.app.theme == "ansi-dark"
        assert looks_right(console.app)


async def test_zoomed_jobs(sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "plus")
        assert looks_right(console.app)


@both_sizes
async def test_plan(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), entry(operations=ALL_FOUR), clock=clock, size=size) as console:
        await console.press("r")
        assert looks_right(console.app)


@both_sizes
async def test_history(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    for target in ("sales", "app", "warehouse"):
        await add_failed_job(seeded.store, seeded.owner, clock, target)
        await add_completed_job(seeded.store, seeded.owner, clock, target)
        clock.forward(86_400)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("h")
        await console.until(lambda: not any(line.endswith(" …") for line in console.lines("#history")))
        assert looks_right(console.app)


@both_sizes
async def test_job(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_completed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter")
        assert looks_right(console.app)


@both_sizes
async def test_job_that_failed(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_failed_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter")
        assert looks_right(console.app)


@both_sizes
async def test_help(size: Size, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), clock=clock, size=size) as console:
        await console.press("question_mark")
        assert looks_right(console.app)


@both_sizes
async def test_no_targets(size: Size, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), clock=clock, size=size) as console:
        assert looks_right(console.app)


@both_sizes
async def test_target_that_cannot_be_opened(size: Size, sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), entry("gone.db"), entry(), clock=clock, size=size) as console:
        assert looks_right(console.app)


async def test_question_before_a_cancel(sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "down", "down", "c")
        assert looks_right(console.app)


async def test_window_that_is_too_small(clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), clock=clock, size=(50, 10)) as console:
        assert looks_right(console.app)


@both_sizes
async def test_workers_of_which_one_is_stalled(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    async with (
        worker_process(seeded.store, clock, pid=4712, last_beat=0) as stalled,
        worker_process(seeded.store, clock, pid=5003, serves_all=False),
    ):
        await add_running_job(seeded.store, seeded.owner, clock)
        await add_running_job(seeded.store, stalled, clock, "app")
        clock.forward(30)
        async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
            await console.press("w")
            assert looks_right(console.app)


@both_sizes
async def test_no_worker_and_a_pause(size: Size, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), clock=clock, size=size) as console:
        await console.engine.pause("night.shift@db1")
        clock.forward(3600)
        await console.until(lambda: console.app.context.feed.pause)
        await console.press("w")
        assert looks_right(console.app)


@both_sizes
async def test_main_with_a_paused_store(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_running_job(seeded.store, seeded.owner, clock)
    await seeded.store.submit([new_job("app")], OnDuplicate.REFUSE)
    await seeded.store.pause("night.shift@db1")
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "down")
        assert looks_right(console.app)


@both_sizes
async def test_cancel_of_what_cannot_be_interrupted(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    parent_id = await add_running_job(seeded.store, seeded.owner, clock)
    await stop_in_vain(seeded.store, seeded.owner, clock, parent_id)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "down", "down")
        assert looks_right(console.app)


@both_sizes
async def test_job_of_which_a_process_died(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    parent_id = await add_rescued_job(seeded.store, clock)
    await begin_again(seeded.store, seeded.owner, clock, parent_id)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter")
        assert looks_right(console.app)


async def test_main_with_a_job_that_will_run_again(
    sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_rescued_job(seeded.store, clock)
    async with open_console(seeded.path, entry(), clock=clock) as console:
        await console.press("3", "down")
        assert looks_right(console.app)


@both_sizes
async def test_history_with_a_pinned_job(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    pinned = await add_failed_job(seeded.store, seeded.owner, clock)
    await add_completed_job(seeded.store, seeded.owner, clock)
    await seeded.store.pin(pinned, True)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("h")
        await console.until(lambda: not any(line.endswith(" …") for line in console.lines("#history")))
        assert looks_right(console.app)


async def test_question_before_a_pause(sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        await console.press("P")
        assert looks_right(console.app)


async def test_question_about_jobs_that_were_left(sales: Path, clock: Clock, looks_right: LooksRight) -> None:
    async with SqliteStore.open(Path("jobs.db"), clock=clock) as store:
        await store.submit([new_job("sales"), new_job("app")], OnDuplicate.REFUSE)
    async with open_console(Path("jobs.db"), entry(), clock=clock) as console:
        await console.until(lambda: console.screen_name == "ConfirmScreen")
        assert looks_right(console.app)


@both_sizes
async def test_main_with_a_job_that_met_its_time_limit(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    await add_limited_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "z", "down", "down", "down")
        assert looks_right(console.app)


@both_sizes
async def test_main_with_jobs_of_which_something_was_skipped(
    size: Size, sales: Path, seeded: Seeded, clock: Clock, looks_right: LooksRight
) -> None:
    late = new_job(deadline_at=clock.now)
    for _ in range(2):
        await seeded.store.submit([late], OnDuplicate.REFUSE)
        await seeded.store.enforce_time_limits()
    async with open_console(seeded.path, entry(), clock=clock, size=size) as console:
        await console.press("3", "z")
        assert looks_right(console.app)


@both_sizes
async def test_job_that_met_its_time_limit(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_limited_job(seeded.store, seeded.owner, clock)
    async with open_console(seeded.path, clock=clock, size=size) as console:
        await console.press("3", "enter")
        assert looks_right(console.app)
