"""R21: old jobs go in small batches, pinned ones stay, and a store under a steady load stays small."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import Engine, Retention, Status
from engine.domain.retention import DAY
from engine.history.retention import prune
from engine.store.sqlite import connections
from engine.store.sqlite.store import SqliteStore
from tests.building import StoppedClock
from tests.conformance.test_retention import NOTHING, OUTCOMES, add, kept
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


MICROS = 1_000_000


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.history.retention.BREATH", 0)


@pytest.fixture
async def store(store_path: Path, clock: StoppedClock) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(store_path, clock=clock) as opened:
        yield opened


async def test_r21_two_that_prune_at_once_do_not_get_in_each_others_way(
    store: SqliteStore, clock: StoppedClock
) -> None:
    for number in range(40):
        await add(store, f"db{number % 2}")
    clock.at += 1
    async with Engine.open(store.path, clock=clock) as one, Engine.open(store.path, clock=clock) as two:
        retention = Retention(completed=0, keep_last=3)
        removed = await asyncio.gather(*(engine.prune(retention) for engine in (one, two)))
    assert sum(count.get(Status.COMPLETED, 0) for count in removed) == 40 - 2 * 3
    assert len(await kept(store)) == 2 * 3


async def test_r21_a_store_stays_small_under_a_steady_load(store: SqliteStore, clock: StoppedClock) -> None:
    """Thirty days of the same work each day: the file has its final size after the first ten."""

    def pages() -> int:
        with closing(connections.connect_watch(store.path)) as file:
            return int(file.execute("PRAGMA page_count").fetchone()[0])

    retention, sizes = Retention(completed=7 * DAY, failed=7 * DAY, cancelled=7 * DAY, keep_last=2), []
    for day in range(30):
        for number in range(8):
            await add(store, f"db{number}", list(OUTCOMES.values())[(day + number) % 3], attempts=2)
        clock.at += round(DAY * MICROS)
        await prune(store, retention, clock.at)
        sizes.append(pages())
    assert max(sizes[10:]) <= 1.1 * sizes[9]
    assert len(await kept(store)) <= 8 * 8


async def test_r21_an_engine_with_a_retention_sees_to_it_by_itself(store: SqliteStore, clock: StoppedClock) -> None:
    for number in range(3):
        await add(store, f"db{number}")
    clock.at += 1
    async with Engine.open(store.path, clock=clock, retention=NOTHING) as engine, asyncio.timeout(30):

        async def is_empty() -> bool:
            return not await engine.count()

        await eventually(is_empty)
