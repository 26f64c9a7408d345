"""A schedule that systemd or cron starts: only if it is due and its window is open; what was missed is recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import UsageError
from engine.domain.schedules import Firing, FiringReason, FiringStatus
from engine.engine import Engine
from engine.schedules import firing
from tests.engine.domain.test_due_times import at
from tests.engine.schedules.world import DAY, HOUR, MINUTE, World, world_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

from engine.config.reader import load_config

NIGHT = at("2026-11-28T01:00")
NIGHTLY = """
[schedules.nightly]
targets = ["*"]
operations = ["analyze"]
start = "0 1 * * *"
timezone = "Europe/Berlin"
until = "05:00"
"""
FIRED = (FiringStatus.FIRED, None)
NO_WORKER = (FiringStatus.MISSED, FiringReason.NO_WORKER)
WINDOW_CLOSED = (FiringStatus.MISSED, FiringReason.WINDOW_CLOSED)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_at(tmp_path, NIGHT) as made:
        made.configure(NIGHTLY)
        yield made


async def start(world: World, time: int) -> Firing | None:
    world.clock.at = time
    config = load_config(world.config, required=True)
    async with Engine.open(world.store.path, clock=world.clock) as engine:
        fired, _ = await engine.fire_as_due(config.schedules[0], config, world.config)
    return fired


async def test_one_that_is_due_fires_within_its_window(world: World) -> None:
    fired = await start(world, NIGHT + 20_000_000)
    assert fired is not None
    assert (fired.status, fired.reason, fired.due_at, fired.batch) == (*FIRED, NIGHT, 1)
    assert {job.deadline_at for job in await world.store.batch_jobs(1)} == {NIGHT + 4 * HOUR}


async def test_it_fires_once_beside_a_worker(world: World) -> None:
    await start(world, NIGHT)
    assert await start(world, NIGHT + MINUTE // 2) is None
    scheduler = world.scheduler()
    await world.look(scheduler)
    assert await world.results() == [FIRED]


@pytest.mark.parametrize("catch_up", ["", 'catch_up = "2h"\n'])
async def test_a_machine_that_boots_in_the_morning_runs_nothing(world: World, catch_up: str) -> None:
    world.configure(NIGHTLY + catch_up)
    await start(world, NIGHT - HOUR)
    assert await start(world, NIGHT + 8 * HOUR) is not None
    assert await world.results() == [NO_WORKER]
    assert await world.store.count() == 0


@pytest.mark.parametrize("late", [2 * MINUTE, HOUR, 8 * HOUR])
async def test_a_new_one_has_missed_nothing_before_it_is_first_seen(world: World, late: int) -> None:
    assert await start(world, NIGHT + late) is None
    assert await world.results() == []
    await start(world, NIGHT + DAY)
    assert await world.results() == [FIRED]


async def test_within_catch_up_it_fires_only_while_its_window_is_open(world: World) -> None:
    world.configure(NIGHTLY + 'catch_up = "12h"\n')
    await start(world, NIGHT + 2 * HOUR)
    await world.work()
    await start(world, NIGHT + DAY + 8 * HOUR)
    assert await world.results() == [FIRED, WINDOW_CLOSED]


async def test_nights_without_a_start_are_missed(world: World) -> None:
    await start(world, NIGHT)
    await world.work()
    await start(world, NIGHT + 3 * DAY)
    assert await world.results() == [FIRED, NO_WORKER, NO_WORKER, FIRED]


async def test_the_first_time_nothing_before_its_last_due_time_is_missed(world: World) -> None:
    world.configure(NIGHTLY.replace("0 1 * * *", "*/5 1 * * *"))
    await start(world, NIGHT + 55 * MINUTE)
    assert [one.due_at for one in await world.firings()] == [NIGHT + 55 * MINUTE]


async def test_while_jobs_of_it_are_open_it_is_skipped(world: World) -> None:
    world.configure(NIGHTLY.replace('until = "05:00"', ""))
    await start(world, NIGHT)
    await start(world, NIGHT + DAY)
    assert (await world.results())[-1] == (FiringStatus.SKIPPED, FiringReason.STILL_RUNNING)


async def test_a_disabled_one_does_not_fire_nor_is_it_missed(world: World) -> None:
    await world.store.disable_schedule("nightly", "ann")
    assert await start(world, NIGHT) is None
    await world.store.enable_schedule("nightly")
    assert await start(world, NIGHT + HOUR) is None
    assert await world.results() == []


async def test_targets_that_cannot_be_told_are_recorded(world: World) -> None:
    world.configure(NIGHTLY.replace('"*"', '"/nowhere/x*.db"'))
    with pytest.raises(UsageError):
        await start(world, NIGHT)
    assert await world.results() == [(FiringStatus.MISSED, FiringReason.NOT_STARTED)]


async def test_a_defect_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firing, "work_of", fail)
    with pytest.raises(ZeroDivisionError):
        await start(world, NIGHT)
    (missed,) = await world.firings()
    assert missed.reason is FiringReason.NOT_STARTED
    assert "ZeroDivisionError" in (missed.error or "")


async def test_while_jobs_of_it_are_open_no_target_is_looked_at(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure(NIGHTLY.replace('until = "05:00"', ""))
    await start(world, NIGHT)
    monkeypatch.setattr(firing, "work_of", fail)
    await start(world, NIGHT + DAY)
    assert (await world.results())[-1] == (FiringStatus.SKIPPED, FiringReason.STILL_RUNNING)


async def fail(*_: object) -> None:
    raise ZeroDivisionError("division by zero")


async def test_one_of_another_config_file_does_not_fire(world: World, tmp_path: Path) -> None:
    await start(world, NIGHT)
    await world.work()
    other = tmp_path / "other.toml"
    other.write_text(world.config.read_text())
    config = load_config(other, required=True)
    world.clock.at = NIGHT + DAY
    async with Engine.open(world.store.path, clock=world.clock) as engine:
        with pytest.raises(UsageError, match="too, which fires it"):
            await engine.fire_as_due(config.schedules[0], config, other)


async def test_by_hand_it_has_a_window_only_while_one_is_open(world: World) -> None:
    for number, (time, closes) in enumerate([(NIGHT + HOUR, NIGHT + 4 * HOUR), (NIGHT + 17 * HOUR, None)], 1):
        world.clock.at = time
        config = load_config(world.config, required=True)
        async with Engine.open(world.store.path, clock=world.clock) as engine:
            await engine.fire(config.schedules[0], config)
        assert {job.deadline_at for job in await world.store.batch_jobs(number)} == {closes}
        await world.work()
