"""Whatever workers, clocks and people do: each due time fires once or says why not, and never two at once."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.due_times import due_until
from engine.domain.schedules import FiringStatus
from engine.schedules.scheduler import Scheduler
from tests.building import COMPLETED, FAILED
from tests.engine.domain.test_due_times import at, schedule
from tests.engine.schedules.world import HOUR, MINUTE, World, world_at

BEGIN = at("2026-10-24T20:00")
"""The evening before summer time ends."""
NIGHTLY = """
[schedules.nightly]
targets = ["*"]
operations = ["analyze"]
start = "START"
timezone = "Europe/Berlin"
catch_up = "20m"
"""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 50)),
        st.tuples(st.just("jump"), st.integers(-300, 300)),
        st.tuples(st.just("look"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["kill while it looks", "kill while it fires"]), st.integers(0, 899)),
        st.tuples(st.just("work"), st.integers(0, 1)),
    ),
    max_size=25,
)


@settings(max_examples=25)
@given(STEPS, st.sampled_from(["30 2 * * *", "*/20 * * * *", "15 * * * *"]))
def test_r29_any_course_fires_each_due_time_once_or_says_why_not(steps: list[tuple[str, int]], start: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_course(Path(directory), steps, start))


async def _course(root: Path, steps: list[tuple[str, int]], start: str) -> None:
    async with world_at(root, BEGIN) as world:
        world.configure(NIGHTLY.replace("START", start))
        workers = [world.scheduler() for _ in range(3)]
        await world.look(*workers)
        latest, fired = BEGIN, Counter[int]()
        for what, number in steps:
            if what == "pass":
                world.clock.at += number * MINUTE
            elif what == "jump":
                world.clock.at = max(world.clock.at + number * MINUTE, BEGIN)
            elif what == "look":
                await world.look(workers[number])
            elif what.startswith("kill"):
                turns, which = divmod(number, 3)
                await _killed(workers[which], turns, is_looking=what == "kill while it looks")
                workers[which] = world.scheduler()
            else:
                await world.work(FAILED if number else COMPLETED)
            latest = max(latest, world.clock.at)
            await _never_two(world)
        world.clock.at = latest + HOUR
        await world.look(workers[0], workers[1])
        recorded = await world.firings()
        due = due_until(schedule(start), BEGIN, world.clock.at, most=1000)
        assert [one.due_at for one in recorded] == due
        assert all(one.reason is not None for one in recorded if one.status is not FiringStatus.FIRED)
        for one in recorded:
            fired[one.batch or 0] += one.batch is not None
        assert all(number == 1 for batch, number in fired.items() if batch)


async def _killed(worker: Scheduler, turns: int, *, is_looking: bool) -> None:
    """Stop it so many turns of the loop after it begins to look, or after it has looked and prepares jobs."""
    looking = asyncio.create_task(worker.look())
    if not is_looking:
        await looking
    for _ in range(turns):
        await asyncio.sleep(0)
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
    await worker.close()


async def _never_two(world: World) -> None:
    assert len({job.batch for job in await world.store.open_jobs()}) <= 1
