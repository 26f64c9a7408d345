"""A connection that breaks during a write: what was written is not lost, not done twice, and left to nobody."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Report
from engine.domain.errors import OwnershipLostError, StoreBusyError, StoreUnreachableError
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.store.postgres.store import PostgresStore
from tests.building import COMPLETED, new_job
from tests.cut_connections import Cut, Cutter, cut_connections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.postgres_server import PostgresServer

JOBS = [new_job("sales", Operation.VACUUM), new_job("stock", Operation.VACUUM)]
CUTS = pytest.mark.parametrize("how", [Cut.BEFORE, Cut.AFTER, Cut.LATE], ids=["before", "after", "late"])


@pytest.fixture
async def cutter(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Cutter]:
    async with cut_connections(postgres.base / ".s.PGSQL.5432", tmp_path) as cutting:
        yield cutting


@pytest.fixture
async def store(cutter: Cutter, store_url: str, tmp_path: Path) -> AsyncIterator[PostgresStore]:
    """Reached through the cutter."""
    url = f"{store_url.partition('?')[0]}?host={tmp_path}&sslmode=disable&gssencmode=disable"
    async with PostgresStore.open(url, what="the store") as opened:
        yield opened


@asynccontextmanager
async def with_jobs(store: PostgresStore) -> AsyncIterator[str]:
    await store.submit(JOBS, OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        yield owner


async def let_go(cutter: Cutter) -> None:
    """What comes late comes now, before anything else is done."""
    cutter.is_late.set()
    await cutter.is_over.wait()


async def attempts(store: PostgresStore) -> list[tuple[Status, int]]:
    return [(job.children[0].status, job.children[0].attempt) for job in await store.jobs([1, 2])]


async def test_a_submit_that_never_reached_the_server_is_told_to_have_stored_nothing(
    cutter: Cutter, store: PostgresStore
) -> None:
    cutter.cut("submit", Cut.BEFORE)
    with pytest.raises(StoreBusyError, match="nothing was submitted"):
        await store.submit(JOBS, OnDuplicate.REFUSE)
    assert await store.submit(JOBS, OnDuplicate.REFUSE) == [1, 2]


async def test_a_submit_that_the_server_gets_later_is_never_carried_out(cutter: Cutter, store: PostgresStore) -> None:
    cutter.cut("submit", Cut.LATE)
    with pytest.raises(StoreBusyError, match="nothing was submitted"):
        await store.submit(JOBS, OnDuplicate.REFUSE)
    await let_go(cutter)
    assert not await store.has_open_jobs()


async def test_a_submit_whose_answer_is_lost_is_there_once(cutter: Cutter, store: PostgresStore) -> None:
    cutter.cut("submit", Cut.AFTER)
    assert await store.submit(JOBS, OnDuplicate.REFUSE) == [1, 2]
    assert [job.id for job in await store.jobs([1, 2, 3, 4])] == [1, 2]


@CUTS
async def test_what_a_claim_without_an_answer_began_is_run_by_whoever_claims_next(
    cutter: Cutter, store: PostgresStore, how: Cut
) -> None:
    async with with_jobs(store) as owner:
        cutter.cut("claim", how)
        with pytest.raises(StoreUnreachableError):
            await store.claim(owner)
        first = await store.claim(owner)
        if how is Cut.LATE:
            await let_go(cutter)
        second = await store.claim(owner)
        assert first is not None
        assert second is not None
        assert [first.job, second.job] == [JobId(1, 1), JobId(2, 1)]
        assert first.attempt == (2 if how is Cut.AFTER else 1)
        assert await store.claim(owner) is None
        for claim in (first, second):
            await store.finish(claim, COMPLETED, Report())
        assert not await store.has_open_jobs()


@CUTS
async def test_an_end_without_an_answer_is_told_again(cutter: Cutter, store: PostgresStore, how: Cut) -> None:
    async with with_jobs(store) as owner:
        claim = await store.claim(owner)
        assert claim is not None
        ended = replace(COMPLETED, ended_at=claim.started_at + 5)
        cutter.cut("finish", how)
        with pytest.raises(StoreUnreachableError):
            await store.finish(claim, ended, Report())
        await store.finish(claim, ended, Report())
        cutter.is_late.set()
        assert await attempts(store) == [(Status.COMPLETED, 1), (Status.PENDING, 0)]


@CUTS
async def test_an_end_and_a_claim_without_an_answer_leave_nothing_running(
    cutter: Cutter, store: PostgresStore, how: Cut
) -> None:
    async with with_jobs(store) as owner:
        claim = await store.claim(owner)
        assert claim is not None
        ended = replace(COMPLETED, ended_at=claim.started_at + 5)
        cutter.cut("finish_and_claim", how)
        with pytest.raises(StoreUnreachableError):
            await store.finish_and_claim(claim, ended, Report())
        following = await store.finish_and_claim(claim, ended, Report())
        cutter.is_late.set()
        assert following is not None
        assert following.job == JobId(2, 1)
        await store.finish(following, COMPLETED, Report())
        assert [status for status, _ in await attempts(store)] == [Status.COMPLETED] * 2


async def test_what_is_handed_back_without_an_answer_is_pending(cutter: Cutter, store: PostgresStore) -> None:
    async with with_jobs(store) as owner:
        claim = await store.claim(owner)
        assert claim is not None
        cutter.cut("release", Cut.AFTER)
        with pytest.raises(StoreUnreachableError):
            await store.release(claim, Report())
        with pytest.raises(OwnershipLostError):
            await store.release(claim, Report())
        assert await attempts(store) == [(Status.PENDING, 1), (Status.PENDING, 0)]


async def test_a_worker_that_ends_leaves_nothing_of_which_it_does_not_know(
    cutter: Cutter, store: PostgresStore
) -> None:
    async with with_jobs(store) as owner:
        cutter.cut("claim", Cut.AFTER)
        with pytest.raises(StoreUnreachableError):
            await store.claim(owner)
    assert await attempts(store) == [(Status.PENDING, 1), (Status.PENDING, 0)]
    assert await store.workers() == []


async def test_an_end_by_another_outcome_is_not_taken_for_the_same(store: PostgresStore) -> None:
    async with with_jobs(store) as owner:
        claim = await store.claim(owner)
        assert claim is not None
        await store.finish(claim, replace(COMPLETED, ended_at=claim.started_at + 5), Report())
        with pytest.raises(OwnershipLostError):
            await store.finish(claim, replace(COMPLETED, ended_at=claim.started_at + 6), Report())
