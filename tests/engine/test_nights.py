"""Many databases in a window that is too short, night after night: each goes on where the last one stopped."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Operation, ParentJob, Request
from engine.domain.batches import Order
from engine.domain.job_outcomes import JobOutcome
from engine.domain.statuses import LEFT_BY_WINDOW
from engine.fleet.order import in_order
from engine.system.clock import SteadyClock
from engine.targets import resolve
from tests.building import StoppedClock
from tests.engine.closing import night_closing_after
from tui.presentation.exit_codes import OK, TIME_LIMIT, exit_code

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOUR = 3_600_000_000
DATABASES = 40
REINDEX = Operation.REINDEX
Work = tuple[str, str]


@pytest.fixture
def tenants(tmp_path: Path) -> list[Path]:
    """Databases of one to seven indexes, and of one row to thousands."""
    dice, paths = random.Random(40), []
    for number in range(DATABASES):
        path = tmp_path / f"tenant-{number:02}.db"
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE t (a, b)")
            rows = dice.choice((1, 10, 3000))
            db.executemany("INSERT INTO t VALUES (?, ?)", ((row, str(row)) for row in range(rows)))
            for index in range(dice.randint(1, 7)):
                db.execute(f"CREATE INDEX i{index} ON t (a, b, {index})")
        db.close()
        paths.append(path)
    return paths


async def night(
    engine: Engine, tenants: Sequence[Path], wall: StoppedClock, steps: int
) -> tuple[list[ParentJob], list[Work]]:
    """A run on all of them whose window closes after so many steps; and what it did, in order."""
    wall.at += 20 * HOUR
    named = [(resolve(str(path)).url, Request(target=str(path), operations=(REINDEX,))) for path in tenants]
    last = await engine.last_jobs([url for url, _ in named])
    ordered = in_order(named, Order.OLDEST, {}, last)
    closes_at = wall.at + HOUR

    def close() -> None:
        wall.at = closes_at

    with night_closing_after(steps, close) as ran:
        jobs = await engine.submit(ordered, closes_at=closes_at)
        async with asyncio.timeout(120):
            ended = await engine.wait([job.id for job in jobs])
    return ended, ran


def works(tenants: Sequence[Path]) -> set[Work]:
    found = set()
    for path in tenants:
        with sqlite3.connect(path) as db:
            found |= {
                (path.name, name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")
            }
        db.close()
    return found


async def test_the_second_night_begins_where_the_first_stopped(tenants: Sequence[Path], tmp_path: Path) -> None:
    wall, every = StoppedClock(), works(tenants)
    half = len(every) * 2 // 3
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=SteadyClock(lambda: wall.at * 1000)) as engine:
        first, done = await night(engine, tenants, wall, half)
        assert len(set(done)) == len(done) >= half
        assert exit_code(first) == TIME_LIMIT
        left = every - set(done)
        assert left
        second, then = await night(engine, tenants, wall, len(every) + 1)
        assert then[0][0] == done[-1][0]
        assert set(then[: len(left) + 7]) >= left
        began = [name for name, _ in then]
        reached = {name for name, _ in done}
        complete = {name for name in reached if not any(other == name for other, _ in left)}
        first_complete = next(place for place, name in enumerate(began) if name in complete)
        assert {name for name, _ in left} <= set(began[:first_complete])  # what was left comes first
        assert exit_code(second) == OK
        assert {*then} == every
        counts = (await engine.batch(1)).counts
        assert counts[JobOutcome.SKIPPED] == DATABASES - len(reached)


async def test_in_nights_that_are_much_too_short_everything_gets_its_turn(
    tenants: Sequence[Path], tmp_path: Path
) -> None:
    wall, every, times = StoppedClock(), works(tenants), Counter[Work]()
    dice = random.Random(7)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=SteadyClock(lambda: wall.at * 1000)) as engine:
        for number in count(1):
            jobs, done = await night(engine, tenants, wall, len(every) // 5)
            wall.at += dice.choice((-30, 0, 30)) * HOUR  # set, or back, between the nights
            times.update(done)
            assert all(child.reason in LEFT_BY_WINDOW or child.is_complete for job in jobs for child in job.children)
            if set(times) == every:
                break
            assert number < 8
        assert max(times.values()) <= 2
