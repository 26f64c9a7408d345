"""Firings in the store: one for each due time, in one transaction with its jobs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domain.batches import BatchOptions
from engine.domain.claims import Outcome, Report
from engine.domain.engines import EngineName
from engine.domain.errors import StoreError
from engine.domain.events import HistoryFilter
from engine.domain.requests import Operation
from engine.domain.schedules import Firing, FiringReason, FiringStatus, ScheduleState
from engine.domain.statuses import Reason, Status
from engine.store.protocol import NewBatch, NewJob
from engine.store.rows import FIRINGS_KEPT_OF_EACH
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import SteadyClock
from tests.building import COMPLETED, FAILED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores, newest_change

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NIGHT = 22 * 3_600_000_000
DAY = 86_400_000_000
MINUTE = 60_000_000


def job_on(name: str) -> NewJob:
    return new_job(name, Operation.VACUUM)


def due(at: int, status: FiringStatus = FiringStatus.FIRED, reason: FiringReason | None = None) -> Firing:
    return Firing(schedule="nightly", due_at=at, status=status, reason=reason, recorded_at=at)


def missed(at: int) -> Firing:
    return due(at, FiringStatus.MISSED, FiringReason.NO_WORKER)


def batch(canary: int | None = None) -> NewBatch:
    return NewBatch(options=BatchOptions(canary=canary), schedule="nightly")


async def fire(store: RescuingStore, at: int, *jobs: NewJob) -> Firing | None:
    return await store.fire(due(at), jobs, batch())


async def end(store: RescuingStore, outcome: Outcome = COMPLETED) -> None:
    """Execute all that may be claimed now."""
    while (claim := await store.claim("me")) is not None:
        await store.finish(claim, outcome, Report())


async def starting(store: RescuingStore) -> list[str]:
    """The targets that may be claimed now, in order; their children complete."""
    found = []
    while (claim := await store.claim("me")) is not None:
        found.append(claim.target)
        await store.finish(claim, COMPLETED, Report())
    return found


async def test_a_due_time_fires_with_its_jobs(store: RescuingStore) -> None:
    fired = await fire(store, NIGHT, job_on("a"), job_on("b"))
    assert fired is not None
    assert (fired.status, fired.batch) == (FiringStatus.FIRED, 1)
    assert await store.firings("nightly", limit=9) == [fired]
    assert [job.schedule for job in await store.batch_jobs(1)] == ["nightly", "nightly"]
    found = await store.history(HistoryFilter(schedule="nightly"), before=None, limit=9)
    assert [job.id for job in found] == [2, 1]
    assert await store.history(HistoryFilter(schedule="other"), before=None, limit=9) == []
    assert all(HistoryFilter(schedule="nightly").matches(job) for job in found)
    assert not any(HistoryFilter(schedule="other").matches(job) for job in found)


async def test_r29_a_due_time_fires_once(store: RescuingStore) -> None:
    results = await asyncio.gather(*[fire(store, NIGHT, job_on(f"t{n}")) for n in range(5)])
    assert sum(one is not None for one in results) == 1
    assert await store.count() == 1
    assert await store.record_firings([missed(NIGHT)]) == []


async def test_r29_none_begins_while_jobs_of_an_earlier_one_are_open(store: RescuingStore) -> None:
    await fire(store, NIGHT, job_on("a"))
    assert await store.open_batch("nightly") == 1
    skipped = await fire(store, NIGHT + DAY, job_on("b"))
    assert skipped is not None
    assert (skipped.status, skipped.reason, skipped.batch) == (
        FiringStatus.SKIPPED,
        FiringReason.STILL_RUNNING,
        None,
    )
    await end(store)
    assert await store.open_batch("nightly") is None
    third = await fire(store, NIGHT + 2 * DAY, job_on("b"))
    assert third is not None
    assert third.batch == 2


async def test_one_without_jobs_is_recorded(store: RescuingStore) -> None:
    fired = await fire(store, NIGHT)
    assert fired is not None
    assert (fired.status, fired.reason, fired.batch) == (FiringStatus.FIRED, FiringReason.NOT_NEEDED, None)


async def test_how_many_jobs_one_started_is_known_also_of_one_by_hand_that_needed_nothing(
    store: RescuingStore,
) -> None:
    by_hand = await store.fire(replace(due(NIGHT), reason=FiringReason.BY_HAND), [], batch())
    assert by_hand is not None
    assert (by_hand.reason, by_hand.jobs) == (FiringReason.BY_HAND, 0)
    fired = await fire(store, NIGHT + DAY, job_on("a"))
    assert fired is not None
    assert fired.jobs == 1
    await store.record_firings([missed(NIGHT + 2 * DAY)])
    assert [one.jobs for one in await store.firings("nightly", limit=9)] == [None, 1, 0]


async def test_r29_a_firing_whose_jobs_cannot_be_stored_is_not_recorded(store: RescuingStore) -> None:
    with pytest.raises(StoreError):
        await store.fire(due(NIGHT), [replace(job_on("a"), engine=EngineName("Oracle"))], batch())
    assert await store.firings("nightly", limit=9) == []
    assert await fire(store, NIGHT, job_on("a")) is not None


async def test_a_disabled_schedule_does_not_fire_but_by_hand(store: RescuingStore) -> None:
    await store.disable_schedule("nightly", "member@desk")
    await store.disable_schedule("nightly", "bob")
    state = (await store.schedule_states())["nightly"]
    assert state.disabled_by == "member@desk"
    assert await fire(store, NIGHT, job_on("a")) is None
    assert await store.record_firings([missed(NIGHT)]) == []
    by_hand = await store.fire(replace(due(NIGHT), reason=FiringReason.BY_HAND), [job_on("a")], batch())
    assert by_hand is not None
    await end(store)
    await store.enable_schedule("nightly")
    assert (await store.schedule_states())["nightly"].disabled_at is None
    assert await fire(store, NIGHT + DAY, job_on("a")) is not None


async def test_due_times_count_from_when_a_schedule_is_new_changed_or_enabled(stores: Stores) -> None:
    clock = StoppedClock()
    async with stores.open(clock=clock) as store:
        seen = ScheduleState(name="nightly", start="0 22 * * *", config="/etc/a.toml", since=5)
        await store.observe_schedules([seen])
        await store.observe_schedules([replace(seen, since=9)])
        assert (await store.schedule_states())["nightly"] == seen
        await store.observe_schedules([replace(seen, since=9, config="/etc/b.toml")])
        assert (await store.schedule_states())["nightly"] == replace(seen, config="/etc/b.toml")
        await store.observe_schedules([replace(seen, since=9, start="0 23 * * *")])
        assert (await store.schedule_states())["nightly"].since == 9
        await store.disable_schedule("nightly", "member@desk")
        await store.enable_schedule("nightly")
        assert (await store.schedule_states())["nightly"].since == clock()


async def test_what_was_missed_while_the_clock_was_ahead_still_fires_at_its_time(stores: Stores) -> None:
    clock = StoppedClock(NIGHT + 3 * DAY)
    async with stores.open(clock=clock) as store:
        ahead = [replace(missed(NIGHT + n * DAY), recorded_at=clock()) for n in range(2)]
        await store.record_firings(ahead)
        await fire(store, NIGHT + 3 * DAY, job_on("a"))
        await end(store)
        clock.at = NIGHT - MINUTE
        assert await store.last_handled("nightly", clock()) is None
        clock.at = NIGHT + MINUTE
        fired = await fire(store, NIGHT, job_on("b"))
        assert fired is not None
        assert fired.status is FiringStatus.FIRED
        assert await store.last_handled("nightly", clock()) == NIGHT
        clock.at = NIGHT + 3 * DAY + MINUTE
        assert await fire(store, NIGHT + 3 * DAY, job_on("c")) is None  # what fired never fires again


async def test_children_start_at_their_time(stores: Stores) -> None:
    clock = StoppedClock(NIGHT)
    jobs = [replace(job_on(name), starts_at=NIGHT + n * MINUTE) for n, name in enumerate("abc")]
    async with stores.open(clock=clock) as store:
        await store.fire(due(NIGHT), jobs, batch())
        assert [job.starts_at for job in await store.batch_jobs(1)] == [None, NIGHT + MINUTE, NIGHT + 2 * MINUTE]
        assert await starting(store) == [jobs[0].request.target]
        clock.at += MINUTE - 1
        await store.let_start()
        assert await starting(store) == []
        clock.at += 1
        seen = await newest_change(store)
        await store.let_start()
        assert await newest_change(store) > seen  # which wakes who waits for something to claim
        assert await starting(store) == [jobs[1].request.target]
        clock.at -= DAY
        await store.let_start()
        assert await starting(store) == []
        clock.at += 2 * DAY
        await store.let_start()
        assert await starting(store) == [jobs[2].request.target]
        seen = await newest_change(store)
        await store.let_start()
        assert await newest_change(store) == seen


async def test_a_clock_that_was_ahead_lets_none_start_early(stores: Stores) -> None:
    clock = StoppedClock(NIGHT + DAY)
    async with stores.open(clock=clock) as store:
        await store.fire(due(NIGHT + DAY), [job_on("a")], batch())
        await end(store)
        clock.at = NIGHT
        await store.fire(due(NIGHT), [job_on("b"), replace(job_on("c"), starts_at=NIGHT + MINUTE)], batch())
        await store.let_start()
        assert [await store.claim("me") is not None for _ in range(2)] == [True, False]
        clock.at += MINUTE
        await store.let_start()
        assert await store.claim("me") is not None


async def test_a_clock_that_is_held_steady_starts_no_job_before_its_time(tmp_path: Path) -> None:
    wall = StoppedClock(NIGHT + DAY)
    clock = SteadyClock(wall=lambda: wall() * 1_000)
    async with SqliteStore.open(tmp_path / "jobs.db", clock=clock) as store:
        with clock.steady():
            wall.at -= DAY  # it was a day ahead
            await store.fire(due(NIGHT), [replace(job_on("a"), starts_at=NIGHT + MINUTE)], batch())
            assert await store.claim("me") is None
            wall.at += MINUTE
            await store.let_start()
            assert await store.claim("me") is not None


def canaries(at: int) -> Sequence[NewJob]:
    return [
        job_on("canary"),
        replace(job_on("early"), starts_at=at + MINUTE),
        replace(job_on("late"), starts_at=at + 9 * MINUTE),
    ]


async def test_a_time_to_start_and_a_canary_are_both_waited_for(stores: Stores) -> None:
    clock = StoppedClock(NIGHT)
    async with stores.open(clock=clock) as store:
        await store.fire(due(NIGHT), canaries(NIGHT), batch(canary=1))
        clock.at += 2 * MINUTE
        await store.let_start()
        await store.let_start()
        claim = await store.claim("me")
        assert claim is not None
        assert await store.claim("other") is None  # its time has come, and the canary runs
        await store.finish(claim, COMPLETED, Report())
        assert len(await starting(store)) == 1
        clock.at += 8 * MINUTE
        await store.let_start()
        assert len(await starting(store)) == 1


async def test_what_waits_for_its_time_is_skipped_when_a_canary_fails_and_when_the_window_closes(
    stores: Stores,
) -> None:
    clock = StoppedClock(NIGHT)
    async with stores.open(clock=clock) as store:
        await store.fire(due(NIGHT), canaries(NIGHT), batch(canary=1))
        await end(store, FAILED)
        reasons = [job.children[0].reason for job in await store.batch_jobs(1)]
        assert reasons[1:] == [Reason.CANARY_FAILED] * 2
        late = replace(job_on("z"), starts_at=NIGHT + 9 * MINUTE, deadline_at=NIGHT + 5 * MINUTE)
        await store.fire(due(NIGHT + 1), [late], batch())
        clock.at += 6 * MINUTE
        await store.enforce_time_limits()
        (job,) = await store.batch_jobs(2)
        assert [(child.status, child.reason) for child in job.children] == [(Status.SKIPPED, Reason.TIME_LIMIT)]
        assert job.starts_at is None


async def test_firings_stay_bounded(stores: Stores) -> None:
    clock = StoppedClock(500 * DAY)
    times = [clock.at - n * MINUTE for n in range(FIRINGS_KEPT_OF_EACH + 2)]
    async with stores.open(clock=clock) as store:
        await store.record_firings([missed(at) for at in times])
        await store.record_firings([replace(missed(day * DAY), schedule="seldom") for day in (1, 99, 101)])
        await store.prune_firings()
        assert [one.due_at for one in await store.firings("nightly", limit=20_000)] == times[:FIRINGS_KEPT_OF_EACH]
        assert [one.due_at // DAY for one in await store.firings("seldom", limit=9)] == [101]


async def test_firings_of_all_schedules_between_two_times(store: RescuingStore) -> None:
    other = replace(missed(DAY), schedule="other")
    await store.record_firings([missed(0), missed(DAY), missed(2 * DAY), other])
    found = await store.firings(since=1, until=DAY, limit=9)
    assert [(one.schedule, one.due_at) for one in found] == [("nightly", DAY), ("other", DAY)]
    assert len(await store.firings(limit=2)) == 2


async def test_a_firing_outlives_its_jobs(store: RescuingStore) -> None:
    await fire(store, NIGHT, job_on("a"))
    await end(store)
    await store.prune([1])
    (fired,) = await store.firings("nightly", limit=9)
    assert (fired.status, fired.batch) == (FiringStatus.FIRED, None)
    assert await fire(store, NIGHT, job_on("a")) is None
