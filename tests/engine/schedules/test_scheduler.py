"""Schedules are fired by workers, each due time once, with all that the config file says of them."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from engine.config.reader import load_config
from engine.config.watch import ConfigWatch
from engine.domain.errors import StoreError
from engine.domain.job_outcomes import JobOutcome
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.schedules import Firing, FiringReason, FiringStatus, Schedule
from engine.domain.statuses import Reason, Status
from engine.domain.surveys import FleetLevel
from engine.engine import Engine
from engine.inspection import inspector
from engine.schedules import firing
from engine.schedules import scheduler as scheduling
from engine.schedules.config_names import role_of
from engine.submission.manager import DatabaseMaintenanceManager
from engine.system.private_files import private_directory
from engine.targets import resolve
from tests.building import FAILED
from tests.engine.domain.test_due_times import at
from tests.engine.schedules.world import DAY, HOUR, MINUTE, World, make_databases, world_at
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOON, NIGHT = at("2026-11-27T12:00"), at("2026-11-27T22:00")
NIGHTLY = """
[schedules.nightly]
targets = ["*"]
operations = ["analyze"]
start = "0 22 * * *"
timezone = "Europe/Berlin"
"""
FIRED = (FiringStatus.FIRED, None)
NO_WORKER = (FiringStatus.MISSED, FiringReason.NO_WORKER)
CLOCK_CHANGED = (FiringStatus.MISSED, FiringReason.CLOCK_CHANGED)
STILL_RUNNING = (FiringStatus.SKIPPED, FiringReason.STILL_RUNNING)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_at(tmp_path, NOON) as made:
        made.configure(NIGHTLY)
        yield made


async def test_a_schedule_fires_at_its_time_on_all_its_targets(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    assert await world.firings() == []
    world.clock.at = NIGHT
    await world.look(scheduler)
    (fired,) = await world.firings()
    assert (fired.status, fired.due_at, fired.batch) == (FiringStatus.FIRED, NIGHT, 1)
    jobs = await world.store.batch_jobs(1)
    assert [job.target.rpartition("/")[2] for job in jobs] == ["a.db", "b.db"]
    assert all(job.request.operations == (Operation.ANALYZE,) and job.schedule == "nightly" for job in jobs)
    await world.look(scheduler)
    assert len(await world.firings()) == 1


async def test_it_is_not_due_before_it_was_known(world: World) -> None:
    world.clock.at = NIGHT + MINUTE // 2
    await world.look(world.scheduler())
    assert await world.firings() == []


async def test_several_workers_fire_it_once(world: World) -> None:
    workers = [world.scheduler() for _ in range(3)]
    await world.look(*workers)
    world.clock.at = NIGHT
    await asyncio.gather(*[worker.look() for worker in workers])
    await asyncio.gather(*[worker.settled() for worker in workers])
    assert await world.results() == [FIRED]
    assert await world.store.count() == 2


async def test_a_window_closes_in_the_zone_of_the_schedule(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    world.configure(f'{NIGHTLY}until = "05:00"\n')
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    assert {job.deadline_at for job in await world.store.batch_jobs(1)} == {at("2026-11-28T05:00")}
    world.clock.at = at("2026-11-28T05:00")
    await world.store.enforce_time_limits()
    assert {job.children[0].reason for job in await world.store.batch_jobs(1)} == {Reason.TIME_LIMIT}


async def test_a_night_without_a_worker_is_missed(world: World) -> None:
    await world.look(world.scheduler())
    world.clock.at = NIGHT + 2 * DAY + HOUR
    await world.look(world.scheduler())
    assert await world.results() == [NO_WORKER] * 3


async def test_a_worker_that_comes_in_time_catches_up(world: World) -> None:
    world.configure(f'{NIGHTLY}catch_up = "2h"\n')
    await world.look(world.scheduler())
    world.clock.at = NIGHT + DAY + HOUR
    await world.look(world.scheduler())
    assert await world.results() == [NO_WORKER, FIRED]


async def test_a_worker_that_comes_after_the_window_has_closed_starts_nothing(world: World) -> None:
    world.configure(f'{NIGHTLY}catch_up = "12h"\nuntil = "05:00"\n')
    await world.look(world.scheduler())
    world.clock.at = at("2026-11-28T05:00")
    await world.look(world.scheduler())
    assert await world.results() == [(FiringStatus.MISSED, FiringReason.WINDOW_CLOSED)]
    assert await world.store.count() == 0


async def test_none_begins_while_the_one_before_runs(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    world.clock.at += DAY
    await world.look(scheduler)
    await world.work()
    world.clock.at += DAY
    await world.look(scheduler)
    assert await world.results() == [FIRED, STILL_RUNNING, FIRED]


async def test_a_due_time_that_comes_while_the_one_before_is_prepared_is_skipped(world: World) -> None:
    world.configure(NIGHTLY.replace("0 22", "*/1 *"))
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at += MINUTE
    await scheduler.look()
    world.clock.at += MINUTE
    await scheduler.look()
    await scheduler.settled()
    assert await world.results() == [FIRED, STILL_RUNNING]


async def test_a_clock_that_is_set_forward_over_a_night(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT + 3 * HOUR
    await world.look(scheduler)
    assert await world.results() == [CLOCK_CHANGED]
    world.clock.at = NOON  # and set right again: the night is yet to come
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    assert await world.results() == [FIRED]


async def test_a_clock_that_was_days_ahead_and_is_set_back_beyond_a_due_time(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT + 2 * DAY + HOUR
    await world.look(scheduler)
    world.clock.at = NIGHT + HOUR
    await world.look(scheduler)
    assert {reason for _, reason in await world.results()} == {FiringReason.CLOCK_CHANGED}


async def test_a_store_that_was_away_over_a_night_is_no_change_of_the_clock(world: World) -> None:
    scheduler = world.scheduler(awake=lambda: world.clock.at / 1e6)
    await world.look(scheduler)
    world.clock.at = NIGHT + 3 * HOUR
    await world.look(scheduler)
    assert await world.results() == [NO_WORKER]


async def test_a_clock_that_is_set_back_fires_nothing_twice(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    await world.work()
    world.clock.at = NIGHT - 5 * HOUR
    for hours in range(7):
        world.clock.at = NIGHT - 5 * HOUR + hours * HOUR
        await world.look(scheduler, world.scheduler())
    assert await world.results() == [FIRED]
    world.clock.at = NIGHT + DAY
    await world.look(scheduler)
    assert await world.results() == [FIRED, FIRED]


async def test_a_schedule_that_was_first_seen_while_the_clock_was_years_ahead(world: World) -> None:
    world.clock.at = NOON + 9 * 365 * DAY
    await world.look(world.scheduler())
    world.clock.at = NOON
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    assert await world.results() == [FIRED]


async def test_a_disabled_schedule_is_not_due_and_nothing_of_it_is_missed(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    await world.store.disable_schedule("nightly", "ann")
    world.clock.at = NIGHT
    await world.look(scheduler)
    world.clock.at = NIGHT + DAY + HOUR
    await world.store.enable_schedule("nightly")
    await world.look(scheduler)
    assert await world.results() == []
    world.clock.at = NIGHT + 2 * DAY
    await world.look(scheduler)
    assert await world.results() == [FIRED]


async def test_starts_are_spread_the_same_way_each_night(world: World) -> None:
    make_databases(world.databases, *(f"t{n}" for n in range(12)))
    world.configure(f'{NIGHTLY}stagger = "1h"\n')
    scheduler = world.scheduler()
    await world.look(scheduler)
    nights = []
    for night in range(2):
        world.clock.at = NIGHT + night * DAY
        await world.look(scheduler)
        jobs = await world.store.batch_jobs(night + 1)
        nights.append([(job.target, (job.starts_at or world.clock.at) - world.clock.at) for job in jobs])
        begun = 0
        for _ in range(61):
            begun += await world.work()
            world.clock.at += MINUTE
        assert begun == len(jobs)
    assert nights[0] == nights[1]
    assert len({start for _, start in nights[0]}) > 6


async def test_what_is_needed_is_told_by_advice(world: World) -> None:
    world.configure(NIGHTLY.replace('["analyze"]', '"needed"'))
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    jobs = await world.store.batch_jobs(1)
    assert {job.request.operations for job in jobs} == {(Operation.CHECK,)}


@pytest.mark.parametrize("by_hand", [False, True], ids=["due", "by hand"])
async def test_its_targets_are_surveyed_when_its_night_is_over(world: World, by_hand: bool) -> None:
    world.configure(NIGHTLY)
    scheduler = world.scheduler()
    await world.look(scheduler)
    if by_hand:
        async with Engine.open(world.store.path, clock=world.clock) as engine:
            config = load_config(world.config, required=True)
            await engine.fire(config.schedules[0], config)
    else:
        world.clock.at = NIGHT
        await world.look(scheduler)
    urls = [job.target for job in await world.store.batch_jobs(1)]
    await world.look(scheduler)
    assert not await world.store.surveys(urls)
    await world.work()
    await world.look(scheduler)
    assert set(await world.store.surveys(urls)) == set(urls)
    before = _version(world)
    await world.look(scheduler)
    assert _version(world) == before


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The schedules whose targets were surveyed, in order."""
    names: list[str] = []

    async def survey(schedule: Schedule, *_: object) -> None:
        names.append(schedule.name)

    monkeypatch.setattr(scheduling, "survey_targets", survey)
    return names


