"""The page cache is read and filled through SQLite's own descriptor, and its locks stay."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event

import pytest

from engine.targets.sqlite.system.page_cache import cached_share, descriptors, read_ahead, worth_reading_ahead
from tests.engine.targets.sqlite.another_process import another_process
from tests.scratch import DISK
from tests.sqlite_files import make_database, transaction

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what they cache")

MB = 1_000_000
SIZE = 32 * MB
REFUSED = """
import sqlite3, sys
try: sqlite3.connect(sys.argv[1], timeout=0).execute("BEGIN IMMEDIATE")
except sqlite3.OperationalError: print("ready", flush=True)
else: sys.exit("our lock is gone")
sys.stdin.read()
"""


@contextmanager
def cold_file() -> Iterator[int]:
    """The descriptor of a file on a disk, of which less than half is in the page cache."""
    with tempfile.NamedTemporaryFile(dir=DISK) as file:
        file.write(os.urandom(SIZE))
        file.flush()
        os.fsync(file.fileno())
        for _ in range(100):  # the system need not obey at once
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            share = cached_share(file.fileno(), SIZE)
            if share is None:
                pytest.skip("this file system does not tell what is cached")
            if share < 0.5:
                break
        else:
            pytest.skip("this file system keeps what it has")
        yield file.fileno()


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_every_connection_to_the_file_has_its_descriptor_and_no_other_file_counts(
    tmp_path: Path, journal_mode: str
) -> None:
    path, other = (make_database(tmp_path / name, rows=20, journal_mode=journal_mode) for name in ("a.db", "b.db"))
    assert descriptors(str(path)) == ()
    with transaction(other, "DEFERRED"), transaction(path, "DEFERRED"):
        (first,) = descriptors(str(path))
        with transaction(path, "DEFERRED"):
            both = descriptors(str(path))
        assert len(both) == 2
        assert first in both
        assert os.path.samestat(os.fstat(first), path.stat())
        path.rename(tmp_path / "moved.db")
        assert descriptors(str(path)) == ()


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_our_locks_survive_it_all(tmp_path: Path, journal_mode: str) -> None:
    path = make_database(tmp_path / "a.db", rows=200, journal_mode=journal_mode)
    size = path.stat().st_size
    with transaction(path, "IMMEDIATE"):
        (descriptor,) = descriptors(str(path))
        cached_share(descriptor, size)
        read_ahead(descriptor, size, Event(), lambda done: None)
        with another_process(path, program=REFUSED):
            pass


def test_a_cold_file_is_told_from_one_that_was_read_ahead() -> None:
    with cold_file() as descriptor:
        told: list[int] = []
        read_ahead(descriptor, SIZE, Event(), told.append)
        again = 0
        while cached_share(descriptor, SIZE) != 1:  # the system may have had other use for its memory meanwhile
            assert (again := again + 1) < 10
            read_ahead(descriptor, SIZE, Event(), lambda _: None)
        assert told == sorted(told)
        assert len(told) > 2
        assert told[-1] == SIZE


def test_looking_does_not_warm_what_is_looked_at_next() -> None:
    with cold_file() as descriptor:
        for _ in range(5):
            share = cached_share(descriptor, SIZE)
            assert share is not None
            assert share < 0.6


def test_a_part_that_is_cached_counts_as_that_part() -> None:
    with cold_file() as descriptor:
        before = cached_share(descriptor, SIZE)
        os.pread(descriptor, SIZE // 2, SIZE // 2)
        after = cached_share(descriptor, SIZE)
    assert before is not None
    assert after is not None
    assert after > before
    assert after >= 0.5


def test_reading_ahead_stops_between_two_chunks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    stop = Event()
    told: list[int] = []

    def stop_at_the_second(done: int) -> None:
        told.append(done)
        if len(told) == 2:
            stop.set()

    with path.open("rb") as file:
        read_ahead(file.fileno(), SIZE, stop, stop_at_the_second)
        assert len(told) == 2
        read_ahead(file.fileno(), SIZE, stop, told.append)
        assert len(told) == 2


def test_reading_ahead_ends_where_the_file_does_or_the_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    told: list[int] = []
    with path.open("rb") as file:
        read_ahead(file.fileno(), SIZE, Event(), told.append)
    assert told == [1000]
    reading, writing = os.pipe()  # what a number may stand for once its connection was closed
    try:
        read_ahead(reading, SIZE, Event(), told.append)
        assert cached_share(reading, SIZE) is None
    finally:
        os.close(reading)
        os.close(writing)
    assert told == [1000]


def test_of_an_empty_file_nothing_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        (descriptor,) = descriptors(str(path))
        assert cached_share(descriptor, 0) is None


@pytest.mark.parametrize(
    ("size", "cached", "memory", "worth"),
    [
        (1500 * MB, 0.0, 8000 * MB, True),
        (1500 * MB, 0.74, 8000 * MB, True),
        (1500 * MB, 0.75, 8000 * MB, False),
        (1500 * MB, 0.0, 3000 * MB, True),
        (1500 * MB, 0.0, 2999 * MB, False),
        (16 * MB, 0.0, 8000 * MB, True),
        (16 * MB - 1, 0.0, 8000 * MB, False),
        (1500 * MB, None, 8000 * MB, False),
        (1500 * MB, 0.0, None, False),
    ],
)
def test_only_a_large_cold_file_that_fits_is_worth_it(
    size: int, cached: float | None, memory: int | None, worth: bool
) -> None:
    assert worth_reading_ahead(size, cached, memory) is worth
