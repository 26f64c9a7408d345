"""A store whose file is removed while open: an error, and no write into the removed file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.domain.errors import StoreLostError
from engine.domain.requests import OnDuplicate
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job


def take_away(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.with_name("other").write_bytes(path.name.encode())
    path.with_name("other").replace(path)


@pytest.fixture(params=[(take_away, "was removed"), (replace, "was replaced by another file")], ids=["gone", "other"])
def lost(request: pytest.FixtureRequest, store: SqliteStore) -> str:
    """How it is told."""
    take, told = request.param
    take(store.path)
    return str(told)


async def test_who_waits_for_a_change_is_told(store: SqliteStore, lost: str) -> None:
    async with asyncio.timeout(20):
        with pytest.raises(StoreLostError, match=lost):
            await store.next_change(store.last_change())
    assert str(store.path) in str(store.lost)
    with pytest.raises(StoreLostError, match=lost):
        await store.open_jobs()


async def test_nothing_is_written_any_more_not_even_before_it_is_noticed(store: SqliteStore, lost: str) -> None:
    with pytest.raises(StoreLostError, match=lost):
        await store.submit([new_job()], OnDuplicate.REFUSE)


async def test_what_was_committed_as_the_file_went_away_is_not_taken_for_stored(store: SqliteStore) -> None:
    def write(connection: object) -> None:
        store.path.unlink()

    with pytest.raises(StoreLostError, match="was removed"):
        await store._writer.run(write)
