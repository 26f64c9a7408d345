"""REINDEX by the SQLite of the package apsw (--sqlite bundled): as safe, and as plain in words, as by the system's."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from engine.domain.errors import TargetBusyError
from engine.domain.requests import Operation, Options, SqliteLibrary
from engine.domain.statuses import Reason, Status
from engine.targets import resolve
from engine.targets.plans import OperationPlan
from engine.targets.sqlite.connection import bundled
from engine.targets.sqlite.connection.bundled import BundledConnection, Library
from engine.targets.sqlite.connection.metered import MeteredConnection
from engine.targets.sqlite.connection.names import connection_uri
from engine.targets.sqlite.connection.statement import LockWait
from engine.targets.sqlite.planning import libraries
from engine.targets.sqlite.planning.steps import SqliteStep
from engine.targets.sqlite.running.operation import SqliteOperation
from engine.targets.sqlite.running.throttling import Contention, contention
from engine.targets.step_execution import StepContext
from tests.engine.processes import python
from tests.engine.targets.sqlite.a_session import ENDLESS, connected, execute, plan, run, statuses
from tests.engine.targets.sqlite.another_process import another_process
from tests.engine.targets.sqlite.small_disks import can_mount, endings
from tests.sqlite_files import content, files_beside, integrity, make_database

BUNDLED = SqliteLibrary.BUNDLED
MODES = pytest.mark.parametrize("mode", ["delete", "wal"])
if importlib.util.find_spec("apsw") is None:
    if os.environ.get("CI") == "true":
        pytest.fail("apsw is not installed")
    pytest.skip("apsw is not installed", allow_module_level=True)


def without_entries(path: Path) -> Path:
    """The same database, whose index knows nothing of the newest rows."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE INDEX wrong ON item(note);
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = sql || ' WHERE 0' WHERE name = 'wrong';
        """)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            INSERT INTO item SELECT code || '!', price, note FROM item;
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = replace(sql, ' WHERE 0', '') WHERE name = 'wrong';
        """)
    return path


@MODES
async def test_wrong_indexes_are_right_afterwards(tmp_path: Path, mode: str) -> None:
    path = without_entries(make_database(tmp_path / "a.db", journal_mode=mode))
    before = content(path)
    assert integrity(path) != []
    results = await run(path, Operation.REINDEX, sqlite=BUNDLED)
    assert statuses(results) == {Status.COMPLETED}
    assert integrity(path) == []
    assert content(path) == before
    assert files_beside(path) == {"a.db"}
    assert "apsw" not in sys.modules


async def test_the_plan_tells_which_library_runs_and_what_differs(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    planned = await plan(path, Operation.REINDEX, sqlite=BUNDLED)
    assert {step.library for step in planned.steps if isinstance(step, SqliteStep)} == {BUNDLED}
    library = bundled.bundled_library()
    assert library.version in planned.settings_reason
    assert sqlite3.sqlite_version in planned.settings_reason
    with closing(sqlite3.connect(path)) as db:
        overwrites = db.execute("PRAGMA secure_delete").fetchone() != (0,)
    differs = overwrites and "SECURE_DELETE" not in library.options
    assert (libraries.OVERWRITES_NOTHING in planned.warnings) == differs


def of_bundled(planned: OperationPlan, *, overwrites: bool, options: tuple[str, ...] = ()) -> OperationPlan:
    libraries_of_both = Library("3.99.0", frozenset(options)), Library("3.40.0", frozenset())
    return libraries.by_bundled(planned, *libraries_of_both, (), (), overwrites_deleted=overwrites)


async def test_a_difference_is_told_by_what_the_libraries_say_of_themselves(tmp_path: Path) -> None:
    planned = await plan(make_database(tmp_path / "a.db"), Operation.REINDEX)
    assert of_bundled(planned, overwrites=True).warnings == (*planned.warnings, libraries.OVERWRITES_NOTHING)
    assert of_bundled(planned, overwrites=True, options=("SECURE_DELETE",)).warnings == planned.warnings
    assert of_bundled(planned, overwrites=False).warnings == planned.warnings


async def test_indexes_whose_values_are_computed_stay_with_the_library_of_the_system(tmp_path: Path) -> None:
    """Two versions may compute other values, and then one finds the index of the other damaged."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE t(a, b, made AS (a || b), kept AS (a || b) STORED);
            CREATE INDEX plain ON t(a, b); CREATE INDEX expression ON t(b, printf('%.20g', a));
            CREATE INDEX partial ON t(b) WHERE a > 1; CREATE INDEX virtual ON t(made); CREATE INDEX stored ON t(kept);
            WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100)
            INSERT INTO t(a, b) SELECT i / 7.0, i FROM n;
        """)
    planned = await plan(path, Operation.REINDEX, sqlite=BUNDLED)
    by_library = {step.object: step.library for step in planned.steps if isinstance(step, SqliteStep)}
    system = SqliteLibrary.SYSTEM
    assert by_library == {
        "plain": BUNDLED, "expression": system, "partial": system, "virtual": system, "stored": system
    }  # fmt: skip
    assert statuses(await run(path, Operation.REINDEX, sqlite=BUNDLED)) == {Status.COMPLETED}
    assert integrity(path) == []
    only = await plan(path, Operation.REINDEX, sqlite=BUNDLED, objects=("partial",))
    assert {step.library for step in only.steps if isinstance(step, SqliteStep)} == {system}
    assert only.warnings


