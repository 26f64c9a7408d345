"""Each write to a full-text index is followed by a look at the log, which SQLite does not write back by itself here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.targets.sqlite.running.work import Work
from tests.engine.targets.sqlite.a_session import run, statuses


async def test_the_log_is_looked_at_after_each_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("CREATE VIRTUAL TABLE docs USING fts5(text)")
        db.execute("INSERT INTO docs(docs, rank) VALUES ('automerge', 0)")
        for number in range(20):
            db.execute("INSERT INTO docs VALUES (?)", (f"some words {number}",))
    looks: list[Work] = []

    async def look(work: Work) -> None:
        looks.append(work)

    monkeypatch.setattr(Work, "write_back_if_long", look)
    assert statuses(await run(path, Operation.FTS_OPTIMIZE)) == {Status.COMPLETED}
    assert len(looks) >= 2
