"""The end of a session: no connection stays open, and no unfinished file stays."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.system import sqlite_threads
from engine.targets.sqlite.connection.metered import MeteredConnection, OpenDatabase
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.running.operation import SqliteOperation
from engine.targets.sqlite.session import SqliteSession
from engine.targets.sqlite.system.blockers import BlockerFinder
from engine.targets.sqlite.system.opened_file import OpenedFile
from tests.engine.targets.sqlite.a_session import execute
from tests.engine.targets.stepwise import Stepwise
from tests.sqlite_files import files_beside, make_database


def times_open(path: Path) -> int:
    """How often this process has the file at `path` open."""
    descriptors = [descriptor for descriptor in Path("/proc/self/fd").iterdir() if descriptor.exists()]
    return sum(descriptor.samefile(path) for descriptor in descriptors)


async def test_a_connection_that_cannot_be_closed_keeps_no_other_open_and_no_copy_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    path = make_database(tmp_path / "a.db", rows=20)
    connection = await MeteredConnection.open(connection_uri(str(path)), LockWait(1))
    session = Stepwise(SqliteSession(OpenDatabase(connection, OpenedFile(str(path)), 1, BlockerFinder(str(path)))))
    whole, *_ = (await session.plan(Operation.CHECK, Options())).steps
    checking = session.planned
    assert isinstance(checking, SqliteOperation)
    checks = await asyncio.gather(*(execute(session, whole) for _ in range(4)))
    assert {result.status for result in checks} == {Status.COMPLETED}
    copy, _ = (await session.plan(Operation.BACKUP, Options())).steps
    assert (await execute(session, copy)).status is Status.COMPLETED
    assert times_open(path) == 4
    await checking._extra[1].aio.close()
    monkeypatch.setattr(checking._extra[1].aio, "close", fail)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        await session.close()
    await connection.close()
    assert times_open(path) == 0
    assert files_beside(path) == {"a.db"}


async def test_what_cannot_be_opened_leaves_no_thread_that_speaks_to_a_loop_which_is_closed(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    for _ in range(50):
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            await MeteredConnection.open(connection_uri(str(tmp_path / "missing.db")), LockWait(0))
        begun = set(threading.enumerate()) - before - set(sqlite_threads.idle)
        assert [thread for thread in begun if not thread.name.startswith("asyncio_")] == []  # those of the loop's pool


async def test_where_no_further_thread_can_begin_that_is_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    path = make_database(tmp_path / "a.db", rows=1)
    monkeypatch.setattr(sqlite_threads, "idle", [])
    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="new thread"):
        await MeteredConnection.open(connection_uri(str(path)), LockWait(0))
