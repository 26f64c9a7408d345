"""What scattered order costs is measured: within its bounds, of different pages, until it is stopped."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from engine.inspection import inspector
from engine.targets.sqlite.reading import read_times
from engine.targets.sqlite.reading.page_map import Root
from tests.sqlite_files import content, files_beside

ROWS = 20_000


@pytest.fixture
def scattered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table in order, and one of random keys, the more scattered."""
    monkeypatch.setattr(read_times, "LONGEST", 600.0)
    path, chance = tmp_path / "a.db", random.Random(1)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript("PRAGMA page_size = 1024; PRAGMA synchronous = OFF; BEGIN; CREATE TABLE t(id INTEGER, a)")
        db.execute("CREATE TABLE mixed(k TEXT PRIMARY KEY) WITHOUT ROWID")
        db.executemany("INSERT INTO t VALUES (?, ?)", ((number, "x" * 50) for number in range(ROWS)))
        db.executemany("INSERT INTO mixed VALUES (?)", ((chance.randbytes(20).hex(),) for _ in range(ROWS)))
        db.execute("COMMIT")
    return path


def roots_of(path: Path) -> list[Root]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, rootpage FROM sqlite_schema").fetchall()
    return [Root(name, page, is_index=False) for name, page in rows]


async def test_as_many_pages_are_read_in_both_orders_of_the_most_scattered_one(scattered: Path) -> None:
    before = content(scattered)
    found = await inspector.read_times(str(scattered))
    assert found is not None
    assert (found.name, found.page_size) == ("mixed", 1024)
    assert found.in_key_order.pages >= read_times.FEWEST
    assert found.in_file_order.pages > found.in_key_order.pages / 2
    assert min(found.in_key_order.seconds, found.in_file_order.seconds) > 0
    assert content(scattered) == before
    assert files_beside(scattered) == {"a.db"}


async def test_the_one_that_the_map_names_is_measured(scattered: Path) -> None:
    """It has the most pages out of order, though a smaller one has a larger share of them, and wider gaps."""
    with closing(sqlite3.connect(scattered, isolation_level=None)) as db:
        db.executescript("BEGIN; CREATE TABLE one(a); CREATE TABLE other(a)")
        for _ in range(3 * ROWS):
            db.execute("INSERT INTO one VALUES (zeroblob(50))")
            db.execute("INSERT INTO other VALUES (zeroblob(50))")
        db.execute("COMMIT")
    mapped = await inspector.page_map(str(scattered))
    named = max(mapped.objects, key=lambda one: one.jumps)
    assert named.name != "mixed"
    found = await inspector.read_times(str(scattered))
    assert found is not None
    assert found.name == named.name


def test_no_page_is_read_twice(scattered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = list[int]()
    one_order = read_times._Reader.read_piece

    def read_piece(reader: read_times._Reader, done: set[int], stop: threading.Event) -> None:
        before, known = reader.pages, set(done)
        one_order(reader, done, stop)
        assert reader.pages - before == len(done - known)
        pages.extend(done - known)

    monkeypatch.setattr(read_times._Reader, "read_piece", read_piece)
    with scattered.open("rb") as file:
        found = read_times.read_times(file.fileno(), None, roots_of(scattered), threading.Event())
    assert found is not None
    assert len(pages) == len(set(pages)) == found.in_key_order.pages + found.in_file_order.pages


def test_no_more_is_read_than_allowed(scattered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_times, "MOST", 200 * 1024)
    with scattered.open("rb") as file:
        found = read_times.read_times(file.fileno(), None, roots_of(scattered), threading.Event())
    assert found is not None
    assert max(found.in_key_order.pages, found.in_file_order.pages) <= 200


def test_what_is_stopped_reads_no_further_page(scattered: Path) -> None:
    stop = threading.Event()
    stop.set()
    with scattered.open("rb") as file:
        assert read_times.read_times(file.fileno(), None, roots_of(scattered), stop) is None


async def test_a_cancel_stops_it(scattered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    has_begun, was_stopped = threading.Event(), threading.Event()

    def endless(reader: read_times._Reader, done: set[int], stop: threading.Event) -> None:
        has_begun.set()
        if stop.wait(0.01):
            was_stopped.set()

    monkeypatch.setattr(read_times._Reader, "read_piece", endless)
    measuring = asyncio.create_task(inspector.read_times(str(scattered)))
    await asyncio.to_thread(has_begun.wait)
    measuring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await measuring
    assert was_stopped.is_set()


async def test_small_ones_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t(a)")
    assert await inspector.read_times(str(path)) is None


def test_the_disk_tells_what_it_delivered(scattered: Path) -> None:
    with scattered.open("rb") as file:
        found = read_times.read_times(file.fileno(), None, roots_of(scattered), threading.Event())
    assert found is not None
    is_counted = os.access("/proc/self/io", os.R_OK)
    for reading in (found.in_key_order, found.in_file_order):
        assert (reading.from_disk is not None) == is_counted
