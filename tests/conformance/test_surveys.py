"""The surveys that the store keeps, and the newest job of each target."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.damage import Damage, DamageChange, DamageSource
from engine.domain.engines import EngineName
from engine.domain.job_outcomes import JobOutcome
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import LEFT_BY_WINDOW, Reason, Status
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause, SurveyReason
from tests.building import COMPLETED, StoppedClock, new_job
from tests.conformance.stores import RescuingStore, Stores

DAY = 86_400_000_000


CLOCK = StoppedClock()


FOUND = Survey(
    target="sqlite:///srv/t1.db",
    engine=EngineName.SQLITE,
    surveyed_at=CLOCK.at,
    level=FleetLevel.NOW,
    reasons=(
        SurveyReason(FleetLevel.NOW, SurveyCause.RECLAIMABLE, {"free_bytes": 7, "size": 9}),
        SurveyReason(FleetLevel.OK, SurveyCause.NEVER_CHECKED),
    ),
    version="3.46.1",
    size=2_100_000_000,
    reclaimable=1_000_000_000,
    state="1:2:3",
)


async def test_a_survey_is_kept_with_all_reasons_and_replaced(store: RescuingStore) -> None:
    other = replace(FOUND, target="sqlite:///srv/t2.db", reasons=(), level=FleetLevel.OK, checked_at=5)
    await store.save_surveys([FOUND, other])
    kept = await store.surveys([FOUND.target, other.target, "sqlite:///srv/t3.db"])
    assert kept == {FOUND.target: FOUND, other.target: other}
    gone = replace(FOUND, level=FleetLevel.UNREACHABLE, size=None, reclaimable=0)
    await store.save_surveys([gone])
    assert await store.surveys([FOUND.target]) == {FOUND.target: gone}


async def test_what_was_a_database_is_known_until_it_is_forgotten(store: RescuingStore) -> None:
    never = replace(FOUND, target="sqlite:///srv/never.db", size=None)
    empty = replace(FOUND, target="sqlite:///srv/empty.db", size=0)
    await store.save_surveys([FOUND, never, empty])
    (job,) = await store.submit([new_job("sales", Operation.CHECK)], OnDuplicate.REFUSE)
    target = (await store.job(job)).target
    assert await store.known_databases() == {FOUND.target}
    claim = await store.claim("worker")
    assert claim is not None
    await store.finish(claim, COMPLETED, Report())
    assert await store.known_databases() == {FOUND.target, target}
    damage = Damage(source=DamageSource.CHECK, found_at=1, text="page 7 is never used")
    await store.save_damage(FOUND.target, DamageChange(found=(damage,)))
    await store.forget_databases([FOUND.target, target])
    assert await store.damage([FOUND.target]) == {}
    assert await store.known_databases() == set()
    assert await store.surveys([FOUND.target]) == {}
    assert (await store.job(job)).target == target


async def test_a_claim_brings_the_damage_of_its_target_alone(store: RescuingStore) -> None:
    damage = Damage(object="item", source=DamageSource.CHECK, found_at=1, text="page 7 is never used")
    (job,) = await store.submit([new_job("sales", Operation.CHECK, Operation.VACUUM)], OnDuplicate.REFUSE)
    for target in ((await store.job(job)).target, FOUND.target):
        await store.save_damage(target, DamageChange(found=(replace(damage, text=target),)))
    claim = await store.claim("worker")
    assert claim is not None
    assert claim.damage == (replace(damage, text=claim.target),)
    met = Damage(object="sale", source=DamageSource.CHECK, found_at=2, text="page 9 is never used")
    ended = replace(COMPLETED, damage=DamageChange(found=(met,)))
    following = await store.finish_and_claim(claim, ended, Report())
    assert following is not None
    assert following.damage == (*claim.damage, met)


async def test_a_survey_of_another_year_is_removed(stores: Stores) -> None:
    clock = StoppedClock()
    async with stores.open(clock=clock) as store:
        await store.save_surveys([FOUND])
        clock.at += 366 * DAY
        await store.save_surveys([replace(FOUND, target="sqlite:///srv/t2.db", surveyed_at=clock.at)])
        assert set(await store.surveys([FOUND.target, "sqlite:///srv/t2.db"])) == {"sqlite:///srv/t2.db"}


async def test_the_last_job_of_each_target(store: RescuingStore) -> None:
    first, second, last = await store.submit(
        [new_job("sales"), new_job("shop"), new_job("sales/again")], OnDuplicate.REFUSE
    )
    found = await store.last_jobs(["sqlite:///sales.db", "sqlite:///shop.db", "sqlite:///none.db"])
    assert set(found) == {"sqlite:///sales.db", "sqlite:///shop.db"}
    assert found["sqlite:///sales.db"] == LastJob(first, JobOutcome.PENDING, None, None)
    assert found["sqlite:///shop.db"] == LastJob(second, JobOutcome.PENDING, None, None)
    assert last > second


async def test_the_last_job_of_a_target_and_when_one_of_them_ended_that_had_begun(stores: Stores) -> None:
    clock, url = StoppedClock(), "sqlite:///sales.db"

    async def submitted(*operations: Operation) -> int:
        (job,) = await store.submit([new_job("sales", *operations)], OnDuplicate.REFUSE)
        return job

    async with stores.open(clock=clock) as store:
        first = await submitted(Operation.CHECK)
        claim = await store.claim("worker")
        assert claim is not None
        second = await submitted(Operation.ANALYZE)
        assert await store.last_jobs([url]) == {url: LastJob(second, JobOutcome.PENDING, None, None, first)}
        clock.at += DAY
        await store.finish(claim, COMPLETED, Report())
        assert await store.last_jobs([url]) == {url: LastJob(second, JobOutcome.PENDING, None, clock.at, first)}
        ended = clock.at
        clock.at += DAY
        await store.cancel_all([second])
        assert await store.last_jobs([url]) == {url: LastJob(second, JobOutcome.CANCELLED, clock.at, ended, first)}
        late = Outcome(status=Status.COMPLETED, reason=Reason.WILL_NOT_FIT)
        third = await submitted(Operation.REINDEX)
        claim = await store.claim("worker")
        assert claim is not None
        await store.finish(claim, late, Report())
        found = LastJob(third, JobOutcome.PARTIAL, clock.at, clock.at, first)  # it keeps the place that it had
        assert await store.last_jobs([url]) == {url: found}


@pytest.mark.parametrize("reason", sorted(LEFT_BY_WINDOW))
async def test_a_job_that_its_window_left_out_as_a_whole_was_no_turn(store: RescuingStore, reason: Reason) -> None:
    url = "sqlite:///sales.db"
    for number in range(3):  # night after night, nothing of it fits
        await store.submit([new_job("sales", Operation.REINDEX, Operation.ANALYZE)], OnDuplicate.REFUSE)
        while (claim := await store.claim("worker")) is not None:
            await store.finish(claim, Outcome(status=Status.SKIPPED, reason=reason), Report())
        last = (await store.last_jobs([url]))[url]
        assert last is not None
        assert (last.id, last.turn) == (number + 1, 0)
    (done,) = await store.submit([new_job("sales", Operation.CHECK)], OnDuplicate.REFUSE)
    claim = await store.claim("worker")
    assert claim is not None
    await store.finish(claim, Outcome(status=Status.SKIPPED, reason=Reason.NOT_NEEDED), Report())
    last = (await store.last_jobs([url]))[url]
    assert last is not None
    assert last.turn == done


BY_SOCKET, BY_PORT, BY_NAME = (f"mysql://root@{host}/shop" for host in ("localhost", "127.0.0.1", "db1"))


async def test_damage_found_by_one_name_of_a_database_counts_for_all_and_ends_for_one(store: RescuingStore) -> None:
    found = Damage(object="item", source=DamageSource.CHECK, found_at=1, text="page 7 is never used")
    assert await store.database_names(BY_SOCKET) == {}
    assert await store.name_database(BY_SOCKET, "mysql:1:shop") == ()
    assert await store.name_database(BY_PORT, "mysql:1:shop") == ()
    assert await store.name_database(BY_NAME, "mysql:2:shop") == ()
    await store.save_damage(BY_SOCKET, DamageChange(found=(found,)))
    assert await store.damage([BY_SOCKET, BY_PORT, BY_NAME]) == {BY_SOCKET: (found,), BY_PORT: (found,)}
    # What one name finds again, and another one found sound, does not come back.
    await store.save_damage(BY_PORT, DamageChange(ended=(found.key,)))
    await store.save_damage(BY_SOCKET, DamageChange(found=(replace(found, found_at=2),)))
    assert set(await store.damage([BY_SOCKET, BY_PORT])) == {BY_SOCKET}
    assert await store.name_database(BY_PORT, "mysql:1:shop") == ()
    # A server may give the identity of another one: the damage of that one blocks it, and it can end none of it there.
    assert await store.name_database(BY_NAME, "mysql:1:shop") == (replace(found, found_at=2),)
    await store.save_damage(BY_NAME, DamageChange(ended=(found.key,)))
    assert set(await store.damage([BY_SOCKET, BY_NAME])) == {BY_SOCKET}


async def test_each_death_of_a_server_counts_for_all_names_but_what_a_person_accepted_for_none(
    store: RescuingStore,
) -> None:
    lost = Damage(object="inn", source=DamageSource.SERVER_LOST, found_at=1, text="the server died")
    await store.name_database(BY_SOCKET, "mysql:1:shop")
    await store.name_database(BY_PORT, "mysql:1:shop")
    await store.save_damage(BY_SOCKET, DamageChange(found=(lost,)))
    await store.save_damage(BY_PORT, DamageChange(ended=(lost.key,)))
    await store.save_damage(BY_SOCKET, DamageChange(found=(replace(lost, found_at=2),)))
    assert (await store.damage([BY_PORT]))[BY_PORT] == (replace(lost, found_at=2),)
    await store.save_damage(BY_SOCKET, DamageChange(found=(replace(lost, accepted_at=3, accepted_by="ann"),)))
    assert await store.name_database(BY_NAME, "mysql:1:shop") == (replace(lost, found_at=2),)
    await store.forget_databases([BY_NAME])
    assert await store.database_names(BY_NAME) == {}


async def test_a_file_is_named_by_what_it_is_on_its_host(store: RescuingStore) -> None:
    old, new, key = "sqlite:///srv/a.db", "sqlite:///srv/b.db", "sqlite:1:2"
    found = Damage(source=DamageSource.CHECK, found_at=1, text="page 7 is never used")
    await store.name_database(old, key)
    await store.save_damage(old, DamageChange(found=(found,)))
    assert await store.database_names(new, key) == {old: key}
    assert await store.name_database(new, key) == (found,)
    assert await store.database_names(new) == {new: key}
    await store.name_database(new, "sqlite:1:3")
    assert await store.database_names(new, key) == {old: key, new: "sqlite:1:3"}
