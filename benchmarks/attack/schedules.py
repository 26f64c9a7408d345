"""Nights around both changes of the clock, by a clock that is set: several workers, some of which are killed.

Each due time must have fired once or be recorded as missed or skipped with a reason, and no two of a schedule may be at
work at once. Which times are due is worked out here minute by minute, apart from dbtend's own way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from benchmarks.attack.directories import attack_directory
from engine.domain.schedules import FiringStatus
from engine.schedules.scheduler import Scheduler
from tests.building import COMPLETED, FAILED
from tests.engine.schedules.world import MINUTE, World, make_databases, world_at

ZONE: Final = ZoneInfo("Europe/Berlin")
CHANGES: Final = (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC))
WORKERS: Final = 3
SCHEDULES: Final = {
    "nightly": ("30 2 * * *", 'until = "05:00"\ncatch_up = "1h"\nstagger = "10m"\n'),
    "evenings": ("0 20 * * mon-fri", 'catch_up = "45m"\n'),
    "often": ("*/20 1-3 * * *", 'catch_up = "15m"\n'),
    "hourly": ("15 * * * *", 'catch_up = "10m"\ncanary = 1\n'),
}


def attack(count: int, seed: int) -> Iterator[str]:
    """`count`: days, half of them around each change."""
    for number, change in enumerate(CHANGES):
        half = timedelta(days=max(count / 4, 1))
        yield from asyncio.run(_simulated(change - half, change + half, random.Random(f"{seed} {number}")))


async def _simulated(begin: datetime, end: datetime, dice: random.Random) -> Sequence[str]:
    findings: list[str] = []
    with attack_directory() as directory:
        async with world_at(Path(directory), _micros(begin)) as world:
            make_databases(world.databases, "c")
            world.configure(*(_section(name, start, more) for name, (start, more) in SCHEDULES.items()))
            workers = [world.scheduler() for _ in range(WORKERS)]
            await world.look(*workers)
            while world.clock.at < _micros(end):
                is_jump = dice.random() < 0.02
                world.clock.at += (dice.randint(60, 540) if is_jump else dice.randint(1, 30)) * MINUTE
                findings += await _step(world, workers, dice)
            workers[0] = world.scheduler()
            await world.look(workers[0])
            for name in SCHEDULES:
                findings += await _judged(world, name, begin)
            # One alone may be missed each time, by chance.
            statuses = {one.status for name in SCHEDULES for one in await world.firings(name)}
            if FiringStatus.FIRED not in statuses:
                findings.append("no schedule ever fired")
    return findings


async def _step(world: World, workers: list[Scheduler], dice: random.Random) -> Sequence[str]:
    """What the workers do now: all at once, some of them killed in the middle."""
    present = dice.sample(range(WORKERS), dice.randint(0, WORKERS))
    looking = [asyncio.create_task(workers[number].look()) for number in present]
    if looking and dice.random() < 0.2:
        await asyncio.sleep(dice.random() * 0.01)
        killed = present[0]
        looking[0].cancel()
        await asyncio.gather(looking[0], return_exceptions=True)
        await workers[killed].close()
        workers[killed] = world.scheduler()
        looking = looking[1:]
        present = present[1:]
    await asyncio.gather(*looking)
    await asyncio.gather(*[workers[number].settled() for number in present])
    findings = []
    for name in SCHEDULES:
        jobs = [job for job in await world.store.open_jobs() if job.schedule == name]
        if len({job.batch for job in jobs}) > 1:
            findings.append(f"{name}: two batches at work at {world.clock.at}")
    if dice.random() < 0.7:
        await world.store.enforce_time_limits()
        await world.work(FAILED if dice.random() < 0.1 else COMPLETED)
    return findings


async def _judged(world: World, name: str, begin: datetime) -> Sequence[str]:
    start, _ = SCHEDULES[name]
    firings = await world.firings(name)
    due = _due(start, begin, world.clock.at)
    found = [one.due_at for one in firings]
    findings = [f"{name}: due at {_text(at)}, and nothing is recorded" for at in sorted(set(due) - set(found))]
    findings += [f"{name}: recorded at {_text(at)}, which is not due" for at in sorted(set(found) - set(due))]
    findings += [
        f"{name}: {one.status} at {_text(one.due_at)} without a reason"
        for one in firings
        if one.status is not FiringStatus.FIRED and one.reason is None
    ]
    batches = [one.batch for one in firings if one.batch is not None]
    if len(set(batches)) < len(batches):
        findings.append(f"{name}: two firings name one batch")
    return findings


def _due(start: str, begin: datetime, until: int) -> list[int]:
    """The due times after `begin`, minute by minute."""
    minutes, hours, _, _, days = start.split()
    is_fixed = not (minutes.startswith("*") or hours.startswith("*"))
    wanted_minutes = set(range(0, 60, int(minutes[2:]))) if minutes.startswith("*/") else {int(minutes)}
    first, _, last = "0-23".partition("-") if hours == "*" else hours.partition("-")
    wanted_hours = set(range(int(first), int(last or first) + 1))
    found, seen, before = [], set[object](), begin.astimezone(ZONE).replace(tzinfo=None)
    at = begin
    while _micros(at) < until:
        at += timedelta(minutes=1)
        local = at.astimezone(ZONE)
        wall = local.replace(tzinfo=None)
        # Of the hour that is left out, all minutes pass at once.
        passed = [one for n in range(1, 121) if (one := before + timedelta(minutes=n)) <= wall]
        candidates = passed if is_fixed and passed else [wall]
        before = wall
        for one in candidates:
            if one.minute in wanted_minutes and one.hour in wanted_hours and (days == "*" or one.weekday() < 5):
                if is_fixed and one in seen:
                    continue
                seen.add(one)
                found.append(_micros(at))
    return list(dict.fromkeys(found))


def _section(name: str, start: str, more: str) -> str:
    return (
        f'[schedules.{name}]\ntargets = ["*"]\noperations = ["analyze"]\nstart = "{start}"\n'
        f'timezone = "{ZONE.key}"\nlock_timeout = {len(name)}\n{more}'
    )


def _micros(at: datetime) -> int:
    return round(at.timestamp()) * 1_000_000


def _text(at: int) -> str:
    return datetime.fromtimestamp(at / 1e6, ZONE).isoformat()
