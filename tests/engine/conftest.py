from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from engine.store.sqlite.store import SqliteStore
from tests.building import ticking_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def store(store_path: Path, empty_store: Path) -> AsyncIterator[SqliteStore]:
    shutil.copy(empty_store, store_path)
    async with SqliteStore.open(store_path, clock=ticking_clock()) as opened:
        yield opened
