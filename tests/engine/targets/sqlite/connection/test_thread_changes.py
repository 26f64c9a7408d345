"""Handing a short statement to the thread of its connection takes longer than to run it: so they go together."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from engine.domain.requests import DEFAULT_OPTIONS, Operation
from engine.system.sqlite_threads import connected, in_its_thread
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.running.writeback import keep_writing
from engine.targets.sqlite.target import SqliteTarget
from engine.targets.step_execution import StepContext
from tests.sqlite_files import make_database


@pytest.fixture
def handed_over(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is handed to the thread of a connection, or to another one, from now on."""
    handed_over: list[object] = []
    execute: Any = aiosqlite.Connection._execute

    async def counted(connection: aiosqlite.Connection, work: object, *values: object) -> object:
        handed_over.append(work)
        return await execute(connection, work, *values)

    async def counted_elsewhere(work: Any, *values: object, **named: object) -> object:
        if work is not keep_writing:  # only where the machine is slow
            handed_over.append(work)
        return await to_thread(work, *values, **named)

    to_thread: Any = asyncio.to_thread
    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    monkeypatch.setattr(asyncio, "to_thread", counted_elsewhere)
    return handed_over


async def test_what_is_read_together_is_handed_to_the_thread_together(
    tmp_path: Path, handed_over: list[object]
) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    async with SqliteTarget(str(path)).connect(lock_timeout=1) as session:
        assert len(handed_over) == 1  # what is looked at before; the schema is read where the connection is opened
        handed_over.clear()
        await session.facts()
        assert len(handed_over) == 1


@pytest.mark.parametrize(
    ("operation", "planning", "running"),
    [(Operation.VACUUM, 6, 5), (Operation.ANALYZE, 1, 2), (Operation.REINDEX, 2, 2), (Operation.CHECK, 2, 2)],
)
async def test_a_job_on_a_small_file_is_handed_over_few_times(
    tmp_path: Path, handed_over: list[object], operation: Operation, planning: int, running: int
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        db.executescript("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX a ON t (a)")
    async with SqliteTarget(str(tmp_path / "a.db")).connect(lock_timeout=1) as session:
        handed_over.clear()
        planned = await session.plan(operation, DEFAULT_OPTIONS)
        await planned.facts()
        assert len(handed_over) <= planning
        handed_over.clear()
        await planned.execute(planned.plan.steps[0], StepContext())
        assert len(handed_over) <= running


async def test_the_next_connection_takes_over_the_thread_of_one_that_is_closed(tmp_path: Path) -> None:
    uri = connection_uri(str(make_database(tmp_path / "a.db", rows=20)))
    threads = []
    for _ in range(2):
        connection = await connected(uri)
        threads.append(await in_its_thread(connection, lambda _: threading.get_ident()))
        await connection.close()
        await asyncio.to_thread(connection.thread.join)
    assert threads[0] == threads[1]
