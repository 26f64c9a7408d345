"""A backup compared with its database (--verify) by a hash of all contents."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.targets import resolve
from engine.targets.sqlite.connection.errors import is_busy
from engine.targets.sqlite.connection.same_snapshot import SameSnapshot
from engine.targets.sqlite.planning.backup_steps import COMPARE
from engine.targets.sqlite.reading.contents import contents_of
from engine.targets.sqlite.running.operation import SqliteOperation
from tests.engine.targets.sqlite.a_session import execute, plan, run, statuses
from tests.engine.targets.stepwise import stepwise
from tests.sqlite_files import files_beside, make_database, rename_to_no_text


def contents(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        return contents_of(db, lambda: False).hash


@contextmanager
def commits_all_the_time(path: Path) -> Iterator[Callable[[], object]]:
    """From another thread, as fast as it can. Gives what waits for one more commit."""
    ended, commits = threading.Event(), threading.Semaphore(0)

    def write() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as db:
            db.execute("PRAGMA synchronous = OFF")
            while not ended.is_set():
                db.execute("INSERT INTO item(price) VALUES (1)")
                commits.release()

    def one_more() -> None:
        while commits.acquire(blocking=False):
            pass
        commits.acquire()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield one_more
    finally:
        ended.set()
        writer.join()


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_backup_is_compared_with_its_database(tmp_path: Path, journal_mode: str) -> None:
    path, copy = make_database(tmp_path / "sales.db", journal_mode=journal_mode), tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    results = await run(path, Operation.BACKUP, backup_to=str(copy), verify=True)
    assert statuses(results) == {Status.COMPLETED}
    *_, last = results.values()
    assert (last.effect or {})["backup_contents"] == contents(path) == contents(copy)
    assert files_beside(copy) == {"copy.db"}


@pytest.mark.parametrize("kind", ["table", "index"])
async def test_a_name_that_is_no_text_is_no_reason_to_refuse(tmp_path: Path, kind: str) -> None:
    """Python does not let an authorizer see it."""
    path, copy = make_database(tmp_path / "sales.db"), tmp_path / "copy.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("CREATE TABLE odd(a); CREATE INDEX odd_index ON item(note); PRAGMA writable_schema = ON")
        rename_to_no_text(db, "odd" if kind == "table" else "odd_index")
    results = await run(path, Operation.BACKUP, backup_to=str(copy), verify=True)
    assert statuses(results) == {Status.COMPLETED}
    assert contents(copy) == contents(path)
    *_, last = results.values()
    is_whole = kind != "table"
    assert (not results[COMPARE].warnings, "backup_contents" in (last.effect or {})) == (is_whole, is_whole)


async def test_without_verify_nothing_is_compared(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    assert COMPARE not in [step.command for step in (await plan(path, Operation.BACKUP)).steps]
    assert COMPARE in [step.command for step in (await plan(path, Operation.BACKUP, verify=True)).steps]


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_commits_while_it_copies_are_in_neither(tmp_path: Path, journal_mode: str) -> None:
    path, copy = make_database(tmp_path / "sales.db", journal_mode=journal_mode), tmp_path / "copy.db"
    with commits_all_the_time(path) as one_more:
        one_more()
        results = await run(path, Operation.BACKUP, lock_timeout=60, backup_to=str(copy), verify=True)
        one_more()
    assert [result.error for result in results.values()] == [None] * 3
    assert statuses(results) == {Status.COMPLETED}
    *_, last = results.values()
    assert (last.effect or {})["backup_contents"] == contents(copy) != contents(path)


def test_a_commit_as_the_copy_begins_refuses_it(tmp_path: Path) -> None:
    path, copy = make_database(tmp_path / "sales.db", journal_mode="wal"), tmp_path / "copy.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as copying,
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
        closing(sqlite3.connect(path, isolation_level=None)) as watcher,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        snapshot = SameSnapshot(reader, watcher)
        begun: list[sqlite3.Cursor] = []

        def authorize(action: int, argument: str | None, *rest: object) -> int:
            if action == sqlite3.SQLITE_SELECT and not begun:
                begun.append(writer.execute("INSERT INTO item(price) VALUES (1)"))
            return snapshot(action, argument, *rest)

        copying.set_authorizer(authorize)
        with pytest.raises(sqlite3.DatabaseError):
            copying.execute("VACUUM main INTO ?", (str(copy),))
        assert snapshot.error is not None
        assert is_busy(snapshot.error)
        copying.execute("SELECT count(*) FROM item").fetchall()
        copying.execute("VACUUM main INTO ?", (str(copy),))
        assert snapshot.is_certain
        writer.execute("DELETE FROM item")
        assert contents_of(reader, lambda: False).hash == contents(copy)


async def test_a_writer_that_waits_for_the_reader_gets_its_turn(tmp_path: Path) -> None:
    """The reader has the lock that it waits for, and the copy cannot begin before it has committed."""
    path, copy = make_database(tmp_path / "sales.db"), tmp_path / "copy.db"
    writers = [sqlite3.connect(path, isolation_level=None, timeout=60, check_same_thread=False)]
    waiting: list[threading.Thread] = []
    begin = SameSnapshot.begin

    def begin_beside_a_writer(self: SameSnapshot) -> None:
        begin(self)
        if not waiting:
            writers[0].execute("BEGIN IMMEDIATE")
            writers[0].execute("DELETE FROM item WHERE price = 1")
            waiting.append(threading.Thread(target=writers[0].execute, args=("COMMIT",)))
            waiting[0].start()
            while not locked(path):
                pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SameSnapshot, "begin", begin_beside_a_writer)
        results = await run(path, Operation.BACKUP, lock_timeout=60, backup_to=str(copy), verify=True)
    waiting[0].join()
    writers[0].close()
    assert [result.error for result in results.values()] == [None] * 3
    assert contents(copy) == contents(path)


def locked(path: Path) -> bool:
    """Whether a writer lets no new reader in."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as db:
        try:
            db.execute("SELECT count(*) FROM item").fetchall()
        except sqlite3.OperationalError:
            return True
    return False


