"""Who has a database open, whether locked or not."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from engine.system.lock_holders import is_locked
from engine.targets.sqlite.system.openers import is_only_opener, lock_holder, openers
from engine.targets.sqlite.system.page_cache import descriptors
from tests.engine.targets.sqlite.another_process import another_process
from tests.sqlite_files import make_database

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell who has a file open")


def pids(path: Path) -> tuple[int, ...]:
    found = openers(str(path))
    assert found is not None
    return found.pids


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_an_idle_connection_is_seen_and_our_own_is_not(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    with closing(sqlite3.connect(path)) as ours:
        ours.execute("SELECT count(*) FROM item").fetchall()
        assert pids(path) == ()
        with another_process(path, "SELECT count(*) FROM item") as pid:
            assert pids(path) == (pid,)
        assert pids(path) == ()


def test_a_file_of_the_same_name_is_another_file(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path, other = (make_database(tmp_path / part / "a.db", rows=20) for part in (".", "other"))
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with another_process(path, "SELECT count(*) FROM item") as pid:
        assert pids(other) == ()
        assert pids(link) == (pid,)


@pytest.mark.parametrize("statement", ["SELECT * FROM item", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_the_kernel_names_a_process_that_holds_locks_and_not_this_one(
    tmp_path: Path, journal_mode: str, statement: str
) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    with closing(sqlite3.connect(path, isolation_level=None)) as ours:
        ours.execute("SELECT count(*) FROM item").fetchall()
        (descriptor,) = descriptors(str(path))
        with another_process(path, statement) as pid:
            assert lock_holder(descriptor) == pid
        ours.execute("BEGIN IMMEDIATE")
        assert lock_holder(descriptor) is None


def test_an_open_database_without_locks_has_no_holder(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    with closing(sqlite3.connect(path)) as ours:
        ours.execute("SELECT count(*) FROM item").fetchall()
        (descriptor,) = descriptors(str(path))
        with another_process(path, "SELECT count(*) FROM item"):
            assert lock_holder(descriptor) is None


def test_an_answer_is_complete_only_where_every_process_can_be_looked_into(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=20)
    found = openers(str(path))
    assert found is not None
    everything = Path("/proc/self/ns/pid").readlink() == Path("pid:[4026531836]")
    for process in Path("/proc").glob("[0-9]*"):
        everything = everything and _can_look_into(process)
    assert found.complete == everything


def _can_look_into(process: Path) -> bool:
    try:
        for descriptor in (process / "fd").iterdir():
            with suppress(FileNotFoundError):
                descriptor.readlink()
    except PermissionError:
        return False
    except OSError:  # it has ended
        return True
    return True


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_the_kernel_vouches_for_nobody_else_and_our_locks_stay(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=20, journal_mode=journal_mode)
    with closing(sqlite3.connect(path, isolation_level=None)) as ours:
        ours.execute("SELECT count(*) FROM item").fetchall()
        (descriptor,) = descriptors(str(path))
        assert is_only_opener(descriptor)
        with another_process(path, "SELECT count(*) FROM item"):
            assert not is_only_opener(descriptor)
        ours.execute("BEGIN IMMEDIATE")
        assert is_only_opener(descriptor)
        assert is_locked(str(path))
        with closing(sqlite3.connect(path)) as another:
            another.execute("SELECT count(*) FROM item").fetchall()
            assert not is_only_opener(descriptor)


def test_what_is_no_open_file_is_vouched_for_by_nobody() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert not is_only_opener(reading)
    assert not is_only_opener(writing)
    os.close(reading)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        openers(str(tmp_path / "a.db"))
