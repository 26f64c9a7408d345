"""Whatever becomes of the tables of procrastinate, each job is run: their tickets are hints alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.domain.claims import Report
from engine.domain.requests import OnDuplicate, Operation
from engine.store.postgres import hint_queue
from engine.store.postgres.store import PostgresStore
from tests.building import COMPLETED, new_job
from tests.postgres_databases import as_admin
from tests.waiting import eventually

TICKET = "INSERT INTO procrastinate_jobs (queue_name, task_name, args, status) SELECT queue_name, 'work', args"
DAMAGE = {
    "no tickets": "DELETE FROM procrastinate_jobs",
    "no workers": "DELETE FROM procrastinate_workers",
    "all emptied": "TRUNCATE procrastinate_jobs, procrastinate_events, procrastinate_workers CASCADE",
    "taken by the dead": "UPDATE procrastinate_jobs SET status = 'doing'",
    "late": "UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour'",
    "each a thousand times": f"{TICKET}, 'todo' FROM procrastinate_jobs, generate_series(1, 1000)",
    "unknown task": "UPDATE procrastinate_jobs SET task_name = 'nothing'",
    "no arguments": "UPDATE procrastinate_jobs SET args = '{}'",
    "no table of tickets": "DROP TABLE procrastinate_jobs CASCADE",
    "no table of workers": "DROP TABLE procrastinate_workers CASCADE",
    "no functions": "DROP FUNCTION procrastinate_defer_jobs_v1",
    "no schema": "DROP SCHEMA dbtend_queue CASCADE",
}
damages = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


@pytest.fixture(autouse=True)
def _sweeps_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hint_queue, "SWEEP_EVERY", 0.2)
    monkeypatch.setattr(hint_queue, "RESTART_AFTER", 0.1)


def hurt(url: str, damage: str) -> None:
    with as_admin(url) as admin:
        admin.execute("SET search_path = dbtend_queue")
        admin.execute(damage.encode())


@asynccontextmanager
async def serving(store: PostgresStore) -> AsyncIterator[None]:
    """A worker process that completes at once what it claims."""
    over = asyncio.Event()
    async with store.hosting_workers() as owner:

        async def look() -> None:
            claim = await store.claim(owner)
            while claim is not None:
                claim = await store.finish_and_claim(claim, COMPLETED, Report())

        serve = asyncio.create_task(store.serve_hints(look, owner=owner, concurrency=2, until=over))
        try:
            yield
        finally:
            over.set()
            await serve


async def submit(store: PostgresStore, name: str) -> None:
    await store.submit([new_job(name, Operation.VACUUM)], OnDuplicate.REFUSE)


async def is_idle(store: PostgresStore) -> bool:
    return not await store.has_open_jobs()


@damages
async def test_jobs_that_wait_are_run_whatever_became_of_their_hints(store_url: str, damage: str) -> None:
    async with PostgresStore.open(store_url, what="the store") as store:
        await submit(store, "sales")
        await asyncio.to_thread(hurt, store_url, damage)
        async with serving(store):
            await eventually(lambda: is_idle(store))


@damages
async def test_a_worker_goes_on_while_its_tables_are_damaged(store_url: str, damage: str) -> None:
    async with PostgresStore.open(store_url, what="the store") as store, serving(store):
        await submit(store, "sales")
        await eventually(lambda: is_idle(store))
        await asyncio.to_thread(hurt, store_url, damage)
        await submit(store, "stock")
        await eventually(lambda: is_idle(store))


async def test_who_is_asked_to_stop_does_not_wait_for_a_server_that_is_away(store_url: str, tmp_path: Path) -> None:
    over, away = asyncio.Event(), f"postgresql://postgres@:5432/dbtend?host={tmp_path}"
    async with PostgresStore.open(store_url, what="the store") as store:
        served = (away, store._pool, store._watch, ["any"])
        serving = hint_queue.serve(*served, name="me", concurrency=1, look=store.has_pending, until=over)
        async with asyncio.timeout(20), asyncio.TaskGroup() as running:
            running.create_task(serving)
            await asyncio.sleep(0)  # it begins to connect
            over.set()


async def test_a_worker_that_goes_on_with_another_target_leaves_the_hint_of_that(store_url: str) -> None:
    async with PostgresStore.open(store_url, what="the store") as store, store.hosting_workers() as owner:
        for name in ("sales", "stock", "sales"):
            await store.submit([new_job(name, Operation.VACUUM)], OnDuplicate.ADD)
        claim = await store.claim(owner)
        assert claim is not None
        following = await store.finish_and_claim(claim, COMPLETED, Report())
        assert following is not None
        assert following.target.endswith("stock.db")
        with as_admin(store_url) as admin:
            assert admin.execute("SELECT count(*) FROM dbtend_queue.procrastinate_jobs").fetchall() == [(2,)]
            assert await store.finish_and_claim(following, COMPLETED, Report()) is not None
            assert admin.execute("SELECT count(*) FROM dbtend_queue.procrastinate_jobs").fetchall() == [(2,)]
