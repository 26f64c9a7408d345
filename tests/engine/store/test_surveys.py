"""The surveys that the store keeps, and the newest job of each target."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.claims import Outcome, Report
from engine.domain.errors import ReadOnlyError
from engine.domain.requests import EngineName, OnDuplicate, Operation
from engine.domain.statuses import LEFT_BY_WINDOW, Reason, Status
from engine.domain.surveys import FleetLevel, LastJob, Survey, SurveyCause, SurveyReason
from engine.store.sqlite import surveys
from engine.store.sqlite.store import SqliteStore
from tests.building import COMPLETED, StoppedClock, new_job

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


async def test_a_survey_is_kept_with_all_reasons_and_replaced(store: SqliteStore) -> None:
    other = replace(FOUND, target="sqlite:///srv/t2.db", reasons=(), level=FleetLevel.OK, checked_at=5)
    await store.save_surveys([FOUND, other])
    kept = await store.surveys([FOUND.target, other.target, "sqlite:///srv/t3.db"])
    assert kept == {FOUND.target: FOUND, other.target: other}
    gone = replace(FOUND, level=FleetLevel.UNREACHABLE, size=None, reclaimable=0)
    await store.save_surveys([gone])
    assert await store.surveys([FOUND.target]) == {FOUND.target: gone}


async def test_a_survey_of_another_year_is_removed(store_path: Path) -> None:
    clock = StoppedClock()
    async with SqliteStore.open(store_path, clock=clock) as store:
        await store.save_surveys([FOUND])
        clock.at += 366 * DAY
        await store.save_surveys([replace(FOUND, target="sqlite:///srv/t2.db", surveyed_at=clock.at)])
        assert set(await store.surveys([FOUND.target, "sqlite:///srv/t2.db"])) == {"sqlite:///srv/t2.db"}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("level", "dreadful"),
        ("engine", "oracle"),
        ("surveyed_at", -1),
        ("size", -5),
        ("reclaimable", -5),
        ("checked_at", 2**62),
        ("facts", "[]"),
        ("facts", '{"reasons": [["now", "because", {}]], "version": "", "state": ""}'),
        ("facts", '{"reasons": [["now", "damage", {"a": {}}]], "version": "", "state": ""}'),
        ("facts", '{"reasons": 7}'),
    ],
)
async def test_a_row_that_was_changed_by_hand_is_as_none(store_path: Path, column: str, value: object) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.save_surveys([FOUND])
        with closing(sqlite3.connect(store_path, isolation_level=None)) as file:
            file.execute(f"UPDATE survey SET {column} = ?", (value,))
        assert await store.surveys([FOUND.target]) == {}
        await store.save_surveys([FOUND])
        assert await store.surveys([FOUND.target]) == {FOUND.target: FOUND}


async def test_the_last_job_of_each_target(store: SqliteStore) -> None:
    first, second, last = await store.submit(
        [new_job("sales"), new_job("shop"), new_job("sales/again")], OnDuplicate.REFUSE
    )
    found = await store.last_jobs(["sqlite:///sales.db", "sqlite:///shop.db", "sqlite:///none.db"])
    assert set(found) == {"sqlite:///sales.db", "sqlite:///shop.db"}
    assert found["sqlite:///sales.db"] == LastJob(first, Status.PENDING, None, None)
    assert found["sqlite:///shop.db"] == LastJob(second, Status.PENDING, None, None)
    assert last > second


async def test_the_last_job_of_a_target_and_when_one_of_them_ended_that_had_begun(store_path: Path) -> None:
    clock, url = StoppedClock(), "sqlite:///sales.db"

    async def submitted(*operations: Operation) -> int:
        (job,) = await store.submit([new_job("sales", *operations)], OnDuplicate.REFUSE)
        return job

    async with SqliteStore.open(store_path, clock=clock) as store:
        first = await submitted(Operation.CHECK)
        claim = await store.claim("worker")
        assert claim is not None
        second = await submitted(Operation.ANALYZE)
        assert await store.last_jobs([url]) == {url: LastJob(second, Status.PENDING, None, None, first)}
        clock.at += DAY
        await store.finish(claim, COMPLETED, Report())
        assert await store.last_jobs([url]) == {url: LastJob(second, Status.PENDING, None, clock.at, first)}
        ended = clock.at
        clock.at += DAY
        await store.cancel_all([second])
        assert await store.last_jobs([url]) == {url: LastJob(second, Status.CANCELLED, clock.at, ended, first)}
        late = Outcome(status=Status.COMPLETED, reason=Reason.WILL_NOT_FIT)
        third = await submitted(Operation.REINDEX)
        claim = await store.claim("worker")
        assert claim is not None
        await store.finish(claim, late, Report())
        found = LastJob(third, Status.COMPLETED, clock.at, clock.at, first)  # it keeps the place that it had
        assert await store.last_jobs([url]) == {url: found}


@pytest.mark.parametrize("reason", sorted(LEFT_BY_WINDOW))
async def test_a_job_that_its_window_left_out_as_a_whole_was_no_turn(store: SqliteStore, reason: Reason) -> None:
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


async def test_a_damaged_job_keeps_no_other_from_being_read(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        sales, shop = await store.submit([new_job("sales"), new_job("shop")], OnDuplicate.REFUSE)
        with closing(sqlite3.connect(store_path, isolation_level=None)) as file:
            file.execute("PRAGMA ignore_check_constraints = 1")
            file.execute("UPDATE parent_job SET finished_at = -1 WHERE id = ?", (sales,))
        assert await store.last_jobs(["sqlite:///sales.db", "sqlite:///shop.db"]) == {
            "sqlite:///sales.db": None,
            "sqlite:///shop.db": LastJob(shop, Status.PENDING, None, None),
        }


async def test_a_store_that_is_only_read_keeps_none(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.save_surveys([FOUND])
    async with SqliteStore.open_read_only(store_path) as store:
        assert await store.surveys([FOUND.target]) == {FOUND.target: FOUND}
        with pytest.raises(ReadOnlyError):
            await store.save_surveys([FOUND])


async def test_ten_thousand_targets_are_found_by_their_keys(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.save_surveys([FOUND])
    with closing(sqlite3.connect(store_path)) as file:
        (values,) = surveys.of_targets(["a", "b"])
        for sql in (surveys.SURVEYS, surveys.LAST_JOBS):
            plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            few = ("wanted", "json", "SCAN r")  # the last two runs of a target
            assert not [line for line in plan if line.startswith("SCAN") and not any(one in line for one in few)]
