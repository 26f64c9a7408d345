"""The job feed while the store cannot be read, and after more changes than are reported."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import InitVar, dataclass, field
from pathlib import Path

import pytest

from engine import Engine, JobId, OnDuplicate, Reason, Status
from engine.domain.errors import DbtendError
from engine.store.protocol import NewBatch
from engine.store.sqlite import cancel_and_rescue, store_admin, transactions
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tui.console import feed as feeding
from tui.console.feed import RECENT, JobFeed, News

AT = 1_795_000_000_000_000


@dataclass
class Following:
    """A feed at work, and all that it has told."""

    engine: InitVar[Engine]
    feed: JobFeed = field(init=False)
    told: list[News] = field(default_factory=list)
    failed: list[DbtendError] = field(default_factory=list)
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self, engine: Engine) -> None:
        self.feed = JobFeed(engine, self.tell, self.fail, refresh=0.05)

    def tell(self, news: News) -> None:
        self.told.append(news)
        self._more.set()

    def fail(self, error: DbtendError) -> None:
        self.failed.append(error)
        self._more.set()

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await self._more.wait()
                self._more.clear()

    def changed_to(self, status: Status) -> set[int]:
        """The published parents that have changed and have these statuses."""
        return {
            parent.id
            for news in self.told
            for parent in news.parents
            if parent.id in news.changed and parent.status is status
        }


@asynccontextmanager
async def following(path: Path) -> AsyncIterator[Following]:
    async with Engine.open(path) as engine:
        seen = Following(engine)
        running = asyncio.create_task(seen.feed.run())
        try:
            await seen.until(lambda: seen.told)
            yield seen
        finally:
            running.cancel()
            await asyncio.wait({running})


@pytest.fixture(autouse=True)
def _tries_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "RETRY_AFTER", 0.05)


def cancel(c: sqlite3.Connection, parent_id: int) -> None:
    cancel_and_rescue.request_cancel(c, JobId(parent_id), Reason.CANCELLED_BY_USER, AT)


def cancel_and_hide(c: sqlite3.Connection, parent_id: int) -> None:
    """A change of a job that cannot be read."""
    cancel(c, parent_id)
    c.execute("ALTER TABLE child_job RENAME TO hidden")


async def test_what_changed_before_a_read_that_failed_is_told_after_it(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteStore.open(path) as store:
        (parent_id,) = await store.submit([new_job()], OnDuplicate.REFUSE)
        async with following(path) as seen:
            await store._writer.run(lambda c: cancel_and_hide(c, parent_id))
            await seen.until(lambda: seen.failed)
            await store._writer.run(lambda c: c.execute("ALTER TABLE hidden RENAME TO child_job"))
            await seen.until(lambda: seen.changed_to(Status.CANCELLED) == {parent_id})


async def test_what_happens_until_the_next_try_is_told_as_changed(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteStore.open(path) as store:
        first, second = await store.submit([new_job("a"), new_job("b")], OnDuplicate.REFUSE)
        async with following(path) as seen:
            await store._writer.run(lambda c: cancel_and_hide(c, first))
            await seen.until(lambda: seen.failed)

            def show_after(c: sqlite3.Connection) -> None:
                c.execute("ALTER TABLE hidden RENAME TO child_job")
                cancel(c, second)

            await store._writer.run(show_after)
            await seen.until(lambda: seen.changed_to(Status.CANCELLED) == {first, second})


async def test_one_that_lagged_knows_what_became_of_jobs_that_are_not_among_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    async with SqliteStore.open(path) as store:
        (early,) = await store.submit([new_job("early")], OnDuplicate.REFUSE)
        async with following(path) as seen:

            def much_at_once(c: sqlite3.Connection) -> None:
                cancel(c, early)
                transactions.submit(c, [new_job(f"t{n}") for n in range(RECENT + 5)], OnDuplicate.REFUSE, AT)
                store_admin.prune_changes(c, before=AT + 1, limit=10_000)

            await store._writer.run(much_at_once)
            (late,) = await store.submit([new_job("late")], OnDuplicate.REFUSE)
            await seen.until(lambda: late in seen.changed_to(Status.PENDING))
            assert seen.changed_to(Status.CANCELLED) == {early}
            assert set(seen.feed.open) == set(range(2, RECENT + 8))


async def test_it_keeps_no_number_of_a_batch_that_is_over(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    cancelled = set[int]()
    async with SqliteStore.open(path) as store, following(path) as seen:
        for night in range(3):
            jobs = await store.submit([new_job(f"a{night}"), new_job(f"b{night}")], OnDuplicate.REFUSE, NewBatch())
            await store.cancel_all(jobs)
            cancelled.update(jobs)
            await seen.until(lambda: seen.changed_to(Status.CANCELLED) == cancelled)
        assert len({batch.id for news in seen.told for batch in news.batches}) == 3
        assert len(seen.feed._batches) == 1
