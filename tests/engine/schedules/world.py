"""A store, a config file, databases and a clock that a test sets: all that a scheduler needs."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from engine.domain.claims import Outcome, Report
from engine.domain.schedules import Firing, FiringReason, FiringStatus
from engine.schedules.scheduler import Scheduler
from engine.store.sqlite.store import SqliteStore
from engine.submission.manager import DatabaseMaintenanceManager
from engine.targets import resolve
from tests.building import COMPLETED, StoppedClock

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def make_databases(directory: Path, *names: str) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        with closing(sqlite3.connect(directory / f"{name}.db")) as db:
            db.execute("CREATE TABLE IF NOT EXISTS t (a)")
            db.commit()


class World:
    """Schedulers as in several processes, one store."""

    def __init__(self, root: Path, clock: StoppedClock) -> None:
        self.clock = clock
        self.databases = root / "databases"
        self.config = root / "config.toml"
        self.store: SqliteStore
        make_databases(self.databases, "a", "b")

    def configure(self, *schedules: str, config: Path | None = None) -> None:
        """Each a body of `[schedules.NAME]`; `*` in it stands for all databases."""
        text = "\n".join(schedules).replace('"*"', f'"{self.databases}/*.db"')
        path = config or self.config
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)

    def scheduler(self, config: Path | None = None, awake: Callable[[], float] = time.monotonic) -> Scheduler:
        manager = DatabaseMaintenanceManager(self.store, resolve, clock=self.clock)
        return Scheduler(self.store, manager, config or self.config, clock=self.clock, awake=awake)

    async def look(self, *schedulers: Scheduler) -> None:
        """What each of them does now, to its end."""
        for scheduler in schedulers:
            await scheduler.look()
            await scheduler.settled()

    async def work(self, outcome: Outcome = COMPLETED) -> int:
        """Carry out all jobs that may start; how many children there were."""
        number = 0
        await self.store.let_start()
        while (claim := await self.store.claim("me")) is not None:
            await self.store.finish(claim, outcome, Report())
            number += 1
        return number

    async def firings(self, schedule: str = "nightly") -> list[Firing]:
        """Oldest first."""
        return (await self.store.firings(schedule, limit=10_000))[::-1]

    async def results(self, schedule: str = "nightly") -> list[tuple[FiringStatus, FiringReason | None]]:
        return [(one.status, one.reason) for one in await self.firings(schedule)]


@asynccontextmanager
async def world_at(root: Path, at: int) -> AsyncIterator[World]:
    world = World(root, StoppedClock(at))
    async with SqliteStore.open(root / "jobs.db", clock=world.clock) as world.store:
        yield world
