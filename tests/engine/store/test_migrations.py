"""A store of an older version is upgraded with all its data, also while others have it open."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Report
from engine.domain.errors import StoreError
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.store.sqlite import connections, schema
from engine.store.sqlite.store import SqliteStore
from engine.store.sqlite.writer import begin_immediate
from tests.building import CANCELLED, COMPLETED, new_job
from tests.engine.processes import python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION = len(schema.migrations())
# As the first version wrote it: #1 is over, #2 runs and was asked to stop, #3 was handed back, #4 is pending.
VERSION_ONE = """
INSERT INTO parent_job (target, target_key, engine, operations, options, created_at, changed_at)
    SELECT 'sqlite:///' || value || '.db', value, 'sqlite', '["vacuum", "analyze"]',
        '{"lock_timeout": 5.0, "on_failure": "continue"}', 1, 1
    FROM json_each('["sales", "stock", "staff", "shop"]');
INSERT INTO child_job (parent_id, ordinal, target_key, operation, changed_at)
    SELECT id, 1, target_key, 'vacuum', 1 FROM parent_job UNION SELECT id, 2, target_key, 'analyze', 1 FROM parent_job;
UPDATE child_job SET status = 'running', owner = 'gone', attempt = 1, started_at = 2, changed_at = 2
    WHERE parent_id < 4 AND ordinal = 1;
UPDATE parent_job SET status = 'running', started_at = 2, changed_at = 2 WHERE id < 4;
INSERT INTO step VALUES (1, 1, 1, 1, 'main', 'VACUUM', 'completed', 2, 3, NULL);
INSERT INTO log VALUES (1, 1, 1, 1, 3, 'warning', 'it did not shrink');
UPDATE child_job SET status = 'completed', owner = NULL, finished_at = 3, changed_at = 3, warnings = '["it"]',
    before = '{"size": 9}', after = '{"size": 4}' WHERE parent_id = 1 AND ordinal = 1;
UPDATE child_job SET status = 'skipped', reason = 'not_needed', finished_at = 3, changed_at = 3
    WHERE parent_id = 1 AND ordinal = 2;
UPDATE parent_job SET status = 'completed', finished_at = 3, changed_at = 3 WHERE id = 1;
UPDATE child_job SET cancel_requested_at = 4, changed_at = 4 WHERE parent_id = 2 AND ordinal = 1;
UPDATE child_job SET status = 'pending', owner = NULL, max_attempts = 3, fraction = 0.5, object = 'main', changed_at = 5
    WHERE parent_id = 3 AND ordinal = 1;
