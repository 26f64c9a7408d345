"""A claim tells whether anything else has begun on its target: without that the history is not read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.advice import TargetHistory
from engine.domain.claims import Claim, Report
from engine.domain.requests import OnDuplicate, Operation
from engine.history.target_history import target_history
from engine.store.sqlite.store import SqliteStore
from tests.building import COMPLETED, new_job


async def claimed(store: SqliteStore) -> Claim:
    claim = await store.claim("me")
    assert claim is not None
    return claim


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


async def test_what_is_first_on_its_target_has_no_history_and_what_follows_has_one(sales: Path) -> None:
    async with SqliteStore.open(sales) as store:
        await store.submit([new_job("sales", Operation.CHECK, Operation.VACUUM), new_job("other")], OnDuplicate.REFUSE)
        first, other = await claimed(store), await claimed(store)
        assert first.is_first
        assert other.is_first
        known = await target_history(store, first.target, 5)
        assert replace(known, jobs=()) == TargetHistory(now=5, jobs=())
        assert not any(child.attempt and child.id != first.job for job in known.jobs or () for child in job.children)
        await store.finish(first, COMPLETED, Report())
        assert not (await claimed(store)).is_first


async def test_a_second_job_and_a_second_attempt_are_not_first(sales: Path) -> None:
    async with SqliteStore.open(sales) as store:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        first = await claimed(store)
        await store.release(first, Report())
        again = await claimed(store)
        assert (first.is_first, again.is_first, again.attempt) == (True, False, 2)
        await store.finish(again, COMPLETED, Report())
        await store.submit([new_job("sales", Operation.ANALYZE)], OnDuplicate.REFUSE)
        assert not (await claimed(store)).is_first
