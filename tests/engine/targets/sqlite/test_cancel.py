"""A cancel stops a running statement; one that cannot stop says so."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from engine.domain.humanize import NOT_BEGUN
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Reason, Status
from engine.domain.time_limits import Window, window
from engine.system.sqlite_threads import idle
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.connection.statement import LockWait, fetch_all, in_transaction, open_connection
from engine.targets.sqlite.planning.steps import Method
from engine.targets.step_execution import StepContext, StepProgress, StepResult
from tests.building import SQLITE_OPERATIONS
from tests.engine.targets.sqlite.a_session import ENDLESS, commands_of, connected, endless, execute, when_running
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import content, files_beside, integrity, make_database, transaction
from tests.waiting import wait_until

LEFT = {
    Operation.CHECK: "the check did not finish; it changes nothing",
    Operation.BACKUP: "the unfinished copy was removed",
}
STOPPABLE = [operation for operation in SQLITE_OPERATIONS if operation is not Operation.CHECKPOINT]


def assert_ended(threads: set[threading.Thread]) -> None:
    of_engine = {thread for thread in threads if not thread.name.startswith("asyncio_")}  # the loop's own stay
    wait_until(lambda: of_engine.issubset(idle))


@pytest.mark.parametrize("operation", STOPPABLE)
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_a_running_operation_is_stopped_and_nothing_has_changed(
    tmp_path: Path, operation: Operation, journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=journal_mode, auto_vacuum="incremental")
    before, size = content(path), path.stat().st_size
    async with connected(path) as (session, connection):
        step = (await session.plan(operation, Options())).steps[0]
        cancel = asyncio.Event()

        def stop() -> None:
            cancel.set()
            connection._conn.interrupt()  # at once: what runs here is too short to wait for the task's turn

        await when_running(connection, stop, commands_of(step))
        result = await execute(session, step, cancel)
        assert (result.status, result.left) == (Status.CANCELLED, LEFT.get(operation, "nothing changed"))
        assert (content(path), path.stat().st_size) == (before, size)
        assert (await execute(session, step)).status is Status.COMPLETED
    assert files_beside(path) == {"a.db"}
    assert integrity(path) == []
    assert content(path) == before


@pytest.mark.parametrize("method", [Method.TRANSACTION, Method.VACUUM, Method.CHECK, Method.FOREIGN_KEYS, Method.COPY])
@pytest.mark.parametrize("by_task", [False, True])
async def test_an_endless_statement_has_ended_when_it_or_its_task_is_cancelled(
    tmp_path: Path, method: Method, by_task: bool
) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    threads = set(threading.enumerate())
    async with connected(path) as (session, connection):
        running, cancel = asyncio.Event(), asyncio.Event()
        await when_running(connection, running.set)
        copy = str(tmp_path / "copy.db")
        step = replace(endless(method), destination=copy, unfinished=f"{copy}.unfinished")
        task = asyncio.create_task(execute(session, step, cancel))
        await running.wait()
        if by_task:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            cancel.set()
            assert (await task).status is Status.CANCELLED
        assert (await session.facts())["tables"]
    assert_ended(set(threading.enumerate()) - threads)
    assert files_beside(path) == {"a.db"}


async def test_a_second_cancel_waits_for_the_end_too(tmp_path: Path) -> None:
    """The statement calls a function that returns only after both cancels: it cannot be interrupted before."""
    path = make_database(tmp_path / "a.db", rows=20)
    loop = asyncio.get_running_loop()
    async with connected(path) as (_, connection):
        running, let_go, returned = asyncio.Event(), threading.Event(), threading.Event()

        def hold() -> int:
            loop.call_soon_threadsafe(running.set)
            let_go.wait()
            returned.set()
            return 1

        await connection.create_function("hold", 0, hold)
        task = asyncio.create_task(fetch_all(connection, "SELECT hold()", asyncio.Event()))
        await running.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.wait({task}, timeout=0)
            assert not task.done()
        let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert returned.is_set()


async def test_a_cancel_before_the_start_runs_nothing(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    size = path.stat().st_size
    async with connected(path) as (session, _):
        cancel = asyncio.Event()
        cancel.set()
        (step,) = (await session.plan(Operation.VACUUM, Options())).steps
        result = await execute(session, step, cancel)
        assert (result.status, result.left) == (Status.CANCELLED, NOT_BEGUN)
    assert path.stat().st_size == size


async def test_what_was_given_back_before_a_cancel_is_told(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, auto_vacuum="incremental")
    async with connected(path) as (session, connection):
        await connection.executescript(
            "CREATE TABLE big(b); INSERT INTO big VALUES (zeroblob(12000000)); DROP TABLE big"
        )
        step = (await session.plan(Operation.INCREMENTAL_VACUUM, Options())).steps[0]
        cancel, told = asyncio.Event(), []

        def stop_after_the_first_chunk(progress: StepProgress) -> None:
            told.append(progress)
            cancel.set()

        result = await session.execute(step, StepContext(cancel=cancel, report=stop_after_the_first_chunk))
        ((free,),) = await connection.execute_fetchall("PRAGMA freelist_count")
    assert result.status is Status.CANCELLED
    assert result.effect == {"freed_pages": 1000}
    assert f" {free:,} free pages" in result.left


@pytest.mark.parametrize("operation", SQLITE_OPERATIONS)
async def test_r32_what_waits_for_its_lock_at_the_end_of_the_window_does_not_begin(
    tmp_path: Path, operation: Operation
) -> None:
    mode = "wal" if operation is Operation.CHECKPOINT else "delete"
    path = make_database(tmp_path / "a.db", rows=400, journal_mode=mode, auto_vacuum="incremental")
    async with asyncio.timeout(60), connected(path, lock_timeout=3600) as (session, _):
        step = (await session.plan(operation, Options())).steps[0]
        with closing(sqlite3.connect(path, isolation_level=None)) as other, window(0.2) as open_for_a_moment:
            other.execute("BEGIN EXCLUSIVE")
            result = await session.execute(step, StepContext(window=open_for_a_moment))
        assert (result.status, result.reason, result.never_began) == (Status.SKIPPED, Reason.TIME_LIMIT, True)


async def test_r32_what_waits_in_the_midst_of_its_work_at_the_end_of_the_window_has_begun(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, auto_vacuum="incremental")
    async with connected(path, lock_timeout=0.5) as (session, connection):
        await connection.executescript(
            "CREATE TABLE big(b); INSERT INTO big VALUES (zeroblob(12000000)); DROP TABLE big"
        )
        step = (await session.plan(Operation.INCREMENTAL_VACUUM, Options())).steps[0]
        window = Window()

        with closing(sqlite3.connect(path, isolation_level=None)) as other:

            def lock_after_the_first_chunk(progress: StepProgress) -> None:
                if not other.in_transaction:
                    other.execute("BEGIN EXCLUSIVE")
                window.closed.set()

            result = await session.execute(step, StepContext(window=window, report=lock_after_the_first_chunk))
    assert (result.status, result.reason, result.never_began) == (Status.FAILED, Reason.TARGET_BUSY, False)
    assert "pages freed so far stay freed" in result.left


async def test_a_copy_that_was_not_checked_yet_is_removed_and_that_is_told(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    async with connected(path) as (session, _):
        copy, check = (await session.plan(Operation.BACKUP, Options())).steps
        assert (await execute(session, copy)).status is Status.COMPLETED
        cancel = asyncio.Event()
        cancel.set()
        result = await execute(session, check, cancel)
        assert (result.status, result.left.endswith("was removed")) == (Status.CANCELLED, True)
    assert files_beside(path) == {"a.db"}


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_what_failed_says_what_it_left(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    async with connected(path, lock_timeout=0) as (session, _):
        step = (await session.plan(Operation.VACUUM, Options())).steps[0]
        with transaction(path, "IMMEDIATE"):
            result = await execute(session, step)
        assert (result.status, result.left) == (Status.FAILED, "nothing changed")


@dataclass
class Vacuum:
    """One VACUUM with a cancel at one of its moments: each opcode of SQLite's virtual machine is one."""

    path: Path
    moments: int = 0
    size_at_cancel: int | None = None

    async def run(self, cancel_at: int | None) -> StepResult:
        """The statement is held at that moment until it has been interrupted."""
        interrupted, cancel, in_vacuum = threading.Event(), asyncio.Event(), False
        loop = asyncio.get_running_loop()
        async with connected(self.path) as (session, connection):
            (step,) = (await session.plan(Operation.VACUUM, Options())).steps
            interrupt = connection.interrupt

            async def tell_when_interrupted() -> None:
                await interrupt()
                interrupted.set()

            def note_the_statement(sql: str) -> None:
                nonlocal in_vacuum
                in_vacuum = sql == step.command

            def tick() -> int:
                self.moments += in_vacuum
                if in_vacuum and self.moments == cancel_at:
                    self.size_at_cancel = self.path.stat().st_size
                    loop.call_soon_threadsafe(cancel.set)
                    interrupted.wait()
                return 0

            connection.interrupt = tell_when_interrupted  # type: ignore[method-assign]
            await connection.set_trace_callback(note_the_statement)
            await connection.set_progress_handler(tick, 1)
            return await execute(session, step, cancel)


