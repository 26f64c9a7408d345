"""Processes that hold a lock are waited for and named, and no work is done that will be thrown away."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import aiosqlite
import pytest

from engine import Engine
from engine.domain.errors import TargetBusyError
from engine.domain.requests import Operation, Options, Request
from engine.domain.statuses import Reason, Status
from engine.domain.steps import WAITING, WaitsFor
from engine.inspection import inspector
from engine.system.lock_holders import Holder, holders
from engine.targets import resolve
from engine.targets.plans import Verdict
from engine.targets.sqlite.planning.steps import Method
from engine.targets.sqlite.running.methods import _checkpoint_progress
from engine.targets.step_execution import StepContext, StepProgress, StepResult
from tests.engine.targets.sqlite.a_session import ENDLESS, connected, endless, execute, run, statuses
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.stepwise import stepwise
from tests.engine.working import job_once
from tests.sqlite_files import content, files_beside, integrity, make_database, transaction

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who holds a lock")

READER = ("BEGIN", "SELECT * FROM item")
WRITER = ("BEGIN IMMEDIATE",)
WRITING = (Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX, Operation.OPTIMIZE, Operation.FTS_OPTIMIZE)
READING = (Operation.CHECK, Operation.BACKUP)


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("holder", [READER, WRITER])
async def test_a_plan_warns_of_whom_its_operation_would_have_to_wait_for_and_a_job_does_not(
    tmp_path: Path, holder: tuple[str, ...], journal_mode: str
) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode)
    with another_process(path, *holder) as pid:
        planned = await inspector.plan(Request(target=str(path), operations=(Operation.REINDEX, Operation.CHECK)))
        reindex, check = planned.operations
        warns = journal_mode == "delete" or holder is WRITER
        assert (reindex.verdict, check.verdict) == (Verdict.WARN if warns else Verdict.OK, Verdict.OK)
        assert (reindex.waits, check.waits) == (warns, False)
        assert not warns or f"process {pid} (" in reindex.warnings[0]
        async with stepwise(resolve(str(path)).connect(lock_timeout=1)) as session:
            assert (await session.plan(Operation.REINDEX, Options())).warnings == ()
    (free,) = (await inspector.plan(Request(target=str(path), operations=(Operation.REINDEX,)))).operations
    assert free.verdict is Verdict.OK


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
@pytest.mark.parametrize("holder", [READER, WRITER])
@pytest.mark.parametrize("operation", [*WRITING, *READING, Operation.INCREMENTAL_VACUUM])
async def test_whom_an_operation_meets_decides_whether_it_can_go_on(
    tmp_path: Path, operation: Operation, holder: tuple[str, ...], journal_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.targets.sqlite.connection.statement._LOCK_ATTEMPT", 0)
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode, auto_vacuum="incremental")
    before = content(path)
    can_go_on = operation in READING or (journal_mode == "wal" and holder is READER)
    with another_process(path, *holder) as pid:
        results = [*(await run(path, operation, lock_timeout=0)).values()]
        if can_go_on:
            assert {result.status for result in results} <= {Status.COMPLETED, Status.SKIPPED}
        for result in results if not can_go_on else ():
            if result.status is not Status.SKIPPED:  # a log that cannot be written back is no failure
                assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
                assert f"process {pid} (" in str(result.error)
    assert (content(path), integrity(path)) == (before, [])
    if not can_go_on:
        assert statuses(await run(path, operation)) == {Status.COMPLETED}
        assert content(path) == before


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
async def test_an_idle_connection_is_in_nobodys_way(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode, auto_vacuum="incremental")
    with another_process(path, "SELECT count(*) FROM item"):
        for operation in (Operation.INCREMENTAL_VACUUM, *WRITING, *READING):
            assert statuses(await run(path, operation, lock_timeout=0)) == {Status.COMPLETED}


@pytest.mark.parametrize("holder", [("BEGIN EXCLUSIVE",), ("PRAGMA locking_mode = EXCLUSIVE", "DELETE FROM item")])
async def test_who_keeps_a_database_from_being_opened_is_named(tmp_path: Path, holder: tuple[str, ...]) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with another_process(path, *holder) as pid, pytest.raises(TargetBusyError) as caught:
        await resolve(str(path)).preflight(lock_timeout=0)
    assert f"process {pid} (" in str(caught.value)
    assert "for itself" in str(caught.value)


LONG_ENOUGH = 3
"""Seconds within which a busy machine finds out who holds a lock."""


class TakesOver:
    """Another process holds the lock until this is called for the first time; then we hold it ourselves, unseen:
    of this process nobody is told. So the other is gone when the time is over, and the lock still not to be had."""

    def __init__(self, path: Path, *holder: str) -> None:
        self._ours = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._process = ExitStack()
        self.pid = self._process.enter_context(another_process(path, *holder))

    def hear(self, progress: StepProgress) -> None:
        """Once the other was told of as the one who is waited for."""
        if f"process {self.pid} (" in str(progress.phase):
            self()

    def __call__(self) -> None:
        self._process.close()
        if not self._ours.in_transaction:
            self._ours.execute("BEGIN EXCLUSIVE")

    def close(self) -> None:
        self._process.close()
        self._ours.close()


@pytest.mark.parametrize(
    "operation", [Operation.REINDEX, Operation.VACUUM, Operation.INCREMENTAL_VACUUM, Operation.CHECK]
)
async def test_who_was_waited_for_and_left_before_the_time_was_over_is_named(
    tmp_path: Path, operation: Operation
) -> None:
    path = make_database(tmp_path / "a.db", rows=200, auto_vacuum="incremental")
    async with connected(path, lock_timeout=LONG_ENOUGH) as (session, _):
        first, *others = (await session.plan(operation, Options())).steps
        with closing(TakesOver(path, "BEGIN EXCLUSIVE")) as other:
            result = await session.execute(first, StepContext(report=other.hear))
            again = [await execute(session, step) for step in others]
    expected = f"no lock within {LONG_ENOUGH} s: it was last held by process {other.pid} ("
    assert result.reason is Reason.TARGET_BUSY
    assert str(result.error).startswith(expected)
    for later in again:
        assert later.status is not Status.FAILED or f"held by process {other.pid} (" in str(later.error)


async def test_who_only_reads_a_log_is_not_named_for_the_writer_who_left(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    with another_process(path, *READER) as reader:
        async with connected(path, lock_timeout=LONG_ENOUGH) as (session, _):
            step = (await session.plan(Operation.REINDEX, Options())).steps[0]
            with closing(TakesOver(path, *WRITER)) as writer:
                result = await session.execute(step, StepContext(report=writer.hear))
    assert f"held by process {writer.pid} (" in str(result.error)
    assert f"process {reader} (" not in str(result.error)


async def test_who_kept_a_checkpoint_waiting_and_left_is_named(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    with another_process(path, "PRAGMA user_version"):
        fill_the_log(path)
        async with connected(path, lock_timeout=LONG_ENOUGH) as (session, _):
            (step,) = (await session.plan(Operation.CHECKPOINT, Options())).steps
            with closing(TakesOver(path, *WRITER)) as writer:
                result = await session.execute(step, StepContext(report=writer.hear))
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert f"held by process {writer.pid} (" in str(result.error)


async def test_who_kept_a_database_from_being_opened_and_left_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with closing(TakesOver(path, "BEGIN EXCLUSIVE")) as other:

        def seen(name: str) -> tuple[Holder, ...] | None:
            found = holders(name)
            other()
            return found

        monkeypatch.setattr("engine.system.lock_holders.holders", seen)
        with pytest.raises(TargetBusyError, match=rf"held by process {other.pid} \("):
            await resolve(str(path)).preflight(lock_timeout=0.3)


async def test_the_one_who_came_later_is_told_while_he_is_waited_for(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    pids: list[int] = []
    told: list[str] = []
    cancel = asyncio.Event()
    with ExitStack() as first, ExitStack() as second:
        pids.append(first.enter_context(another_process(path, *WRITER)))

        def hear(progress: StepProgress) -> None:
            told.append(str(progress.phase))
            if len(pids) == 1:
                first.close()
                pids.append(second.enter_context(another_process(path, *WRITER)))
            elif f"process {pids[1]} (" in told[-1]:
                cancel.set()

        async with connected(path, lock_timeout=600) as (session, _):
            step = (await session.plan(Operation.ANALYZE, Options())).steps[0]
            async with asyncio.timeout(30):
                result = await session.execute(step, StepContext(cancel=cancel, report=hear))
    assert result.status is Status.CANCELLED
    assert f"{WAITING}: process {pids[0]} (" in told[0]
    assert f"{WAITING}: process {pids[1]} (" in told[-1]


class Attempts:
    """Counts how often each command is tried, and calls for what is to happen after the second try of one."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    async def watch(self, connection: aiosqlite.Connection, command: str, after_two: Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()

        def note(sql: str) -> None:
            self.of[sql] += 1
            if sql == command and self.of[sql] == 2:
                loop.call_soon_threadsafe(after_two)

        await connection.set_trace_callback(note)


