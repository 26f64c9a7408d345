"""The file itself refuses what must not be, whatever code writes to it."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import StoreError
from engine.domain.statuses import CHILD_TRANSITIONS, PARENT_TRANSITIONS, Reason, Status, may_follow
from engine.store.sqlite import connections
from engine.store.sqlite.liveness import proof_of_life
from engine.store.sqlite.schema import APPLICATION_ID, FIRST_VERSION, migrations, newest_version, triggers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def file(store_path: Path) -> Iterator[sqlite3.Connection]:
    connections.create_file(store_path)
    connection = connections.connect_writer(store_path)
    yield connection
    connection.close()


def add_job(file: sqlite3.Connection, **columns: object) -> None:
    parent: dict[str, object] = {
        "target": "t",
        "target_key": "k",
        "engine": "sqlite",
        "operations": '["vacuum"]',
        "options": "{}",
    }
    parent |= {"created_at": 1, "changed_at": 1}
    child: dict[str, object] = {"parent_id": 1, "ordinal": 1, "target_key": "k", "operation": "vacuum", "changed_at": 1}
    for name, value in columns.items():
        table, _, column = name.partition("__")
        (parent if table == "parent" else child)[column] = value
    for table, row in (("parent_job", parent), ("child_job", child)):
        file.execute(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("parent__type", "parent"),
        ("parent__engine", "Oracle"),
        ("parent__status", "done"),
        ("parent__operations", "[]"),
        ("parent__operations", "vacuum"),
        ("child__type", "database_maintenance"),
        ("child__operation", "drop"),
        ("child__operation", ""),
        ("child__operation", "vacuum analyze"),
        ("child__status", "done"),
        ("child__reason", "because"),
        ("child__ordinal", 0),
    ],
)
def test_r1_an_unknown_word_cannot_be_stored(file: sqlite3.Connection, column: str, value: object) -> None:
    with pytest.raises((sqlite3.IntegrityError, sqlite3.OperationalError)):
        add_job(file, **{column: value})


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_of_the_vocabulary_can_be_stored(file: sqlite3.Connection, reason: Reason) -> None:
    add_job(file, child__reason=reason)


@pytest.mark.parametrize("status", [s for s in Status if s.is_final])
def test_r13_an_end_without_a_time_cannot_be_stored(file: sqlite3.Connection, status: Status) -> None:
    add_job(file)
    file.execute("UPDATE child_job SET status = 'running', owner = 'me'")
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        file.execute("UPDATE child_job SET status = ?, owner = NULL", (status,))
    with pytest.raises(sqlite3.IntegrityError, match="CHECK"):
        file.execute("UPDATE child_job SET finished_at = 5")


def _reach(file: sqlite3.Connection, table: str, status: Status) -> None:
    if status is not Status.PENDING:
        _set(file, table, Status.RUNNING)
    if status not in {Status.PENDING, Status.RUNNING}:
        _set(file, table, status)


def _set(file: sqlite3.Connection, table: str, status: Status) -> None:
    owner = ", owner = iif(?1 = 'running', 'me', NULL)" if table == "child_job" else ""
    file.execute(f"UPDATE {table} SET status = ?1, finished_at = iif(?2, 9, NULL){owner}", (status, status.is_final))


PARENT_STATUSES = [status for status in Status if status is not Status.SKIPPED]
EVERY_PAIR = [
    (table, old, new)
    for table, statuses in (("parent_job", PARENT_STATUSES), ("child_job", list(Status)))
    for old in statuses
    for new in statuses
]


@pytest.mark.parametrize(("table", "old", "new"), EVERY_PAIR)
def test_r15_the_store_refuses_every_transition_that_is_not_in_the_table(
    file: sqlite3.Connection, table: str, old: Status, new: Status
) -> None:
    add_job(file)
    _reach(file, table, old)
    legal = may_follow(PARENT_TRANSITIONS if table == "parent_job" else CHILD_TRANSITIONS, old, new)
    if legal or old is new:
        _set(file, table, new)
    else:
        with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
            _set(file, table, new)


def test_r1_no_word_becomes_an_unknown_one(file: sqlite3.Connection) -> None:
    add_job(file)
    for change in (
        "child_job SET operation = 'drop'",
        "child_job SET reason = 'because'",
        "parent_job SET engine = ''",
    ):
        with pytest.raises(sqlite3.IntegrityError, match="unknown"):
            file.execute(f"UPDATE {change}")


def test_r15_a_job_is_born_pending(file: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="begins pending"):
        add_job(file, child__status="running", child__owner="me")


def test_r20_a_target_has_one_running_child_at_most(file: sqlite3.Connection) -> None:
    add_job(file)
    file.execute(
        "INSERT INTO child_job (parent_id, ordinal, target_key, operation, changed_at) VALUES (1, 2, 'k', 'vacuum', 1)"
    )
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        file.execute("UPDATE child_job SET status = 'running', owner = 'me'")


def test_r13_each_transition_leaves_one_event(file: sqlite3.Connection) -> None:
    add_job(file)
    _set(file, "child_job", Status.RUNNING)
    _set(file, "child_job", Status.RUNNING)
    _set(file, "child_job", Status.COMPLETED)
    events = file.execute("SELECT old, new FROM event WHERE ordinal = 1 ORDER BY seq").fetchall()
    assert events == [(None, "pending"), ("pending", "running"), ("running", "completed")]


def test_r28_the_version_says_which_migrations_a_file_has_had(file: sqlite3.Connection) -> None:
    assert file.execute("PRAGMA user_version").fetchone() == (newest_version(),)
    assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    made = {sql for (sql,) in file.execute("SELECT sql FROM sqlite_schema WHERE type = 'trigger'")}
    assert made == set(triggers())


def test_r28_a_failed_migration_leaves_the_file_as_it_was(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections.create_file(store_path)
    connections.connect_writer(store_path).close()
    monkeypatch.setattr(
        "engine.store.sqlite.schema.migrations",
        lambda: [*migrations(), "CREATE TABLE half (x);\nCREATE TABLE half (y);"],
    )
    with pytest.raises(StoreError, match="already exists"):
        connections.connect_writer(store_path)
    with sqlite3.connect(store_path) as plain:
        assert plain.execute("PRAGMA user_version").fetchone() == (FIRST_VERSION,)
        assert plain.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    plain.close()


def test_r28_an_older_file_is_upgraded_and_keeps_its_jobs(
    store_path: Path, file: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(file)
    monkeypatch.setattr(
        "engine.store.sqlite.schema.migrations", lambda: [*migrations(), "ALTER TABLE parent_job ADD COLUMN note TEXT;"]
    )
    upgraded = connections.connect_writer(store_path)
    assert upgraded.execute("SELECT id, note FROM parent_job").fetchall() == [(1, None)]
    assert upgraded.execute("PRAGMA user_version").fetchone() == (FIRST_VERSION + 1,)
    upgraded.close()


def test_r28_a_newer_file_is_refused_and_not_touched(store_path: Path, file: sqlite3.Connection) -> None:
    file.execute("PRAGMA user_version = 999")
    before = file.execute("SELECT * FROM sqlite_schema").fetchall()
    with pytest.raises(StoreError, match="newer dbtend") as refused:
        connections.connect_writer(store_path)
    assert "upgrade" in refused.value.hint
    assert file.execute("SELECT * FROM sqlite_schema").fetchall() == before


def test_another_programs_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "sales.db"
    with sqlite3.connect(path) as sales:
        sales.execute("CREATE TABLE orders (id)")
    sales.close()
    content = path.read_bytes()
    with pytest.raises(StoreError, match="a store of"):
        connections.connect_writer(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"not a database, certainly not one " * 40, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"notes\.txt"):
        connections.connect_writer(path)
    assert path.read_bytes() == content


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a directory"):
        connections.create_file(tmp_path)


def test_a_place_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="another path"):
        connections.create_file(tmp_path / "file" / "jobs.db")


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(StoreError, match="another path"):
        connections.create_file(tmp_path / "a" / "jobs.db")


def test_only_the_owner_can_read_a_new_store(tmp_path: Path) -> None:
    path = tmp_path / "state" / "jobs.db"
    usual = os.umask(0)
    try:
        connections.create_file(path)
        connections.connect_writer(path).close()
    finally:
        os.umask(usual)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _open_store(path: Path, barrier: multiprocessing.synchronize.Barrier, results: multiprocessing.Queue[str]) -> None:
    barrier.wait()
    try:
        connections.create_file(path)
        connections.connect_writer(path).close()
        results.put("ok")
    except BaseException as error:
        results.put(repr(error))


def test_r26_processes_that_open_a_new_store_at_once_all_succeed(store_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(4), context.Queue()
    processes = [context.Process(target=_open_store, args=(store_path, barrier, results)) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == ["ok"] * 4
    for process in processes:
        process.join()


def test_an_up_to_date_store_opens_while_another_process_writes(store_path: Path, file: sqlite3.Connection) -> None:
    file.execute("BEGIN IMMEDIATE")
    connections.connect_writer(store_path).close()
    file.execute("ROLLBACK")


def test_a_directory_that_is_in_the_way_of_locks_is_told_in_words(store_path: Path) -> None:
    store_path.with_name(store_path.name + ".d").touch()
    with pytest.raises(StoreError, match=r"jobs\.db\.d: "), proof_of_life(store_path, "me"):
        pass


def test_a_full_disk_at_the_first_opening_is_told_in_words(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections.create_file(store_path)
    monkeypatch.setattr(
        "engine.store.sqlite.schema.migrations",
        lambda: ["PRAGMA max_page_count = 2;\nCREATE TABLE a (x);\nCREATE TABLE b (x);\nCREATE TABLE c (x);"],
    )
    with pytest.raises(StoreError, match="disk is full"):
        connections.connect_writer(store_path)
