"""Handing a short statement to the thread of its connection takes longer than to run it: so they go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from engine.targets.sqlite.target import SqliteTarget
from tests.sqlite_files import make_database


async def test_what_is_read_together_is_handed_to_the_thread_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    handed_over: list[object] = []
    execute: Any = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, work: object, *values: object) -> object:
        handed_over.append(work)
        return await execute(connection, work, *values)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    async with SqliteTarget(str(path)).connect(lock_timeout=1) as session:
        assert handed_over == []  # the schema is read where the connection is opened
        await session.facts()
        assert len(handed_over) == 1
    assert len(handed_over) == 2  # the end
