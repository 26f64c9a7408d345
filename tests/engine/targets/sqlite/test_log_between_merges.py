"""Each write to a full-text index is followed by a look at the log, which SQLite does not write back by itself here."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.requests import Operation
from engine.domain.statuses import Status
from engine.system.wal_checkpoint import LONG_LOG
from engine.targets.sqlite.running.work import Work
from tests.engine.targets.sqlite.a_session import run, statuses
from tests.sqlite_files import make_database


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


async def test_a_long_log_is_written_back_after_optimize(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=2_000, journal_mode="wal")
    log = Path(f"{path}-wal")
    with closing(sqlite3.connect(path, isolation_level=None)) as application:
        application.execute("PRAGMA wal_autocheckpoint = 0")
        while not log.exists() or log.stat().st_size < LONG_LOG:
            application.execute("UPDATE item SET note = hex(randomblob(400))")  # an equal value would not be written
        assert statuses(await run(path, Operation.OPTIMIZE)) == {Status.COMPLETED}
        application.execute("CREATE TABLE more (a)")
        _, frames, _ = application.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert frames < 10  # this write began the log anew, as all of it had been written back
