"""Worker processes of a shared store find work without being told where it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.domain.claims import Claim, Outcome
from engine.domain.jobs import JobType
from engine.domain.requests import OnDuplicate, Operation
from engine.execution import processor
from engine.execution.processor import Hosting, JobProcessor
from engine.execution.reporter import Reporter
from engine.store.postgres.store import PostgresStore
from engine.system.clock import now
from tests.building import COMPLETED, new_job
from tests.postgres_databases import as_admin
from tests.waiting import eventually


class Completing:
    """A worker that completes each child at once."""

    def __init__(self) -> None:
        self.done = 0

    async def execute(self, claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        self.done += 1
        return COMPLETED


@asynccontextmanager
async def serving(store: PostgresStore) -> AsyncIterator[Completing]:
    worker = Completing()
    async with store.hosting_workers() as owner:
        hosting = Hosting(owner=owner, concurrency=3)
        async with JobProcessor(store, {JobType.OPERATION: worker}, hosting, now).running():
            yield worker


async def submit(store: PostgresStore, *names: str) -> None:
    await store.submit([new_job(name, Operation.VACUUM) for name in names], OnDuplicate.ADD)


async def is_idle(store: PostgresStore) -> bool:
    return not await store.has_open_jobs()


async def test_two_processes_run_each_job_once(store_url: str) -> None:
    async with (
        PostgresStore.open(store_url, what="the store") as store,
        PostgresStore.open(store_url, what="the store") as other,
        serving(store) as here,
        serving(other) as there,
    ):
        await submit(store, *(f"sales{number}" for number in range(20)), "sales1", "sales1")
        await eventually(lambda: is_idle(store))
        assert here.done + there.done == 22


async def test_work_that_no_change_tells_of_is_found(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a job that another process was about to claim when it died: nothing tells that its lock is gone."""
    monkeypatch.setattr(processor, "LOOK_EVERY", 0.1)
    async with PostgresStore.open(store_url, what="the store") as store:
        await submit(store, "sales")
        looked, claim = asyncio.Event(), store.claim

        async def noted_claim(*asked: Any) -> Claim | None:
            claimed = await claim(*asked)
            looked.set()
            return claimed

        monkeypatch.setattr(store, "claim", noted_claim)
        with as_admin(store_url) as dying:
            dying.execute("BEGIN")
            dying.execute("SELECT FROM dbtend.parent_job FOR UPDATE")
            async with serving(store) as worker:
                await looked.wait()
                assert worker.done == 0
                dying.execute("ROLLBACK")
                await eventually(lambda: is_idle(store))
                assert worker.done == 1