async def test_a_copy_that_differs_gets_no_name(tmp_path: Path) -> None:
    path, copies = make_database(tmp_path / "sales.db"), tmp_path / "copies"
    copies.mkdir()
    async with stepwise(resolve(str(path)).connect(lock_timeout=5, writing=False)) as session:
        copy, compare, check = (
            await session.plan(Operation.BACKUP, Options(backup_to=str(copies / "copy.db"), verify=True))
        ).steps
        assert (await execute(session, copy)).status is Status.COMPLETED
        (unfinished,) = copies.glob("*/copy")
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as db:
            db.execute("UPDATE item SET price = price + 1 WHERE rowid = (SELECT min(rowid) FROM item)")
        result = await execute(session, compare)
        assert (result.status, result.effect) == (Status.FAILED, None)
        assert "rows of item" in str(result.error)
        assert (await execute(session, check)).status is Status.SKIPPED
    assert list(copies.iterdir()) == []


async def test_writers_go_on_once_the_database_is_read(tmp_path: Path) -> None:
    """Outside WAL mode the reader blocks them; it must not wait for the check of the copy."""
    path = make_database(tmp_path / "sales.db")
    async with stepwise(resolve(str(path)).connect(lock_timeout=5, writing=False)) as session:
        copy, compare, check = (await session.plan(Operation.BACKUP, Options(verify=True))).steps
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            await execute(session, copy)
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("DELETE FROM item")
            await execute(session, compare)
            other.execute("DELETE FROM item")
        assert (await execute(session, check)).status is Status.COMPLETED


async def test_a_comparison_that_is_cancelled_before_it_begins_leaves_nothing(tmp_path: Path) -> None:
    path, copies = make_database(tmp_path / "sales.db"), tmp_path / "copies"
    copies.mkdir()
    async with stepwise(resolve(str(path)).connect(lock_timeout=5, writing=False)) as session:
        copy, compare, _ = (await session.plan(Operation.BACKUP, Options(backup_to=str(copies), verify=True))).steps
        await execute(session, copy)
        cancel = asyncio.Event()
        cancel.set()
        assert (await execute(session, compare, cancel)).status is Status.CANCELLED
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("DELETE FROM item")
    assert list(copies.iterdir()) == []


async def test_a_comparison_that_is_cancelled_as_it_reads_leaves_nothing(tmp_path: Path) -> None:
    path, copies = make_database(tmp_path / "sales.db"), tmp_path / "copies"
    copies.mkdir()
    loop, cancel, interrupted = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    async with stepwise(resolve(str(path)).connect(lock_timeout=5, writing=False)) as session:
        copy, compare, _ = (await session.plan(Operation.BACKUP, Options(backup_to=str(copies), verify=True))).steps
        await execute(session, copy)
        assert isinstance(session.planned, SqliteOperation)
        assert session.planned._as_copied is not None
        reader = session.planned._as_copied.aio
        interrupt = reader.interrupt

        def tick() -> int:
            loop.call_soon_threadsafe(cancel.set)
            interrupted.wait()
            return 0

        async def noted() -> None:
            await interrupt()
            interrupted.set()

        reader.interrupt = noted  # type: ignore[method-assign]
        await reader.set_progress_handler(tick, 1)
        assert (await execute(session, compare, cancel)).status is Status.CANCELLED
        with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
            other.execute("DELETE FROM item")
    assert list(copies.iterdir()) == []