async def test_a_night_is_surveyed_once_and_not_again_a_day_later(world: World, surveyed: list[str]) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    await world.work()
    for hours in (0, 1, 23, 25, 36):
        world.clock.at = NIGHT + hours * HOUR + MINUTE // 2
        await world.look(scheduler)
        await world.look(scheduler)
    assert surveyed == ["nightly"]


async def test_a_night_is_surveyed_beside_a_schedule_that_fires_each_minute(world: World, surveyed: list[str]) -> None:
    often = NIGHTLY.replace("nightly", "often").replace("0 22 * * *", "*/1 * * * *")
    world.configure(NIGHTLY, often.replace('"*"', f'"{world.databases}/a.db"'))
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    others = [_of("often", FiringStatus.FIRED, NIGHT + number * MINUTE // 2_000) for number in range(1, 1_001)]
    skipped = [_of("nightly", FiringStatus.SKIPPED, one.due_at) for one in others]
    await world.store.record_firings([*others, *skipped])
    await world.work()
    for _ in range(3):
        await world.look(scheduler)
    assert surveyed == ["nightly", "often"]


def _of(schedule: str, status: FiringStatus, due_at: int) -> Firing:
    reason = None if status is FiringStatus.FIRED else FiringReason.STILL_RUNNING
    return Firing(schedule=schedule, due_at=due_at, status=status, reason=reason, recorded_at=due_at)


async def test_nights_are_not_read_again_while_nothing_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler, read, asked = world.scheduler(), world.store.last_fired, list[str]()

    async def last_fired(schedule: str, since: int) -> int | None:
        asked.append(schedule)
        return await read(schedule, since)

    monkeypatch.setattr(world.store, "last_fired", last_fired)
    for _ in range(10):
        await world.look(scheduler)
    assert asked == ["nightly"]


async def test_the_inspection_of_what_is_needed_is_the_survey_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, inspected = inspector.inspect_and_advise, list[str]()

    async def counted(target: str, *args: Any, **how: Any) -> Any:
        inspected.append(target)
        return await read(target, *args, **how)

    monkeypatch.setattr(inspector, "inspect_and_advise", counted)
    (world.databases / "gone.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
    world.configure(NIGHTLY.replace('["analyze"]', '"needed"') + 'order = "urgent"\n')
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    urls = [f"sqlite://{world.databases / name}.db" for name in ("a", "b", "gone")]
    surveys = await world.store.surveys(urls)
    assert {survey.surveyed_at for survey in surveys.values()} == {NIGHT}
    assert surveys[urls[2]].level is FleetLevel.CRITICAL
    assert len(inspected) == len(urls)  # and the order of its jobs goes by the same surveys


async def test_targets_of_which_nothing_was_needed_are_surveyed_too(world: World) -> None:
    checks = '[advice]\nquick_check_every = "36500d"\nfull_check_every = "36500d"\n'
    world.configure(NIGHTLY.replace('["analyze"]', '"needed"'), checks)
    scheduler = world.scheduler()
    await world.look(scheduler)
    for night in range(3):
        world.clock.at = NIGHT + night * DAY
        await world.look(scheduler)
        async with Engine.open(world.store.path, workers=2, clock=world.clock) as engine:
            await engine.wait([job.id for job in await engine.open_jobs()])
        await world.look(scheduler)
    urls = [f"sqlite://{world.databases / name}.db" for name in ("a", "b")]
    assert {survey.surveyed_at for survey in (await world.store.surveys(urls)).values()} == {world.clock.at}


async def test_a_night_in_which_nothing_is_needed(world: World) -> None:
    checks = '[advice]\nquick_check_every = "36500d"\nfull_check_every = "36500d"\n'
    world.configure(NIGHTLY.replace('["analyze"]', '"needed"'), checks)
    scheduler = world.scheduler()
    await world.look(scheduler)
    for night in range(2):  # in the first one a check is due
        world.clock.at = NIGHT + night * DAY
        await world.look(scheduler)
        async with Engine.open(world.store.path, workers=2, clock=world.clock) as engine:
            await engine.wait([job.id for job in await engine.open_jobs()])
    assert await world.results() == [FIRED, (FiringStatus.FIRED, FiringReason.NOT_NEEDED)]


async def test_the_jobs_of_a_schedule_are_its_own_also_where_others_do_the_same(world: World) -> None:
    world.configure(NIGHTLY, NIGHTLY.replace("nightly", "other") + 'until = "05:00"\n')
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await scheduler.look()
    await scheduler.settled()
    assert [*await world.results(), *await world.results("other")] == [FIRED, FIRED]
    deadlines = {name: await deadlines_of(world, name) for name in ("nightly", "other")}
    assert deadlines == {"nightly": {None}, "other": {NIGHT + 7 * HOUR}}


async def test_its_night_ends_as_its_own_jobs_end(world: World) -> None:
    world.configure(NIGHTLY, NIGHTLY.replace("nightly", "other"))
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    await world.work(FAILED)
    async with Engine.open(world.store.path, clock=world.clock) as engine:
        nights = [(await engine.nights(name))[0] for name in ("nightly", "other")]
    assert [night.batch.counts for night in nights if night.batch is not None] == [{JobOutcome.FAILED: 2}] * 2


@pytest.mark.parametrize("on_duplicate", [OnDuplicate.MERGE, OnDuplicate.REFUSE])
async def test_what_a_person_asks_for_is_not_joined_with_the_jobs_of_a_schedule(
    world: World, on_duplicate: OnDuplicate
) -> None:
    world.configure(NIGHTLY + 'until = "05:00"\nstagger = "1h"\n')
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    jobs = await world.store.batch_jobs(1)
    manager = DatabaseMaintenanceManager(world.store, resolve, clock=world.clock)
    (made,) = await manager.submit([jobs[0].request], on_duplicate)
    assert made not in {job.id for job in jobs}


async def deadlines_of(world: World, schedule: str) -> set[int | None]:
    (firing,) = await world.firings(schedule)
    assert firing.batch is not None
    return {job.deadline_at for job in await world.store.batch_jobs(firing.batch)}


async def test_a_target_that_cannot_be_opened_does_not_stop_the_others(world: World) -> None:
    (world.databases / "z.db").write_bytes(b"no database" * 100)
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    jobs = await world.store.batch_jobs(1)
    assert [job.status for job in jobs] == [Status.PENDING, Status.PENDING, Status.FAILED]


async def test_the_only_target_that_cannot_be_opened_is_a_failed_job(world: World) -> None:
    world.configure(NIGHTLY.replace('"*"', f'"{world.databases}/none.db"'))
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    (job,) = await world.store.batch_jobs(1)
    assert job.status is Status.FAILED
    assert await world.results() == [FIRED]


async def test_a_pattern_that_matches_nothing_is_missed_with_the_reason(world: World) -> None:
    world.configure(NIGHTLY.replace('"*"', f'"{world.databases}/*.nothing"'))
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    (missed,) = await world.firings()
    assert (missed.status, missed.reason) == (FiringStatus.MISSED, FiringReason.NOT_STARTED)
    assert "matches no file" in (missed.error or "")


async def test_each_mistake_of_a_config_that_is_broken_again_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    mistakes = ["[schedules.nightly]\nstart = 1\n", "[schedules.nightly]\nstrat = 1\n", "[schedules\n"]
    for mistake in mistakes:
        world.configure(mistake)
        await world.look(scheduler)
        await world.look(scheduler)
    told = [one.message for one in caplog.records if "the schedules read last stay in force" in one.message]
    assert len(set(told)) == len(told) == len(mistakes)


async def test_a_changed_config_is_taken_over_and_a_broken_one_is_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.configure(NIGHTLY.replace("0 22", "0 nonsense"))
    world.clock.at = NIGHT
    await world.look(scheduler)
    assert await world.results() == [FIRED]
    assert "the schedules read last stay in force" in caplog.text
    await world.work()
    world.config.unlink()
    await world.look(scheduler)
    assert "there is no such config file" in caplog.text
    world.configure(NIGHTLY.replace("0 22", "0 23"))
    await world.look(scheduler)
    world.clock.at = NIGHT + HOUR
    await world.look(scheduler)
    assert await world.results() == [FIRED, FIRED]
    world.configure("")
    world.clock.at = NIGHT + DAY + HOUR
    await world.look(scheduler)
    assert await world.results() == [FIRED, FIRED]


async def test_a_changed_start_is_not_due_for_the_time_before_the_change(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NOON + HOUR
    world.configure(NIGHTLY.replace("0 22", "30 12"))
    await world.look(scheduler)
    assert await world.results() == []


async def test_nothing_is_missed_while_a_schedule_was_not_in_the_config_file(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.configure("")
    await world.look(scheduler)
    assert await world.store.schedule_states() == {}
    world.clock.at = NIGHT + 3 * DAY + HOUR
    world.configure(NIGHTLY)
    await world.look(scheduler)
    assert await world.results() == []
    await world.store.disable_schedule("nightly", "ann")
    world.configure("")
    await world.look(scheduler)
    assert "nightly" in await world.store.schedule_states()


async def test_of_two_config_files_with_one_name_the_first_fires(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    world.configure(
        NIGHTLY.replace("analyze", "vacuum"),
        NIGHTLY.replace("nightly", "other").replace("analyze", "reindex"),
        config=other,
    )
    first, second = world.scheduler(), world.scheduler(other)
    await world.look(first, second)
    world.clock.at = NIGHT
    await world.look(second, first)
    assert [job.request.operations for job in await world.store.open_jobs() if job.schedule == "nightly"] == [
        (Operation.ANALYZE,)
    ] * 2
    assert await world.results() == [FIRED]
    assert await world.results("other") == [FIRED]
    assert f"schedule nightly: is in {world.config}, too, which fires it (rename one)" in caplog.text
    await world.work()
    world.config.unlink()  # then the other one has the name for itself
    monkeypatch.setattr(scheduling, "RECHECKED_AFTER", 0)
    await world.look(second)
    world.clock.at = NIGHT + DAY
    await world.look(second)
    assert await world.results() == [FIRED, FIRED]


async def test_a_store_that_cannot_be_written_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, fire = world.scheduler(), world.store.fire

    async def refuse(*_: object) -> None:
        raise StoreError("jobs.db", "is locked by others", "wait")

    await world.look(scheduler)
    world.clock.at = NIGHT
    monkeypatch.setattr(world.store, "fire", refuse)
    await world.look(scheduler)
    assert await world.results() == []
    assert "it is tried again" in caplog.text
    monkeypatch.setattr(world.store, "fire", fire)
    world.clock.at += 5_000_000
    await world.look(scheduler)
    assert await world.results() == [FIRED]


async def test_a_defect_is_recorded_and_the_next_night_is_fired(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = world.scheduler()

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    await world.look(scheduler)
    world.clock.at = NIGHT
    with monkeypatch.context() as patch:
        patch.setattr(firing, "work_of", fail)
        await world.look(scheduler)
    world.clock.at += DAY
    await world.look(scheduler)
    missed, fired = await world.firings()
    assert (missed.reason, fired.status) == (FiringReason.NOT_STARTED, FiringStatus.FIRED)
    assert "ZeroDivisionError" in (missed.error or "")


async def test_the_store_of_jobs_is_no_target_of_a_schedule(world: World) -> None:
    own = resolve(str(world.store.path))
    manager = DatabaseMaintenanceManager(world.store, resolve, own=own, clock=world.clock)
    world.configure(NIGHTLY.replace('"*"', f'"{world.store.path}"'))
    scheduler = scheduling.Scheduler(world.store, manager, world.config, clock=world.clock)
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    (missed,) = await world.firings()
    assert missed.reason is FiringReason.NOT_STARTED
    assert "is the store of jobs" in (missed.error or "")


async def test_a_long_absence_is_recorded_whole(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "MOST", 7)
    await world.look(world.scheduler())
    world.clock.at = NIGHT + 30 * DAY + HOUR
    scheduler = world.scheduler()
    while await scheduler.look() == 0:
        await scheduler.settled()
    assert await world.results() == [NO_WORKER] * 31


async def test_nothing_is_written_while_nothing_is_due(world: World) -> None:
    scheduler = world.scheduler()
    await world.look(scheduler)
    seen = _version(world)
    for _ in range(5):
        world.clock.at += MINUTE
        await world.look(scheduler)
    assert _version(world) == seen


def _version(world: World) -> object:
    return [os.stat(f"{world.store.path}{end}").st_mtime_ns for end in ("", "-wal")]  # noqa: PTH116


async def test_an_engine_fires_the_schedules_of_its_config_file(tmp_path: Path) -> None:
    """By the clock of the system; only one of two on the store looks at what is due."""
    make_databases(tmp_path / "databases", "a")
    config = tmp_path / "config.toml"
    config.write_text(
        f'[schedules.often]\ntargets = ["{tmp_path}/databases/*.db"]\noperations = ["analyze"]\nstart = "* * * * *"\n'
    )
    offset = (time.time_ns() // 60_000_000_000 + 1) * 60_000_000 - time.time_ns() // 1000 - 500_000

    def clock() -> int:
        return time.time_ns() // 1000 + offset  # half a second before a full minute

    store = tmp_path / "jobs.db"
    async with (
        Engine.open(store, workers=1, config=config, schedules=True, clock=clock) as engine,
        Engine.open(store, config=config, schedules=True, clock=clock),
    ):
        async with asyncio.timeout(30):
            async for _ in engine.changes(0):
                jobs = await engine.history()
                if jobs and jobs[0].status.is_final:
                    break
        assert [(job.schedule, job.status) for job in jobs] == [("often", Status.COMPLETED)]


async def test_the_limit_of_a_server_is_that_of_the_schedule_or_else_that_of_all_batches(world: World) -> None:
    servers = 'targets = ["postgresql://dba@127.0.0.1:1/a", "postgresql://dba@127.0.0.1:1/b"]'
    one = NIGHTLY.replace('targets = ["*"]', servers)
    two = one.replace("nightly", "weekly") + "max_per_host = 1\n"
    world.configure("[defaults]\nmax_per_host = 3\n", one, two)
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT
    await world.look(scheduler)
    limits = {}
    for name in ("nightly", "weekly"):
        (fired,) = await world.firings(name)
        limits[name] = (await world.store.batch(fired.batch or 0)).options.max_per_host
    assert limits == {"nightly": 3, "weekly": 1}


async def test_schedules_begin_once_their_lock_can_be_had(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(scheduling, "INTERVAL", 0.01)
    manager = DatabaseMaintenanceManager(world.store, resolve, clock=world.clock)
    lock = private_directory(world.store.path) / f"{role_of(str(world.config))}.lock"
    lock.mkdir()
    async with asyncio.timeout(20), scheduling.scheduling(world.store, manager, world.config, clock=world.clock):
        await eventually(lambda: "schedules cannot be fired now" in caplog.text)
        lock.rmdir()
        await eventually(world.store.schedule_states)
    assert caplog.text.count("schedules cannot be fired now") == 1


async def test_the_successor_of_a_dead_worker_goes_on_with_the_last_good_config(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduling, "INTERVAL", 0.01)
    world.configure(NIGHTLY)
    manager = DatabaseMaintenanceManager(world.store, resolve, clock=world.clock)
    leader = world.store.holding_role(role_of(str(world.config)))
    assert await leader.__aenter__()
    problems: list[object] = []
    look = ConfigWatch.look

    def told(watch: ConfigWatch) -> bool:
        is_new = look(watch)
        problems.append(watch.problem)
        return is_new

    monkeypatch.setattr(ConfigWatch, "look", told)
    async with asyncio.timeout(20), scheduling.scheduling(world.store, manager, world.config, clock=world.clock):
        await eventually(lambda: problems)
        assert await world.store.schedule_states() == {}
        world.config.write_text("broken")
        await eventually(lambda: problems[-1])
        await leader.__aexit__(None, None, None)
        states = await eventually(world.store.schedule_states)
    assert [*states] == ["nightly"]
