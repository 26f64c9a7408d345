"""A file is unknown while no page of it was read: half of it may be reclaimable, or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine import Engine, Operation, Request
from engine.config.model import TargetEntry
from engine.domain.surveys import FleetLevel, Survey, SurveyCause
from engine.fleet import surveyor

LIMITS = {"reclaim_soon": 100_000, "small": 0}


@pytest.fixture(autouse=True)
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is as one that is too large."""
    monkeypatch.setattr(surveyor, "SMALL_FILE", 0)
    monkeypatch.setattr(surveyor, "BUDGET", 1e-9)


def make_file(path: Path, *, keep_each: int) -> TargetEntry:
    """Nearly without a free page; of each so many rows one is left."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO t (a) VALUES (?)", (("x" * 400,) for _ in range(5_000)))
        db.execute("DELETE FROM t WHERE id % ? <> 0", (keep_each,))
        db.execute("COMMIT")
        assert db.execute("PRAGMA freelist_count").fetchone()[0] <= 1
    return TargetEntry(name=path.stem, url=str(path), advice=LIMITS)


async def survey_of(engine: Engine, entry: TargetEntry) -> Survey:
    (survey,) = [one.survey async for one in engine.survey([entry], refresh=True)]
    return survey


def seen(survey: Survey) -> tuple[FleetLevel, SurveyCause | None]:
    return survey.level, survey.reason.cause if survey.reason is not None else None


async def test_what_free_pages_do_not_show_is_unknown_until_it_is_measured(tmp_path: Path) -> None:
    half_empty, well_filled = make_file(tmp_path / "a.db", keep_each=2), make_file(tmp_path / "b.db", keep_each=1)
    async with Engine.open(tmp_path / "store" / "jobs.db") as engine:
        for entry in (half_empty, well_filled):
            assert seen(await survey_of(engine, entry)) == (FleetLevel.UNKNOWN, SurveyCause.NOT_MEASURED)
        for entry in (half_empty, well_filled):
            await engine.advise(entry.url, budget=None, limits=entry.thresholds)
        found = await survey_of(engine, half_empty)
        assert seen(found) == (FleetLevel.SOON, SurveyCause.RECLAIMABLE)
        assert found.reclaimable > 800_000
        assert seen(await survey_of(engine, well_filled)) == (FleetLevel.UNCHECKED, SurveyCause.NEVER_CHECKED)


async def test_a_survey_samples_the_pages_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.targets.sqlite.advising.collect.WORTH_FROM", 0)
    monkeypatch.setattr("engine.targets.sqlite.reading.page_fill.LONGEST", 600.0)
    half_empty = make_file(tmp_path / "a.db", keep_each=2)
    async with Engine.open(tmp_path / "store" / "jobs.db") as engine:
        found = await survey_of(engine, half_empty)
    assert seen(found) == (FleetLevel.SOON, SurveyCause.RECLAIMABLE)
    assert found.reclaimable > 700_000


async def test_after_a_vacuum_it_is_known_without_a_measurement(tmp_path: Path) -> None:
    entry = make_file(tmp_path / "a.db", keep_each=2)
    async with Engine.open(tmp_path / "store" / "jobs.db", workers=1) as engine:
        jobs = await engine.submit([Request(target=entry.url, operations=(Operation.VACUUM,))])
        await engine.wait([job.id for job in jobs])
        assert seen(await survey_of(engine, entry)) == (FleetLevel.UNCHECKED, SurveyCause.NEVER_CHECKED)