async def test_a_vacuum_past_its_point_of_no_return_ends_completed(tmp_path: Path) -> None:
    """Its second phase copies back into the file and cannot be interrupted.

    So it is cancelled at each of its last moments: before some point that undoes it all, from there on it completes.
    """
    original = make_database(tmp_path / "original.db", rows=200)
    before, size = content(original), original.stat().st_size

    async def cancelled_at(moment: int | None) -> tuple[Vacuum, Status]:
        vacuum = Vacuum(Path(shutil.copy(original, tmp_path / "a.db")))
        result = await vacuum.run(moment)
        status = result.status
        assert result.left == ("nothing changed" if status is Status.CANCELLED else "")
        assert content(vacuum.path) == before
        assert integrity(vacuum.path) == []
        assert (vacuum.path.stat().st_size < size) == (status is Status.COMPLETED)
        return vacuum, status

    whole, _ = await cancelled_at(None)
    ends = [await cancelled_at(moment) for moment in range(whole.moments - 40, whole.moments + 1)]
    statuses = [status for _, status in ends]
    assert statuses == sorted(statuses)  # cancelled, then completed
    assert set(statuses) == {Status.CANCELLED, Status.COMPLETED}
    in_vain = [vacuum for vacuum, status in ends if status is Status.COMPLETED and vacuum.size_at_cancel == size]
    assert in_vain  # the cancel came before anything had been copied back
    assert files_beside(original) == {"original.db", "a.db"}


