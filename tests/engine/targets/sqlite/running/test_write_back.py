"""Written pages go to the disk early, during the operation."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from engine.system.lock_holders import is_locked
from engine.targets.sqlite.running.writeback import begin_to_write, keep_writing
from engine.targets.sqlite.system.page_cache import descriptors
from tests.sqlite_files import integrity, make_database

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such call")


class Twice(Event):
    """Set when it was waited for twice."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return self.waits > 2


@linux_only
def test_what_is_written_is_on_its_way_and_our_locks_stay(tmp_path: Path) -> None:
    path = make_database(tmp_path / "a.db", rows=200)
    files = [str(path), f"{path}-journal", f"{path}-wal"]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE item SET note = hex(zeroblob(3000))")
        ours = [descriptor for file in files for descriptor in descriptors(file)]
        assert len(ours) == 2
        assert all(map(begin_to_write, ours))
        keep_writing(files, Twice())
        assert [descriptor for file in files for descriptor in descriptors(file)] == ours
        assert is_locked(str(path))
        db.execute("COMMIT")
    assert integrity(path) == []


def test_a_descriptor_that_is_closed_or_no_file_does_no_harm() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert not begin_to_write(reading)
    assert not begin_to_write(writing)
    os.close(reading)