INSERT INTO worker VALUES ('gone', 1, 'here', 1);
"""
COLUMNS = {
    "parent_job": "id, target, target_key, operations, options, status, created_at, changed_at, started_at,"
    " finished_at",
    "child_job": "parent_id, ordinal, target_key, operation, status, reason, warnings, attempt, max_attempts, owner,"
    " changed_at, finished_at, cancel_requested_at, before, after",
    "step": "parent_id, ordinal, attempt, number, object, command, status, started_at, finished_at, error",
    "log": "parent_id, ordinal, attempt, number, at, level, message",
    "event": "*",
    "worker": "id, pid, host, started_at",
}


def open_version_one(path: Path) -> sqlite3.Connection:
    """A writing connection, as a process of the first version has it."""
    connections.create_file(path)
    first = schema.migrations()[:1]
    later = (" ON firing ", " last_run ")  # that version had no such tables
    triggers = [sql for sql in schema.triggers() if not any(table in sql for table in later)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: first)
        patch.setattr(schema, "triggers", lambda: triggers)
        return connections.connect_writer(path)


@pytest.fixture
def old(store_path: Path) -> Iterator[sqlite3.Connection]:
    """A store of the first version with content, and a process of that version that has it open."""
    with closing(open_version_one(store_path)) as connection:
        connection.executescript(VERSION_ONE)
        yield connection


def content(file: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {table: file.execute(f"SELECT {names} FROM {table}").fetchall() for table, names in COLUMNS.items()}


def version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def assert_whole(file: sqlite3.Connection) -> None:
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []


def test_r28_a_store_of_the_first_version_keeps_all_that_is_in_it(store_path: Path, old: sqlite3.Connection) -> None:
    before = content(old)
    assert {len(rows) > 0 for rows in before.values()} == {True}
    with closing(connections.connect_writer(store_path)) as new:
        assert version(new) == VERSION
        assert content(new) == before
        assert_whole(new)
        made = {sql for (sql,) in new.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")}
        assert made == set(schema.triggers())


def test_r28_an_upgraded_store_knows_the_kind_of_old_steps(store_path: Path, old: sqlite3.Connection) -> None:
    old.execute("INSERT INTO step VALUES (1, 1, 1, 2, 'i', 'REINDEX INDEX i', 'completed', 2, 3, NULL)")
    old.execute("INSERT INTO step VALUES (1, 1, 1, 3, 't', 'ANALYZE t', 'completed', 2, 3, NULL)")
    with closing(connections.connect_writer(store_path)) as new:
        kinds = new.execute("SELECT operation FROM step ORDER BY number").fetchall()
        assert kinds == [("vacuum",), ("reindex",), (None,)]


def test_r28_an_upgraded_store_knows_which_errors_of_old_steps_are_findings(
    store_path: Path, old: sqlite3.Connection
) -> None:
    old.execute("UPDATE child_job SET operation = 'check' WHERE parent_id = 1 AND ordinal = 1")
    finding, command = "row 5 missing from index i", "PRAGMA main.quick_check"
    for number, error in enumerate((finding, f"{finding}, the first of 2 findings", "database is locked"), 2):
        old.execute("INSERT INTO step VALUES (1, 1, 1, ?, 't', ?, 'failed', 2, 3, ?)", (number, command, error))
    old.execute("INSERT INTO log VALUES (1, 1, 1, 9, 2, 'error', ?)", (finding,))
    with closing(connections.connect_writer(store_path)) as new:
        flags = new.execute("SELECT error_is_finding FROM step ORDER BY number").fetchall()
        assert flags == [(0,), (1,), (1,), (0,)]


def test_r28_an_upgraded_store_has_the_very_schema_of_a_new_one(
    store_path: Path, tmp_path: Path, old: sqlite3.Connection
) -> None:
    fresh_path = tmp_path / "fresh.db"
    connections.create_file(fresh_path)
    everything = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    with (
        closing(connections.connect_writer(store_path)) as upgraded,
        closing(connections.connect_writer(fresh_path)) as fresh,
    ):
        assert upgraded.execute(everything).fetchall() == fresh.execute(everything).fetchall()


async def test_r28_changes_are_numbered_on_after_an_upgrade(store_path: Path, old: sqlite3.Connection) -> None:
    (last,) = old.execute("SELECT max(seq) FROM event").fetchone()
    async with SqliteStore.open(store_path) as store:
        assert store.last_change() == last
        await store.submit([new_job("fresh", Operation.VACUUM)], OnDuplicate.REFUSE)
        assert [change.seq for change in await store.changes(last, 9)] == [last + 1, last + 2]
        assert [change.seq for change in await store.changes(0, 999)] == list(range(1, last + 3))


async def test_r28_jobs_of_the_first_version_go_on_where_they_were(store_path: Path, old: sqlite3.Connection) -> None:
    async with SqliteStore.open(store_path) as store:
        assert await store.rescue() == [JobId(2, 1)]
        asked_to_stop = (await store.job(2)).children[0]
        assert (asked_to_stop.status, asked_to_stop.recovering) == (Status.PENDING, True)
        handed_back = (await store.job(3)).children[0]
        assert (handed_back.attempts, handed_back.started_at, handed_back.progress.fraction) == ((), None, None)
        while claim := await store.claim("me"):
            assert claim.recovering is (Reason.CANCELLED_BY_USER if claim.job == JobId(2, 1) else None)
            await store.finish(claim, CANCELLED if claim.recovering else COMPLETED, Report())
        statuses = [parent.status for parent in await store.jobs([1, 2, 3, 4])]
        assert statuses == [Status.COMPLETED, Status.CANCELLED, Status.COMPLETED, Status.COMPLETED]
        assert [attempt.number for attempt in (await store.job(3)).children[0].attempts] == [2]
        assert (await store.job(1)).children[0].log[0].message == "it did not shrink"


async def test_r28_a_process_of_the_first_version_works_on_after_the_upgrade(
    store_path: Path, old: sqlite3.Connection
) -> None:
    """Its statements, prepared before the upgrade, still do what they did; the triggers watch over them."""
    ask_to_stop = "UPDATE child_job SET cancel_requested_at = ?1, changed_at = ?1 WHERE parent_id = ?2 AND owner = ?3"
    finish = "UPDATE child_job SET status = ?, owner = NULL, finished_at = 9 WHERE parent_id = ? AND owner = ?"
    old.execute(ask_to_stop, (1, 999, "nobody"))
    old.execute(finish, ("completed", 999, "nobody"))
    old.execute("BEGIN")
    assert old.execute("SELECT count(*) FROM parent_job").fetchone() == (4,)  # it reads while the other upgrades
    async with SqliteStore.open(store_path) as store:
        old.execute("COMMIT")
        claim = await store.claim("new")
        assert claim is not None
        assert old.execute(ask_to_stop, (8, claim.job.parent, "new")).rowcount == 1
        assert await store.rescue() == [JobId(2, 1), claim.job]
        (child, _) = (await store.job(claim.job.parent)).children
        assert (child.status, child.recovering) == (Status.PENDING, True)
        old.execute("INSERT INTO worker (id, pid, host, started_at) VALUES ('old', 2, 'here', 8)")
        old.execute(
            "UPDATE child_job SET status = 'running', owner = 'old', attempt = 1 WHERE parent_id = 4 AND ordinal = 1"
        )
        assert old.execute(finish, ("completed", 4, "old")).rowcount == 1
        with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
            old.execute("UPDATE child_job SET status = 'running', owner = 'old' WHERE parent_id = 4 AND ordinal = 1")
        assert (await store.job(4)).children[0].status is Status.COMPLETED
    assert_whole(old)


def test_r28_an_upgrade_waits_for_a_write_of_another_process(
    store_path: Path, old: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, upgraded = threading.Event(), threading.Event()

    def try_to_begin(connection: sqlite3.Connection, timeout: float) -> None:
        tries.set()
        begin_immediate(connection, timeout)

    def upgrade() -> None:
        connections.connect_writer(store_path).close()
        upgraded.set()

    monkeypatch.setattr(connections, "begin_immediate", try_to_begin)
    old.execute("BEGIN IMMEDIATE")
    thread = threading.Thread(target=upgrade)
    thread.start()
    tries.wait()
    assert not upgraded.is_set()
    old.execute("COMMIT")
    thread.join()
    assert version(old) == VERSION


def test_r28_an_upgrade_that_another_process_never_lets_through_is_an_error_in_words(
    store_path: Path, old: sqlite3.Connection
) -> None:
    old.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another"):
        connections.connect_writer(store_path, timeout=0)
    old.execute("COMMIT")
    assert version(old) == 1


async def test_r28_processes_that_upgrade_at_once_all_succeed(store_path: Path, old: sqlite3.Connection) -> None:
    script = """
        from engine.store.sqlite import connections
        print("ready", flush=True)
        sys.stdin.readline()
        connections.connect_writer(Path(sys.argv[1])).close()
    """
    with python(script, store_path) as one, python(script, store_path) as two, python(script, store_path) as three:
        processes = [one, two, three]
        assert [await process.says() for process in processes] == ["ready"] * 3
        for process in processes:
            process.tell("go")
        assert [await process.ended() for process in processes] == [0, 0, 0]
    assert version(old) == VERSION
    assert_whole(old)


async def test_r28_an_upgrade_that_is_killed_leaves_the_old_version_or_the_new_one(
    store_path: Path, old: sqlite3.Connection
) -> None:
    """SIGKILL in a real process, at every twelfth statement of the migration, until it is through."""
    script = """
        import sqlite3
        from engine.store.sqlite import connections, schema

        count = 0
        def trace(statement):
            global count
            count += 1
            if count == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)

        migrate = schema.migrate
        def traced(connection, path):
            connection.set_trace_callback(trace)
            migrate(connection, path)

        connections.migrate = traced
        connections.connect_writer(Path(sys.argv[1])).close()
    """
    before, killed = content(old), 0
    while version(old) == 1:
        with python(script, store_path, 1 + 12 * killed) as process:
            assert await process.ended() in {0, -signal.SIGKILL}
        killed += 1
        assert version(old) in {1, VERSION}
        assert content(old) == before
        assert_whole(old)
    assert killed > 3


async def test_the_last_end_of_each_operation_is_found_in_the_history(
    old: sqlite3.Connection, store_path: Path
) -> None:
    async with SqliteStore.open(store_path) as store:
        found = {run.target: run for run in (await store.overview()).runs if run.operation is Operation.VACUUM}
        last = (await store.last_jobs(["sqlite:///sales.db"]))["sqlite:///sales.db"]
    assert last is not None
    assert last.ran_until == 3
    run = found["sqlite:///sales.db"]
    assert (run.status, run.finished_at, run.completed_at) == (Status.COMPLETED, 3, 3)


@pytest.mark.parametrize("begun", [1, 2, 3])
def test_a_store_that_another_process_creates_meanwhile_is_one(tmp_path: Path, begun: int) -> None:
    path, asked = tmp_path / "jobs.db", 0

    def create_at_that_one(_: str) -> None:
        nonlocal asked
        asked += 1
        if asked == begun:
            with closing(sqlite3.connect(path)) as other, other:
                other.execute("BEGIN")
                schema.migrate(other, str(path))

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(create_at_that_one)
        assert schema.is_current(connection, str(path)) in {True, False}
        connection.set_trace_callback(None)
        assert schema.is_current(connection, str(path))