@pytest.mark.parametrize("operation", [Operation.REINDEX, Operation.ANALYZE, Operation.FTS_OPTIMIZE])
async def test_trap_a_commit_that_a_reader_holds_up_is_tried_again_and_the_work_is_kept(
    tmp_path: Path, operation: Operation
) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    attempts = Attempts()
    with ExitStack() as reader:
        reader.enter_context(another_process(path, *READER))
        async with connected(path, lock_timeout=600) as (session, connection):
            step = (await session.plan(operation, Options())).steps[0]
            await attempts.watch(connection, "COMMIT", reader.close)
            assert (await execute(session, step)).status is Status.COMPLETED
    assert attempts.of["COMMIT"] > attempts.of["BEGIN IMMEDIATE"]
    assert attempts.of["ROLLBACK"] == attempts.of["BEGIN"]  # where rows are counted; nothing is written there
    assert files_beside(path) == {"a.db"}
    assert integrity(path) == []


@pytest.mark.parametrize(
    ("operation", "holder", "tried"),
    [
        (Operation.VACUUM, READER, ""),
        (Operation.REINDEX, WRITER, "BEGIN IMMEDIATE"),
        (Operation.INCREMENTAL_VACUUM, READER, ""),
        (Operation.INCREMENTAL_VACUUM, ("BEGIN EXCLUSIVE",), "PRAGMA main.freelist_count"),
    ],
)
async def test_what_is_busy_is_tried_again_until_the_other_is_gone(
    tmp_path: Path, operation: Operation, holder: tuple[str, ...], tried: str
) -> None:
    path = make_database(tmp_path / "a.db", rows=200, auto_vacuum="incremental")
    async with connected(path, lock_timeout=600) as (session, connection):
        step = (await session.plan(operation, Options())).steps[0]
        with ExitStack() as other:
            other.enter_context(another_process(path, *holder))
            await Attempts().watch(connection, tried or step.command, other.close)
            assert (await execute(session, step)).status is Status.COMPLETED