@pytest.mark.parametrize("operation", [Operation.VACUUM, Operation.REINDEX, Operation.CHECK])
async def test_a_cancel_while_waiting_for_a_lock_ends_cancelled(tmp_path: Path, operation: Operation) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    async with connected(path, lock_timeout=86_400) as (session, _):
        step = (await session.plan(operation, Options())).steps[0]
        with transaction(path, "EXCLUSIVE"):
            cancel = asyncio.Event()
            task = asyncio.create_task(execute(session, step, cancel))
            await asyncio.wait({task}, timeout=0)
            cancel.set()
            assert (await task).status is Status.CANCELLED


async def test_opening_that_is_cancelled_leaves_no_connection(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    threads = set(threading.enumerate())
    task = asyncio.create_task(open_connection(connection_uri(str(path)), LockWait(1)))
    await asyncio.wait({task}, timeout=0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_ended(set(threading.enumerate()) - threads)
    assert files_beside(path) == {"a.db"}


async def test_trap_an_interrupt_that_comes_when_nothing_runs_does_not_leave_the_log_behind(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    async with connected(path) as (_, connection):
        await connection.execute_fetchall("DELETE FROM item")
        await connection.interrupt()
    assert files_beside(path) == {"a.db"}


async def test_a_log_that_a_cancelled_reindex_leaves_is_written_back_although_others_keep_the_database_open(
    tmp_path: Path,
) -> None:
    path = make_database(tmp_path / "a.db", journal_mode="wal")
    with another_process(path, "PRAGMA user_version"):
        async with connected(path) as (session, connection):
            await connection.execute_fetchall("PRAGMA cache_size = 1")  # what is rolled back has been in the log
            step = (await session.plan(Operation.REINDEX, Options())).steps[0]
            cancel, ticks, log = asyncio.Event(), 0, path.with_name("a.db-wal")

            def stop_when_it_has_written() -> int:
                nonlocal ticks
                if not ticks and log.exists() and log.stat().st_size:
                    ticks = 1
                    cancel.set()
                    return 1
                return 0

            await connection.set_progress_handler(stop_when_it_has_written, 1)
            assert (await execute(session, step, cancel)).status is Status.CANCELLED
            assert ticks
            assert log.stat().st_size == 0
    assert integrity(path) == []


async def test_a_statement_that_fails_by_itself_is_no_cancel(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    async with connected(path) as (session, connection):
        wrong = endless(Method.TRANSACTION, 'REINDEX main."nowhere"')
        result = await execute(session, wrong)
        assert (result.status, result.reason) == (Status.FAILED, None)
        await connection.set_progress_handler(lambda: 1, 1000)
        result = await execute(session, ENDLESS)
        assert result.status is Status.FAILED
        assert str(result.error).endswith("interrupted")
        await connection.set_progress_handler(lambda: 0, 0)


async def test_r19_a_busy_session_holds_up_no_other_session_and_no_event_loop(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    async with connected(path) as (busy, connection), connected(path) as (other, _):
        running, cancel = asyncio.Event(), asyncio.Event()
        await when_running(connection, running.set)
        task = asyncio.create_task(execute(busy, endless(Method.CHECK), cancel))
        await running.wait()
        try:
            async with asyncio.timeout(30):
                for step in (await other.plan(Operation.REINDEX, Options())).steps[:-1]:
                    assert (await execute(other, step)).status is Status.COMPLETED
            assert not task.done()
        finally:
            cancel.set()
        assert (await task).status is Status.CANCELLED


async def test_a_task_that_is_cancelled_while_a_transaction_begins_leaves_none_open(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    connection = await open_connection(connection_uri(str(path)), LockWait(1))
    loop = asyncio.get_running_loop()
    try:
        beginning = asyncio.create_task(in_transaction(connection, ["SELECT 1"], LockWait(1)))
        await connection.set_trace_callback(lambda _: loop.call_soon_threadsafe(beginning.cancel))
        with pytest.raises(asyncio.CancelledError):
            await beginning
        assert not connection.in_transaction
    finally:
        await connection.close()
