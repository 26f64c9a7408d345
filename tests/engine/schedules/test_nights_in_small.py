"""A schedule on more databases than fit into its window: each night goes on where the last one stopped."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from engine import Engine
from engine.domain.job_outcomes import JobOutcome
from engine.domain.statuses import LEFT_BY_WINDOW
from engine.system.clock import SteadyClock
from tests.engine.closing import night_closing_after
from tests.engine.domain.test_due_times import at
from tests.engine.schedules.world import DAY, HOUR, World, world_at
from tests.engine.test_nights import DATABASES, Work, works
from tests.engine.test_nights import tenants as tenants

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from engine import ParentJob

NOON, NIGHT = at("2026-11-27T12:00"), at("2026-11-27T22:00")
WINDOW = HOUR // 60
NIGHTLY = """
[schedules.nightly]
targets = ["{}/tenant-*.db"]
operations = ["reindex", "analyze"]
start = "0 22 * * *"
timezone = "Europe/Berlin"
until = "22:01"
"""


async def night(world: World, number: int, steps: int) -> tuple[list[ParentJob], list[Work]]:
    """A night whose window closes after so many steps: its jobs, and what they did in its order."""
    scheduler = world.scheduler()
    await world.look(scheduler)
    world.clock.at = NIGHT + number * DAY
    await world.look(scheduler)
    (firing,) = [one for one in await world.firings() if one.due_at == world.clock.at]
    assert firing.batch is not None
    closes_at = world.clock.at + WINDOW

    def close() -> None:
        world.clock.at = closes_at

    with night_closing_after(steps, close) as ran:
        clock = SteadyClock(lambda: world.clock.at * 1000)
        async with Engine.open(world.store.path, workers=1, clock=clock) as engine, asyncio.timeout(120):
            jobs = await engine.wait([job.id for job in await world.store.batch_jobs(firing.batch)])
    assert {job.deadline_at for job in jobs} == {closes_at}
    return jobs, ran


async def test_each_night_of_a_schedule_begins_where_the_last_one_stopped(
    tenants: Sequence[Path], tmp_path: Path
) -> None:
    indexes = works(tenants)
    async with world_at(tmp_path, NOON) as world:
        world.configure(NIGHTLY.format(tmp_path))
        first, done = await night(world, 0, len(indexes) // 2)
        assert len(first) == DATABASES
        assert any(child.reason in LEFT_BY_WINDOW for job in first for child in job.children)
        second, then = await night(world, 1, len(indexes) // 2)
        assert then[0][0] == done[-1][0]  # in the middle of a database
        reached = {name for name, _ in done} - {done[-1][0]}
        fresh = [name for name, _ in then if name not in reached]
        assert [name for name, _ in then[: len(fresh)]] == fresh  # those that were reached come last
        done_twice = Counter([*done, *then])
        assert all(done_twice[work] == 1 for work in indexes & {*done} if work[0] not in {name for name, _ in then})
        third, last = await night(world, 2, 10**6)
        assert indexes <= {*done, *then, *last}
        counts = (await world.store.batch(third[0].batch or 0)).counts
        assert counts == {JobOutcome.COMPLETED: DATABASES}
        assert len(second) == DATABASES