async def test_without_the_package_it_is_refused_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundled, "is_installed", lambda: False)
    planned = await plan(make_database(tmp_path / "a.db"), Operation.REINDEX, sqlite=BUNDLED)
    assert (planned.refused, planned.steps) == (libraries.NOT_INSTALLED, ())


async def failed(path: Path, sqlite: SqliteLibrary, **options: Any) -> list[tuple[Status, Reason | None, str | None]]:
    results = (await run(path, Operation.REINDEX, sqlite=sqlite, **options)).values()
    return [(result.status, result.reason, result.error) for result in results if result.status is not Status.COMPLETED]


async def test_duplicates_are_told_in_the_same_words(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("""
            CREATE TABLE twice(a); CREATE INDEX twice_a ON twice(a); INSERT INTO twice VALUES (1), (1);
            PRAGMA writable_schema = ON;
            UPDATE sqlite_schema SET sql = replace(sql, 'CREATE INDEX', 'CREATE UNIQUE INDEX') WHERE name = 'twice_a';
        """)
    found = await failed(path, BUNDLED)
    assert len(found) == 1
    assert found == await failed(path, SqliteLibrary.SYSTEM)


@MODES
async def test_another_writer_is_waited_for_and_named(tmp_path: Path, mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=mode)
    with another_process(path, "BEGIN IMMEDIATE") as pid:
        (status, reason, error), *_ = await failed(path, BUNDLED, lock_timeout=0.2, objects=("order",))
        assert (status, reason) == (Status.FAILED, Reason.TARGET_BUSY)
        assert str(pid) in str(error)
    assert await failed(path, BUNDLED) == []


async def test_a_reader_that_delays_the_commit_loses_no_work(tmp_path: Path) -> None:
    path = without_entries(make_database(tmp_path / "a.db"))
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as reader:
        async with connected(path, lock_timeout=60) as (session, _):
            steps = (await session.plan(Operation.REINDEX, Options(sqlite=BUNDLED))).steps
            reader.executescript("BEGIN; SELECT * FROM item LIMIT 1")
            reader.execute("SELECT count(*) FROM item").fetchall()

            def end_read(_: object) -> None:
                if reader.in_transaction:
                    reader.execute("ROLLBACK")

            assert (await session.execute(steps[0], StepContext(report=end_read))).status is Status.COMPLETED
            assert not reader.in_transaction


@MODES
async def test_a_cancel_stops_it_and_changes_nothing(tmp_path: Path, mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=mode)
    before = content(path)
    async with connected(path) as (session, _):
        cancel = asyncio.Event()
        step = replace(ENDLESS, library=BUNDLED)
        context = StepContext(cancel=cancel, report=lambda _: cancel.set())
        result = await session.execute(step, context)
        assert (result.status, result.left) == (Status.CANCELLED, "nothing changed")
        steps = (await session.plan(Operation.REINDEX, Options(sqlite=BUNDLED))).steps
        assert {(await execute(session, step)).status for step in steps} == {Status.COMPLETED}
    assert content(path) == before
    assert files_beside(path) == {"a.db"}


@MODES
async def test_its_process_may_be_killed(tmp_path: Path, mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=mode)
    before = content(path)
    async with connected(path) as (session, _):
        steps = (await session.plan(Operation.REINDEX, Options(sqlite=BUNDLED))).steps

        def kill(_: object) -> None:
            operation = session.planned
            assert isinstance(operation, SqliteOperation)
            for connection in operation._extra:
                library = cast("BundledConnection", connection.aio._conn)
                library._process.send_signal(signal.SIGKILL)

        result = await session.execute(replace(ENDLESS, library=BUNDLED), StepContext(report=kill))
        assert result.status is Status.FAILED
        assert "SIGKILL" in str(result.error)
        assert {(await execute(session, step)).status for step in steps} == {Status.COMPLETED}
    assert (content(path), integrity(path)) == (before, [])
    assert files_beside(path) == {"a.db"}


async def test_if_its_process_cannot_be_started_the_step_fails_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "a.db")
    before = content(path)
    async with connected(path) as (session, _):
        first, *_ = (await session.plan(Operation.REINDEX, Options(sqlite=BUNDLED))).steps
        monkeypatch.setattr(bundled, "_command", lambda: (str(tmp_path / "no such program"),))
        result = await execute(session, first)
        assert result.status is Status.FAILED
        assert os.strerror(errno.ENOENT) in str(result.error)
    assert content(path) == before


