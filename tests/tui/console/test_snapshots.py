"""What every screen looks like, in every state, in both sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from textual.app import App

from engine import Advice, Engine, EngineName, Level, OnDuplicate, Operation, TargetInfo
from engine.config.model import TargetEntry
from engine.domain.advice import DeadSpace
from engine.store.sqlite.store import SqliteStore
from engine.targets.operation_specs import operation_infos
from engine.targets.postgres.planning.operation_specs import SPECS
from tests.building import ALL_FOUR, new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import (
    Clock,
    add_checked_job,
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
async def test_job_that_checked(size: Size, seeded: Seeded, clock: Clock, looks_right: LooksRight) -> None:
    await add_checked_job(seeded.store, seeded.owner, clock)
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


@both_sizes
async def test_main_with_the_worst_of_a_server(
    size: Size, clock: Clock, looks_right: LooksRight, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables and indexes of a database where most space can be won."""
    indexes = (
        DeadSpace("public.orders_customer_id_created_at_idx", 6_100_000_000, 8_900_000_000),
        DeadSpace("archive.events_payload_idx", 730_000_000, 1_200_000_000),
        DeadSpace("public.sessions_pkey", 21_000_000, 40_000_000),
    )
    tables = (DeadSpace("public.orders", 12_400_000_000, 31_000_000_000), DeadSpace("public.log", 900_000_000, 10**9))
    advice = [
        Advice(
            operation=Operation.REINDEX, level=Level.SOON, gain="about 6.85 GB", dead_space=indexes,
            reason="public.orders_customer_id_created_at_idx: 69% of its 8.90 GB is dead space; 2 indexes more",
        ),
        Advice(
            operation=Operation.VACUUM_FULL, level=Level.NONE, gain="about 13.3 GB", dead_space=tables,
            reason="public.orders: 40% of its 31.0 GB is dead space; 1 table more; it blocks all access",
        ),
    ]  # fmt: skip
    info = TargetInfo(
        url="postgresql://dba@db1:5432/shop", engine=EngineName.POSTGRESQL, version="18.6",
        facts={"size": 61_000_000_000, "tables": 212}, operations=operation_infos(SPECS),
    )  # fmt: skip
    monkeypatch.setattr(Engine, "inspect", AsyncMock(return_value=info))
    monkeypatch.setattr(Engine, "advise", AsyncMock(return_value=advice))
    async with open_console(Path("jobs.db"), TargetEntry(name="shop", url=info.url), clock=clock, size=size) as console:
        await console.until(lambda: any("6.10 GB" in line for line in console.lines("#operations")))
        await console.press("2", "G", "k")
        assert looks_right(console.app)
