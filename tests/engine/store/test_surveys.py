"""The surveys that the store keeps, and the newest job of each target."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.errors import ReadOnlyError
from engine.domain.job_outcomes import JobOutcome
from engine.domain.requests import OnDuplicate
from engine.domain.surveys import LastJob
from engine.store.sqlite import surveys
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.conformance.test_surveys import FOUND


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("level", "dreadful"),
        ("engine", "Oracle"),
        ("surveyed_at", -1),
        ("size", -5),
        ("reclaimable", -5),
        ("checked_at", 2**62),
        ("facts", "[]"),
        ("facts", '{"reasons": [["now", "because", {}]], "version": "", "state": ""}'),
        ("facts", '{"reasons": [["now", "damage", {"a": {}}]], "version": "", "state": ""}'),
        ("facts", '{"reasons": 7}'),
    ],
)
async def test_a_row_that_was_changed_by_hand_is_as_none(store_path: Path, column: str, value: object) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.save_surveys([FOUND])
        with closing(sqlite3.connect(store_path, isolation_level=None)) as file:
            file.execute(f"UPDATE survey SET {column} = ?", (value,))
        assert await store.surveys([FOUND.target]) == {}
        await store.save_surveys([FOUND])
        assert await store.surveys([FOUND.target]) == {FOUND.target: FOUND}


async def test_a_damaged_job_keeps_no_other_from_being_read(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        sales, shop = await store.submit([new_job("sales"), new_job("shop")], OnDuplicate.REFUSE)
        with closing(sqlite3.connect(store_path, isolation_level=None)) as file:
            file.execute("PRAGMA ignore_check_constraints = 1")
            file.execute("UPDATE parent_job SET finished_at = -1 WHERE id = ?", (sales,))
        assert await store.last_jobs(["sqlite:///sales.db", "sqlite:///shop.db"]) == {
            "sqlite:///sales.db": None,
            "sqlite:///shop.db": LastJob(shop, JobOutcome.PENDING, None, None),
        }


async def test_a_store_that_is_only_read_keeps_none(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.save_surveys([FOUND])
    async with SqliteStore.open_read_only(store_path) as store:
        assert await store.surveys([FOUND.target]) == {FOUND.target: FOUND}
        with pytest.raises(ReadOnlyError):
            await store.save_surveys([FOUND])


async def test_ten_thousand_targets_are_found_by_their_keys(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.save_surveys([FOUND])
    with closing(sqlite3.connect(store_path)) as file:
        (values,) = surveys.of_targets(["a", "b"])
        for sql in (surveys.SURVEYS, surveys.LAST_JOBS):
            plan = [row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            few = ("wanted", "json", "SCAN r")  # the last two runs of a target
            assert not [line for line in plan if line.startswith("SCAN") and not any(one in line for one in few)]
