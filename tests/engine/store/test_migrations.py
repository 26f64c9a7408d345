"""A store of an older version is upgraded with all its data, also while others have it open."""

from __future__ import annotations

import signal
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import StoreError
from engine.store.sqlite import connections, schema
from engine.store.sqlite.writer import begin_immediate
from tests.engine.processes import python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# #1 is over, #2 runs and was asked to stop, #3 is pending.
CONTENT = """
INSERT INTO parent_job (target, target_key, engine, operations, options, created_at, changed_at)
    SELECT 'sqlite:///' || value || '.db', value, 'sqlite', '["vacuum", "analyze"]',
        '{"lock_timeout": 5.0, "on_failure": "continue"}', 1, 1
    FROM json_each('["sales", "stock", "staff"]');
INSERT INTO child_job (parent_id, ordinal, target_key, operation, changed_at)
    SELECT id, 1, target_key, 'vacuum', 1 FROM parent_job UNION SELECT id, 2, target_key, 'analyze', 1 FROM parent_job;
UPDATE child_job SET status = 'running', owner = 'gone', attempt = 1, started_at = 2, changed_at = 2
    WHERE parent_id < 3 AND ordinal = 1;
UPDATE parent_job SET status = 'running', started_at = 2, changed_at = 2 WHERE id < 3;
INSERT INTO log (parent_id, ordinal, attempt, number, at, level, message) VALUES (1, 1, 1, 1, 3, 'warning', 'it grew');
UPDATE child_job SET status = 'completed', owner = NULL, finished_at = 3, changed_at = 3, warnings = '["it"]',
    before = '{"size": 9}', after = '{"size": 4}' WHERE parent_id = 1 AND ordinal = 1;
UPDATE child_job SET status = 'skipped', reason = 'not_needed', finished_at = 3, changed_at = 3
    WHERE parent_id = 1 AND ordinal = 2;
UPDATE parent_job SET status = 'completed', finished_at = 3, changed_at = 3 WHERE id = 1;
UPDATE child_job SET cancel_requested_at = 4, changed_at = 4 WHERE parent_id = 2 AND ordinal = 1;
"""
# The next version adds a column, and makes a table anew to which triggers write.
NEXT = """
ALTER TABLE child_job ADD COLUMN note TEXT NOT NULL DEFAULT 'none';
CREATE TABLE new_log AS SELECT * FROM log;
DROP TABLE log;
ALTER TABLE new_log RENAME TO log;
CREATE INDEX log_at ON log (at);
CREATE TABLE new_event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, parent_id INTEGER, ordinal INTEGER, kind TEXT, old TEXT,
    new TEXT, attempt INTEGER);
INSERT INTO new_event SELECT * FROM event;
DROP TABLE event;
ALTER TABLE new_event RENAME TO event;
"""
UPGRADE = f"""
from engine.store.sqlite import connections, schema
both = [*schema.migrations(), '''{NEXT}''']
schema.migrations = lambda: both
"""
OLD, NEW = schema.FIRST_VERSION, schema.FIRST_VERSION + 1
TABLES = ("parent_job", "child_job", "log", "event", "last_run")


@pytest.fixture
def old(store_path: Path) -> Iterator[sqlite3.Connection]:
    """A store of this version with content, and a process of this version that has it open."""
    connections.create_file(store_path)
    with closing(connections.connect_writer(store_path)) as connection:
        connection.executescript(CONTENT)
        yield connection


@pytest.fixture
def next_version(old: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on this program has it; `old` has not."""
    assert version(old) == OLD
    both = [*schema.migrations(), NEXT]
    monkeypatch.setattr(schema, "migrations", lambda: both)


def content(file: sqlite3.Connection) -> dict[str, list[tuple[object, ...]]]:
    rows = {table: file.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}
    if version(file) == NEW:
        rows["child_job"] = [row[:-1] for row in rows["child_job"]]
    return rows


def version(file: sqlite3.Connection) -> int:
    return int(file.execute("PRAGMA user_version").fetchone()[0])


def assert_whole(file: sqlite3.Connection) -> None:
    assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert file.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.usefixtures("next_version")
def test_r28_an_upgraded_store_keeps_all_that_is_in_it_and_numbers_changes_on(
    store_path: Path, old: sqlite3.Connection
) -> None:
    before = content(old)
    assert {len(rows) > 0 for rows in before.values()} == {True}
    with closing(connections.connect_writer(store_path)) as new:
        assert version(new) == NEW
        assert content(new) == before
        (last,) = new.execute("SELECT max(seq) FROM event").fetchone()
        new.execute("UPDATE child_job SET status = 'running', owner = 'me' WHERE parent_id = 3 AND ordinal = 1")
        assert new.execute("SELECT max(seq) FROM event").fetchone() == (last + 1,)
        assert_whole(new)


@pytest.mark.usefixtures("next_version")
def test_r28_a_process_of_the_older_version_works_on_after_the_upgrade(
    store_path: Path, old: sqlite3.Connection
) -> None:
    connections.connect_writer(store_path).close()
    old.execute("UPDATE child_job SET status = 'running', owner = 'old' WHERE parent_id = 3 AND ordinal = 1")
    with pytest.raises(sqlite3.IntegrityError, match="illegal transition"):
        old.execute(
            "UPDATE child_job SET status = 'running', owner = 'old', finished_at = NULL"
            " WHERE parent_id = 1 AND ordinal = 1"
        )
    assert_whole(old)


@pytest.mark.usefixtures("next_version")
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
    assert version(old) == NEW


@pytest.mark.usefixtures("next_version")
def test_r28_an_upgrade_that_another_process_never_lets_through_is_an_error_in_words(
    store_path: Path, old: sqlite3.Connection
) -> None:
    old.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked by another"):
        connections.connect_writer(store_path, timeout=0)
    old.execute("COMMIT")
    assert version(old) == OLD


async def test_r28_processes_that_upgrade_at_once_all_succeed(store_path: Path, old: sqlite3.Connection) -> None:
    script = f"""{UPGRADE}
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
    assert version(old) == NEW
    assert_whole(old)


async def test_r28_an_upgrade_that_is_killed_leaves_the_old_version_or_the_new_one(
    store_path: Path, old: sqlite3.Connection
) -> None:
    """SIGKILL in a real process, at every twelfth statement of the migration, until it is through."""
    script = f"""{UPGRADE}
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
    while version(old) == OLD:
        with python(script, store_path, 1 + 12 * killed) as process:
            assert await process.ended() in {0, -signal.SIGKILL}
        killed += 1
        assert version(old) in {OLD, NEW}
        assert content(old) == before
        assert_whole(old)
    assert killed > 3


@pytest.mark.parametrize("number", [1, 41])
def test_a_store_of_before_the_first_release_is_refused_and_not_touched(
    store_path: Path, old: sqlite3.Connection, number: int
) -> None:
    old.execute(f"PRAGMA user_version = {number}")
    before = content(old)
    for connect in (connections.connect_writer, connections.connect_read_only):
        with pytest.raises(StoreError, match="before the first release") as refused:
            connect(store_path)
        assert "--store" in refused.value.hint
    assert version(old) == number
    assert content(old) == before


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
