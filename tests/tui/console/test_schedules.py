"""The screen of schedules: when each is due, how its nights went, the next one as a timeline; run and disable them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import App

from engine import Engine
from engine.config.config_file import ConfigFile
from engine.config.model import TargetEntry
from engine.config.reader import load_config
from engine.domain.claims import Outcome, Report
from engine.domain.errors import StoreError
from engine.domain.requests import Operation
from engine.domain.schedules import Firing, FiringReason, FiringStatus, ScheduleState
from engine.domain.statuses import Reason, Status
from engine.store.protocol import NewBatch
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.tui.console.conftest import Seeded
from tests.tui.console.harness import Clock, Console, entry, open_console
from tui.console.saved_targets import SavedTargets
from tui.console.screens import schedules

CONFIG = Path("config.toml")
DAY = 86_400 * 1_000_000
NIGHTLY = """
[targets.tenants]
url = "tenants/*.db"
[schedules.nightly]
targets = ["tenants"]
operations = ["vacuum", "analyze"]
start = "0 22 * * *"
timezone = "UTC"
until = "05:00"
max_failures = 3

[schedules.monthly]
targets = ["tenants"]
start = "30 4 1 * *"
timezone = "UTC"
catch_up = "2h"
"""


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    directory = tmp_path / "tenants"
    directory.mkdir()
    for name in ("t1", "t2", "t3"):
        with closing(sqlite3.connect(directory / f"{name}.db")) as db:
            db.execute("CREATE TABLE t (a)")
    CONFIG.write_text(NIGHTLY)
    return directory


@asynccontextmanager
async def console_on(
    store: Path, clock: Clock, *, read_only: bool = False, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Console]:
    config = load_config(CONFIG, required=True)
    saved = SavedTargets(ConfigFile(CONFIG), config)
    async with open_console(store, entry(), clock=clock, saved=saved, read_only=read_only, size=size) as console:
        await console.press("S")
        yield console


def rows(console: Console) -> list[str]:
    return console.lines("#schedules")


def page(console: Console) -> str:
    return "\n".join(console.lines("#schedule"))


def last_due(clock: Clock) -> int:
    """22:00 of the day before."""
    return clock.now // DAY * DAY - 2 * 3_600 * 1_000_000


async def add_nights(store: SqliteStore, owner: str, clock: Clock, tenants: Path) -> None:
    """Three nights: one was missed, one skipped, the last one fired; one of its targets failed."""
    due = last_due(clock)
    missed = Firing(
        schedule="nightly",
        due_at=due - 2 * DAY,
        status=FiringStatus.MISSED,
        reason=FiringReason.NO_WORKER,
        recorded_at=due,
    )
    skipped = replace(missed, due_at=due - DAY, status=FiringStatus.SKIPPED, reason=FiringReason.STILL_RUNNING)
    await store.record_firings([missed, skipped])
    now, clock.now = clock.now, due
    jobs = [
        replace(new_job(name, Operation.VACUUM, Operation.ANALYZE), deadline_at=due + 7 * 3_600_000_000)
        for name in ("t1", "t2", "t3")
    ]
    fired = replace(missed, due_at=due, status=FiringStatus.FIRED, reason=None)
    await store.fire(fired, jobs, NewBatch(schedule="nightly"))
    number = 0
    while claim := await store.claim(owner):
        number += 1
        clock.forward(600 * number)
        outcome = Outcome(status=Status.COMPLETED)
        if number == 3:
            outcome = Outcome(status=Status.FAILED, reason=Reason.OPERATION_ERROR, error="disk full")
        await store.finish(claim, outcome, Report())
    clock.now = now


async def test_schedules_are_listed_with_their_last_night(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    await add_nights(seeded.store, seeded.owner, clock, tenants)
    async with console_on(seeded.path, clock) as console:
        heading, nightly, monthly = rows(console)
        assert heading.split() == ["schedule", "next", "due", "last", "took"]
        assert nightly.startswith("nightly  ")
        assert "22:00" in nightly
        assert "b1, 2 completed, 1 failed" in nightly
        assert "never" in monthly
        shown = page(console)
        assert "operations  vacuum, analyze" in shown
        assert "missed: no worker was there" in shown
        assert "skipped (still running)" in shown
        assert "Last night, " in shown
        await console.press("j")
        assert "operations  needed" in page(console)
        assert "Last night" not in page(console)


async def test_the_next_night_is_planned_when_it_is_asked_for(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    async with console_on(seeded.path, clock) as console:
        assert "Next night" not in page(console)
        await console.press("p")
        assert "Next night, " in page(console)
        assert "· t1.db" in page(console)
        assert "by estimate" in page(console)


async def test_one_is_disabled_and_enabled(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    async with console_on(seeded.path, clock) as console:
        assert "disable" in console.text("#footer")
        await console.press("d")
        assert "disabled by" in rows(console)[1]
        assert (await seeded.store.schedule_states())["nightly"].disabled_at is not None
        assert "enable" in console.text("#footer")
        await console.press("d")
        assert "disabled" not in rows(console)[1]


async def test_one_is_run_after_a_question(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    async with console_on(seeded.path, clock) as console:
        await console.press("r")
        assert console.screen_name == "ConfirmScreen"
        await console.press("n")
        assert await seeded.store.firings("nightly", limit=9) == []
        await console.press("r", "y")
        await console.until(lambda: "nightly runs as batch b1" in console.message)
        assert "b1, 3 pending" in rows(console)[1]
        await console.press("r", "y")
        await console.until(lambda: "some of its jobs are open: batch b1" in console.message)


async def test_its_jobs_are_found_in_the_history(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    await add_nights(seeded.store, seeded.owner, clock, tenants)
    async with console_on(seeded.path, clock) as console:
        await console.press("enter")
        assert console.screen_name == "HistoryScreen"
        assert any("t1" in row or "b1" in row for row in console.lines("#history"))


async def test_while_read_only_nothing_is_run_or_disabled(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    async with console_on(seeded.path, clock, read_only=True) as console:
        for key in ("r", "d"):
            await console.press(key)
            assert "Read-only" in console.message
        await console.press("p")
        assert "Next night, " in page(console)


async def test_without_schedules_it_says_how_to_add_one(seeded: Seeded, clock: Clock) -> None:
    CONFIG.write_text("")
    async with console_on(seeded.path, clock) as console:
        assert rows(console) == ["There are no schedules: add a section [schedules.NAME] to the config file."]
        await console.press("r", "p", "d", "enter")
        assert console.screen_name == "SchedulesScreen"


async def test_a_broken_config_is_told(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    config = load_config(CONFIG, required=True)
    saved = SavedTargets(ConfigFile(CONFIG), config)
    async with open_console(seeded.path, entry(), clock=clock, saved=saved) as console:
        CONFIG.write_text("[schedules.nightly]\n")
        await console.press("S")
        assert "schedules.nightly.targets is missing" in " ".join(rows(console))


@pytest.fixture
def reads_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "EVERY", 0.2)


@pytest.mark.usefixtures("reads_often")
async def test_an_error_goes_when_the_config_file_can_be_read_again(
    tenants: Path, seeded: Seeded, clock: Clock
) -> None:
    async with console_on(seeded.path, clock) as console:
        CONFIG.write_text("[schedules.nightly]\n")
        await console.press("j")
        await console.until(lambda: "schedules.nightly.targets is missing" in " ".join(rows(console)))
        CONFIG.write_text(NIGHTLY.replace("monthly", "yearly"))
        await console.press("j")
        await console.until(lambda: "yearly" in " ".join(rows(console)))
        assert "missing" not in " ".join(rows(console))


@pytest.mark.usefixtures("reads_often")
async def test_an_error_goes_when_the_store_can_be_read_again(
    tenants: Path, seeded: Seeded, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console_on(seeded.path, clock) as console:

        async def unreadable(engine: Engine) -> Mapping[str, ScheduleState]:
            raise StoreError("store", "cannot be read")

        with monkeypatch.context() as patch:
            patch.setattr(Engine, "schedule_states", unreadable)
            await console.press("j")
            await console.until(lambda: "cannot be read" in " ".join(rows(console)))
        await console.press("k")
        await console.until(lambda: any(row.startswith("nightly") for row in rows(console)))
        assert "cannot be read" not in " ".join(rows(console))


async def test_the_result_of_a_night_is_told_in_full(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    error = f"/srv/{'x' * 40}.db: found damage: restore a backup, then check again"
    at = last_due(clock)
    night = Firing(schedule="nightly", due_at=at, status=FiringStatus.FIRED, recorded_at=at, error=error)
    await seeded.store.record_firings([night])
    async with console_on(seeded.path, clock) as console:
        await console.until(lambda: "then check again" in " ".join(page(console).split()))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_snapshot(
    size: tuple[int, int], tenants: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    await add_nights(seeded.store, seeded.owner, clock, tenants)
    async with console_on(seeded.path, clock, size=size) as console:
        assert looks_right(console.app)


async def test_snapshot_with_a_plan(
    tenants: Path, seeded: Seeded, clock: Clock, looks_right: Callable[[App[None]], bool]
) -> None:
    async with console_on(seeded.path, clock, size=(120, 40)) as console:
        await console.press("p")
        assert looks_right(console.app)


async def test_the_fleet_shows_when_each_target_is_due(tenants: Path, seeded: Seeded, clock: Clock) -> None:
    config = load_config(CONFIG, required=True)
    saved = SavedTargets(ConfigFile(CONFIG), config)
    others = [TargetEntry(name=f"t{n}", url=f"tenants/t{n}.db") for n in (1, 2)]
    async with open_console(seeded.path, entry(), *others, clock=clock, saved=saved, size=(140, 40)) as console:
        await console.press("f")
        found = {row.split()[0]: row for row in console.lines("#fleet")}
        assert "22:00" in found["t1"]
        assert "22:00" not in found["sales.db"]


async def test_a_slow_store_is_read_once_at_a_time_and_once_more_for_all_that_asked_meanwhile(
    seeded: Seeded, tenants: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with console_on(seeded.path, clock) as console:
        read, go, begun = Engine.schedule_states, asyncio.Event(), list[bool]()

        async def slow(engine: Engine) -> Mapping[str, ScheduleState]:
            begun.append(go.is_set())
            await go.wait()
            return await read(engine)

        monkeypatch.setattr(Engine, "schedule_states", slow)
        await console.pilot.press("down")
        await console.until(lambda: begun, settled=False)
        for key in ("up", "down", "up"):
            await console.pilot.press(key)
        await console.pilot.pause()
        assert begun == [False]
        go.set()
        await console.until(lambda: len(begun) > 1)
        assert begun[:2] == [False, True]