@MODES
async def test_it_ends_with_a_worker_that_is_killed(tmp_path: Path, mode: str) -> None:
    path = make_database(tmp_path / "a.db", journal_mode=mode)
    before = content(path)
    script = """
        from engine.targets.sqlite.connection.bundled import BundledConnection
        def prepare(db):
            db.set_progress_handler(lambda: print("works", flush=True), 1000)

        db = BundledConnection(sys.argv[1], prepare)
        print(db._process.pid, flush=True)
        db.executescript("PRAGMA cache_size = 1; BEGIN IMMEDIATE; UPDATE item SET note = hex(zeroblob(3000))")
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    """
    with python(script, connection_uri(str(path))) as worker:
        child = os.pidfd_open(int(await worker.says()))
        assert await worker.says() == "works"
        worker.kill()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(child, ended.set)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(child)
        os.close(child)
    assert statuses(await run(path, Operation.REINDEX, sqlite=BUNDLED)) == {Status.COMPLETED}
    assert (content(path), integrity(path)) == (before, [])


async def test_the_lock_of_the_attempt_and_the_locks_of_the_worker_stay(tmp_path: Path) -> None:
    """A second SQLite library in the worker would drop both as it closes the file."""
    path = make_database(tmp_path / "a.db", journal_mode="wal")
    async with connected(path) as (session, _):
        await session.session.lock()
        steps = (await session.plan(Operation.REINDEX, Options(sqlite=BUNDLED))).steps
        with closing(sqlite3.connect(path, isolation_level=None)) as own:
            own.execute("BEGIN")
            seen = own.execute("SELECT count(*) FROM item").fetchall()
            assert {(await execute(session, step)).status for step in steps[:-1]} == {Status.COMPLETED}
            with another_process(path, "DELETE FROM item", "PRAGMA wal_checkpoint(TRUNCATE)"):
                assert own.execute("SELECT count(*) FROM item").fetchall() == seen
        async with resolve(str(path)).connect(lock_timeout=0) as other:
            with pytest.raises(TargetBusyError):
                await other.lock()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who has a file open")
@pytest.mark.parametrize("mode", ["delete", "wal"])
async def test_its_own_process_is_no_other_that_wants_the_database(tmp_path: Path, mode: str) -> None:
    """Else a pause would follow each step that took long enough."""
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=mode)
    async with connected(path) as (session, _):
        planned = await session.plan(Operation.REINDEX, Options(sqlite=BUNDLED))
        assert (await execute(session, planned.steps[0])).status is Status.COMPLETED
        assert contention(str(path)) is Contention.UNKNOWN
        with another_process(path, "BEGIN IMMEDIATE"):
            assert contention(str(path)) is Contention.OTHERS
    assert not bundled.processes()


async def test_opcodes_are_counted(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20_000)
    connection = await MeteredConnection.open(connection_uri(str(path)), LockWait(5), factory=BundledConnection)
    try:
        await connection.aio.execute_fetchall("REINDEX")
        assert connection.opcodes > 100_000
    finally:
        await connection.close()


def test_a_handler_after_no_opcodes_is_none_as_with_the_library_of_the_system(tmp_path: Path) -> None:
    ticks = list[int]()

    def tick() -> int:
        ticks.append(1)
        return 0

    uri = connection_uri(str(make_database(tmp_path / "a.db", rows=20)))
    with closing(BundledConnection(uri, lambda db: db.set_progress_handler(tick, 0))) as db:
        assert db.execute("SELECT min(1) FROM item, item").fetchall() == [(1,)]
    assert ticks == []


@MODES
@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")
def test_a_full_disk_harms_nothing(tmp_path: Path, mode: str) -> None:
    path = make_database(tmp_path / "template.db", rows=20_000, journal_mode=mode)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("VACUUM")
    refused, forced = endings(
        tmp_path,
        path,
        [Operation.REINDEX],
        disk=path.stat().st_size + 100_000,
        temporary=50_000_000,
        in_memory=True,
        library=BUNDLED,
    )
    assert (refused.status, refused.reason) == (Status.FAILED, Reason.REFUSED)
    assert (forced.status, forced.reason, forced.left) == (Status.FAILED, Reason.OPERATION_ERROR, ())
    assert forced.unharmed
    assert "the disk is full; the step was rolled back" in forced.said


def test_r32_a_library_that_does_not_say_its_version_is_waited_for_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bundled, "_ANSWERS_WITHIN", 0.05)
    monkeypatch.setattr(bundled, "_command", lambda: (sys.executable, "-c", "import signal; signal.pause()"))
    with pytest.raises(OSError, match="does not answer"):
        bundled.bundled_library.__wrapped__()