async def test_a_check_waits_for_who_has_locked_the_database_for_itself(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    async with connected(path, lock_timeout=600) as (session, connection):
        step = (await session.plan(Operation.CHECK, Options())).steps[0]
        with ExitStack() as other:
            other.enter_context(another_process(path, "BEGIN EXCLUSIVE"))
            await Attempts().watch(connection, step.command, other.close)
            assert (await execute(session, step)).status is Status.COMPLETED


async def test_a_reader_that_stays_is_named_all_is_rolled_back_and_no_other_step_works_or_waits_in_vain_again(
    tmp_path: Path,
) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    before, bytes_before = content(path), path.read_bytes()
    attempts = Attempts()
    waited: list[int] = []
    with another_process(path, *READER) as pid:
        async with connected(path, lock_timeout=0.2) as (session, connection):
            await attempts.watch(connection, "COMMIT", lambda: None)
            for step in (await session.plan(Operation.REINDEX, Options())).steps:
                tried = attempts.of["COMMIT"] + attempts.of["BEGIN IMMEDIATE"] + attempts.of[step.command]
                result = await execute(session, step)
                assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
                assert f"process {pid} (" in str(result.error)
                assert "reads it" in str(result.error)
                assert f"no lock {'at once' if waited else 'within 0.2 s'}: " in str(result.error)
                waited.append(
                    attempts.of["COMMIT"] + attempts.of["BEGIN IMMEDIATE"] + attempts.of[step.command] - tried
                )
                assert not connection.in_transaction
    assert waited[0] >= len(("the command", "BEGIN IMMEDIATE", "COMMIT"))
    assert set(waited[1:]) == {0}
    assert files_beside(path) == {"a.db"}
    assert path.read_bytes() == bytes_before
    assert content(path) == before


async def test_who_is_waited_for_is_told_meanwhile(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    told: list[StepProgress] = []
    cancel = asyncio.Event()

    def hear(progress: StepProgress) -> None:
        told.append(progress)
        cancel.set()

    with another_process(path, *WRITER) as pid:
        async with connected(path, lock_timeout=60) as (session, _):
            step = (await session.plan(Operation.ANALYZE, Options())).steps[0]
            await session.execute(step, StepContext(cancel=cancel, report=hear))
    assert f"{WAITING}: process {pid} (" in str(told[0].phase)


async def test_who_was_waited_for_is_told_no_more_when_it_runs(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    command = ENDLESS.command.replace("SELECT 1 UNION", "SELECT count(*) FROM item UNION")
    waits, runs, cancel = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def hear(progress: StepProgress) -> None:
        (runs if progress.phase is None else waits).set()

    async with connected(path, lock_timeout=600) as (session, _):
        with another_process(path, "BEGIN EXCLUSIVE"):
            step = endless(Method.FOREIGN_KEYS, command)
            running = asyncio.create_task(session.execute(step, StepContext(cancel=cancel, report=hear)))
            await waits.wait()
            runs.clear()
        async with asyncio.timeout(30):
            await runs.wait()
        cancel.set()
        assert (await running).status is Status.CANCELLED


async def checkpoint(path: Path, lock_timeout: float = 0) -> StepResult:
    (result,) = (await run(path, Operation.CHECKPOINT, lock_timeout=lock_timeout)).values()
    return result


def fill_the_log(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute("UPDATE item SET price = price + 1")
        db.commit()


async def test_trap_a_checkpoint_that_says_busy_is_no_success(tmp_path: Path) -> None:
    """SQLite raises nothing: it answers with a row that says so."""
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    log = path.with_name("a.db-wal")
    with another_process(path, "PRAGMA user_version"), another_process(path, *READER) as pid:
        fill_the_log(path)
        size = log.stat().st_size
        assert size > 0
        result = await checkpoint(path)
        assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
        assert f"process {pid} (" in str(result.error)
        assert "frames of the" in str(result.error)
        assert log.stat().st_size == size


async def test_a_checkpoint_that_gets_through_and_cannot_cut_the_log_says_so(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    with another_process(path, "PRAGMA user_version"):
        fill_the_log(path)
        with another_process(path, *WRITER) as pid:
            result = await checkpoint(path)
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    whole, _, who = str(result.error).partition(
        " frames of the log were written back, but the log could not be truncated: "
    )
    assert whole.startswith("all ")
    assert who.startswith(f"process {pid} (")


@pytest.mark.parametrize(
    ("frames", "written", "words"),
    [
        (1608, 7, "7 of 1,608 frames of the log were written back"),
        (1608, 1608, "all 1,608 frames of the log were written back, but the log could not be truncated"),
        (1, 1, "the one frame of the log was written back, but the log could not be truncated"),
        (1, 0, "0 of 1 frames of the log were written back"),
        (-1, -1, "the log could not be written back"),
    ],
)
def test_how_far_a_checkpoint_came_is_told_by_its_own_numbers(frames: int, written: int, words: str) -> None:
    assert _checkpoint_progress(frames, written) == words


async def test_a_checkpoint_truncates_the_log_and_tells_how_long_it_was(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    log = path.with_name("a.db-wal")
    with another_process(path, "PRAGMA user_version"):
        fill_the_log(path)
        size = log.stat().st_size
        result = await checkpoint(path)
        assert (result.status, result.effect) == (Status.COMPLETED, {"written_back": size})
        assert log.stat().st_size == 0


async def test_a_checkpoint_waits_for_a_reader(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    told: list[StepProgress] = []
    with ExitStack() as other, another_process(path, "PRAGMA user_version"):
        pid = other.enter_context(another_process(path, *READER))
        fill_the_log(path)
        async with connected(path, lock_timeout=600) as (session, connection):
            (step,) = (await session.plan(Operation.CHECKPOINT, Options())).steps
            await Attempts().watch(connection, step.command, other.close)
            assert (await session.execute(step, StepContext(report=told.append))).status is Status.COMPLETED
    assert f"{WAITING}: process {pid} (" in str(told[0].phase)


async def test_a_checkpoint_that_is_cancelled_while_it_waits_ends_cancelled(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode="wal")
    with another_process(path, *READER):
        fill_the_log(path)
        async with connected(path, lock_timeout=600) as (session, connection):
            (step,) = (await session.plan(Operation.CHECKPOINT, Options())).steps
            cancel = asyncio.Event()
            await Attempts().watch(connection, step.command, cancel.set)
            assert (await execute(session, step, cancel)).status is Status.CANCELLED


async def test_a_writer_keeps_a_checkpoint_from_its_work(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode="wal")
    with transaction(path, "DEFERRED"), another_process(path, "BEGIN IMMEDIATE", "DELETE FROM item") as pid:
        result = await checkpoint(path)
    assert (result.status, result.reason) == (Status.FAILED, Reason.TARGET_BUSY)
    assert f"process {pid} (" in str(result.error)


async def test_who_is_waited_for_is_told_also_while_the_database_is_being_opened(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    told: list[str] = []
    with ExitStack() as stack:
        pid = stack.enter_context(another_process(path, "BEGIN EXCLUSIVE"))

        def hear(why: str, waits_for: WaitsFor = WaitsFor.LOCK) -> None:
            told.append(why)
            stack.close()

        async with resolve(str(path)).connect(lock_timeout=60, waiting=hear):
            pass
    assert told
    assert told[0].startswith(f"process {pid} (")
    assert told[0].endswith("for itself")


async def test_a_job_that_waits_to_open_its_database_says_for_whom(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        with another_process(path, "BEGIN EXCLUSIVE") as pid:
            request = Request(target=str(path), operations=(Operation.VACUUM,), options=Options(lock_timeout=60))
            (job,) = await engine.submit([request])
            waiting = await job_once(engine, job.id, lambda job: job.children[0].progress.phase)
            assert str(waiting.children[0].progress.phase).startswith(f"{WAITING}: process {pid} (")
        (job,) = await engine.wait([job.id])
    assert job.status is Status.COMPLETED


async def test_how_long_an_operation_waited_before_it_gave_up_is_kept(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        with another_process(path, "BEGIN EXCLUSIVE"):
            request = Request(target=str(path), operations=(Operation.VACUUM,), options=Options(lock_timeout=1))
            (job,) = await engine.submit([request])
            (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert (child.reason, set(child.after or {})) == (Reason.TARGET_BUSY, {"waited"})
