"""The writer thread: whole transactions, none mixed with another, whatever happens around them."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.domain.errors import StoreError
from engine.store.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[Writer]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(tmp_path / "w.db", isolation_level=None, timeout=0)
        connection.execute("PRAGMA journal_mode = WAL")  # as the store: without it a COMMIT may find others reading
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
        return connection

    writer = Writer(connect)
    await writer.open()
    yield writer
    await writer.close()


def insert(value: int) -> Callable[[sqlite3.Connection], int]:
    return lambda c: c.execute("INSERT INTO t VALUES (?)", (value,)).rowcount


async def rows(writer: Writer) -> list[int]:
    return await writer.run(lambda c: [x for (x,) in c.execute("SELECT x FROM t ORDER BY rowid")])


async def test_transactions_run_in_the_order_they_were_queued(writer: Writer) -> None:
    await asyncio.gather(*[writer.run(insert(n)) for n in range(1000)])
    assert await rows(writer) == list(range(1000))


async def test_one_that_fails_leaves_the_others_of_its_group(writer: Writer) -> None:
    def fails(c: sqlite3.Connection) -> None:
        c.execute("INSERT INTO t VALUES (99)")
        raise ValueError("no")

    results = await asyncio.gather(
        writer.run(insert(1)),
        writer.run(fails),
        writer.run(insert(2)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, ValueError, int]
    assert await rows(writer) == [1, 2]


async def test_a_cancelled_wait_neither_stops_nor_splits_the_transaction(writer: Writer) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def slow(c: sqlite3.Connection) -> None:
        c.execute("INSERT INTO t VALUES (1)")
        entered.set()
        go_on.wait()
        c.execute("INSERT INTO t VALUES (2)")

    async def wait_for_it() -> None:
        await writer.run(slow)

    task = asyncio.create_task(wait_for_it())
    await asyncio.to_thread(entered.wait)
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rows(writer) == [1, 2]


async def test_one_that_a_power_failure_may_undo_waits_for_no_disk(writer: Writer) -> None:
    def level(c: sqlite3.Connection) -> int:
        (found,) = c.execute("PRAGMA synchronous").fetchone()
        return int(found)

    assert [await writer.run(level, synced=synced) for synced in (False, True, False)] == [1, 2, 1]


async def test_only_a_change_is_announced(writer: Writer) -> None:
    announced = []
    writer.on_commit = lambda: announced.append(1)
    await rows(writer)
    assert announced == []
    await writer.run(insert(1))
    await asyncio.sleep(0)
    assert announced == [1]


async def test_r26_a_write_waits_for_another_process(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused, sleep = threading.Semaphore(0), time.sleep

    def sleep_after_a_refusal(seconds: float) -> None:
        refused.release()
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", sleep_after_a_refusal)
    with closing(sqlite3.connect(tmp_path / "w.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        written = writer.run(insert(1))
        for _ in range(3):
            assert await asyncio.to_thread(refused.acquire, timeout=30)
        assert not written.done()
        other.execute("COMMIT")
        assert await written == 1


async def test_a_store_that_stays_locked_is_an_error_in_words(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0.02)
    other = sqlite3.connect(tmp_path / "w.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="kept it locked"):
        await writer.run(insert(1))
    other.execute("COMMIT")
    other.close()
    assert await rows(writer) == []


async def test_a_full_disk_is_an_error_in_words_and_the_writer_lives_on(writer: Writer) -> None:
    def fill(c: sqlite3.Connection) -> None:
        c.execute("PRAGMA max_page_count = 3")
        c.execute("INSERT INTO t SELECT randomblob(4000) FROM json_each('[1,2,3,4,5,6,7,8,9]')")

    results = await asyncio.gather(writer.run(insert(1)), writer.run(fill), return_exceptions=True)
    assert isinstance(results[1], StoreError)
    assert "disk is full" in str(results[1])
    await writer.run(lambda c: c.execute("PRAGMA max_page_count = 1000").fetchone())
    before = await rows(writer)
    await writer.run(insert(2))
    assert await rows(writer) == [*before, 2]


async def test_r23_counters_are_never_lost_between_writers(writer: Writer, tmp_path: Path) -> None:
    other = Writer(lambda: sqlite3.connect(tmp_path / "w.db", isolation_level=None, timeout=0))
    await other.open()
    await writer.run(insert(0))

    def bump(c: sqlite3.Connection) -> None:
        c.execute("UPDATE t SET x = x + 1")

    await asyncio.gather(*[each.run(bump) for _ in range(200) for each in (writer, other)])
    assert await rows(writer) == [400]
    await other.close()


class SlowOpening:
    """Opens a connection once `goes_on` is set."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.goes_on, self.closed = threading.Event(), threading.Event()

    def __call__(self) -> sqlite3.Connection:
        closed = self.closed

        class Connection(sqlite3.Connection):
            def close(self) -> None:
                super().close()
                closed.set()

        self.goes_on.wait()
        return sqlite3.connect(self._path, factory=Connection)

    async def cancelled(self) -> None:
        """An open that is cancelled before it has ended."""
        opening = asyncio.create_task(Writer(self).open())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.wait({opening})


async def test_an_open_that_is_cancelled_leaves_no_thread_and_no_error(tmp_path: Path) -> None:
    opening, errors = SlowOpening(tmp_path / "w.db"), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["message"]))
    await opening.cancelled()
    opening.goes_on.set()
    assert await asyncio.to_thread(opening.closed.wait, 30)
    await asyncio.sleep(0)
    assert errors == []


def test_an_open_that_outlives_its_loop_closes_its_connection(tmp_path: Path) -> None:
    opening = SlowOpening(tmp_path / "w.db")
    asyncio.run(opening.cancelled())
    opening.goes_on.set()
    assert opening.closed.wait(30)
