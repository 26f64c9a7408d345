"""A read-only engine reads everything and changes no file."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from engine import Engine, JobId, Operation, Options, Request, Retention, Status
from engine.config.model import Config
from engine.domain.errors import ErrorKind, ReadOnlyError, StoreBusyError, StoreError, StoreLostError, TargetError
from engine.domain.notifications import MessageText
from engine.store.sqlite import connections, schema
from engine.store.sqlite.store import SqliteStore
from tests.building import SQLITE_OPERATIONS
from tests.engine.processes import python
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.engine.targets.sqlite.small_disks import can_mount, in_a_world_of_its_own
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT: Final = Path(__file__).parents[2]
needs_mounts = pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here, not even with unshare")

RUNS = """
    from engine import Engine, Operation, Request

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1) as engine:
            for line in sys.stdin:
                (job,) = await engine.submit([Request(target=sys.argv[2], operations=(Operation.ANALYZE,))])
                (done,) = await engine.wait([job.id])
                print(done.status, flush=True)

    asyncio.run(main())
"""


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    return make_database(tmp_path / "sales.db", rows=50)


@pytest.fixture
async def past(store_path: Path, sales: Path) -> Path:
    """A store with a job that is over."""
    async with Engine.open(store_path, workers=1) as engine:
        (job,) = await engine.submit([Request(target=str(sales), operations=(Operation.ANALYZE,))])
        await engine.wait([job.id])
    return store_path


def everything_below(directory: Path) -> dict[str, str]:
    """Every file with its content, and when it was last written."""
    return {
        str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns} {path.stat().st_mode:o}"
        for path in directory.rglob("*")
        if path.is_file()
    }


async def test_what_would_change_something_is_refused_before_anything_is_touched(past: Path, sales: Path) -> None:
    asked = Request(target=str(sales), operations=(Operation.VACUUM,))
    refused: list[Callable[[Engine], Awaitable[Any]]] = [
        lambda engine: engine.submit([asked]),
        lambda engine: engine.submit([Request(target="nowhere.db", operations=(Operation.VACUUM,))]),
        lambda engine: engine.cancel(JobId(1)),
        lambda engine: engine.cancel(JobId(1), force=True),
        lambda engine: engine.retry(1),
        lambda engine: engine.pin(1),
        lambda engine: engine.pin(1, pinned=False),
        lambda engine: engine.pause("somebody"),
        lambda engine: engine.resume(),
        lambda engine: engine.prune(Retention()),
        lambda engine: engine.register_recipients(["ops"]),
        lambda engine: engine.notify_now(Config, lambda _: MessageText("", "", {})),
    ]
    before = everything_below(past.parent)
    async with Engine.open(past, read_only=True) as engine:
        for call in refused:
            with pytest.raises(ReadOnlyError, match="read-only") as caught:
                await call(engine)
            assert caught.value.kind is ErrorKind.READ_ONLY
    assert everything_below(past.parent) == before


@pytest.mark.parametrize("how", [{"workers": 1}, {"retention": Retention()}])
async def test_it_neither_works_nor_prunes(past: Path, how: dict[str, Any]) -> None:
    with pytest.raises(ReadOnlyError, match="cannot run jobs"):
        async with Engine.open(past, read_only=True, **how):
            pass


async def test_a_store_that_is_locked_is_waited_for_off_the_event_loop(
    past: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits goes on with other things: here, with what ends the lock."""
    refused, loop, connect = asyncio.Event(), asyncio.get_running_loop(), connections.connect_read_only

    def connect_and_tell(path: Path) -> sqlite3.Connection:
        try:
            return connect(path)
        except StoreBusyError:
            loop.call_soon_threadsafe(refused.set)
            raise

    monkeypatch.setattr(connections, "connect_read_only", connect_and_tell)

    async def look() -> int:
        async with SqliteStore.open_read_only(past) as store:
            return await store.count()

    with another_process(past, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
        looking = asyncio.create_task(look())
        await refused.wait()
        assert not looking.done()
    assert await looking == 1


async def test_every_writing_method_of_its_store_refuses(past: Path) -> None:
    async with SqliteStore.open_read_only(past) as store:
        for call in (store.rescue, store.enforce_time_limits):
            await call()  # nothing to do: they read
        with pytest.raises(ReadOnlyError, match="looked at only"):
            await store.prune_changes(before=1, limit=1)
        with pytest.raises(ReadOnlyError, match="looked at only"):
            async with store.hosting_workers():
                pass
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await store._reader.execute("DELETE FROM parent_job")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await store._reader.executescript("PRAGMA query_only = OFF; DELETE FROM parent_job")


async def test_all_looks_work_and_leave_every_file_as_it_was(past: Path, sales: Path) -> None:
    before = everything_below(past.parent)
    asked = Request(target=str(sales), operations=SQLITE_OPERATIONS, options=Options(backup_to=str(sales.parent)))
    async with Engine.open(past, read_only=True) as engine:
        assert engine.read_only
        assert engine.has_store
        assert [job.status for job in await engine.history()] == [Status.COMPLETED]
        assert [list(ids) async for ids in engine.search()] == [[1]]
        assert (await engine.job(1)).children[0].steps
        assert (await engine.open_jobs(), await engine.workers(), await engine.paused()) == ([], [], None)
        assert (await engine.wait([1]))[0].id == 1
        assert (await engine.inspect(str(sales))).operations
        assert await engine.advise(str(sales), budget=None)
        assert len((await engine.plan(asked)).operations) == len(SQLITE_OPERATIONS)
        assert await engine.prune(Retention(completed=0, keep_last=0), dry_run=True) == {Status.COMPLETED: 1}
    assert everything_below(past.parent) == before


async def test_its_plans_are_those_of_an_engine_that_may_run_them(past: Path, sales: Path) -> None:
    every_one = tuple(operation for operation in SQLITE_OPERATIONS if operation is not Operation.BACKUP)
    asked = Request(target=str(sales), operations=every_one)
    async with Engine.open(past) as engine, Engine.open(past, read_only=True) as looking:
        planned, shown = await engine.plan(asked), await looking.plan(asked)
    assert [(o.operation, [s.command for s in o.steps], o.refused) for o in shown.operations] == [
        (o.operation, [s.command for s in o.steps], o.refused) for o in planned.operations
    ]


async def test_a_job_that_another_process_runs_is_seen_to_move(past: Path, sales: Path) -> None:
    async with Engine.open(past, read_only=True) as engine:
        changes = engine.changes()
        with python(RUNS, past, sales) as process:
            process.tell()
            async with asyncio.timeout(30):
                moved = [await anext(changes) for _ in range(6)]
            assert await process.says() == "completed"
            assert [worker.pid for worker in await engine.workers()] == [process.pid]
            assert (await engine.job(2)).status is Status.COMPLETED
        assert len(moved) == 6


async def test_without_a_store_it_is_as_an_empty_one_and_none_is_made(tmp_path: Path, sales: Path) -> None:
    before = everything_below(tmp_path)
    async with Engine.open(tmp_path / "none" / "jobs.db", read_only=True) as engine:
        assert not engine.has_store
        assert await engine.history() == []
        assert await engine.open_jobs() == []
        assert await engine.advise(str(sales))
        with pytest.raises(ReadOnlyError):
            await engine.pause("somebody")
    assert everything_below(tmp_path) == before
    assert not (tmp_path / "none").exists()


async def test_a_store_that_comes_to_be_meanwhile_is_told(store_path: Path) -> None:
    async with Engine.open(store_path, read_only=True) as looking:
        changes = looking.changes()
        async with Engine.open(store_path):
            with pytest.raises(StoreLostError, match="was created after"):
                await anext(changes)
        assert isinstance(looking.lost, StoreLostError)


async def test_a_cancel_ends_the_wait_for_a_locked_store(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread may go on waiting: the process would end only after it."""
    loop, refused, connect = asyncio.get_running_loop(), asyncio.Event(), connections.connect_read_only

    def tried(path: Path) -> sqlite3.Connection:
        try:
            return connect(path)
        finally:
            loop.call_soon_threadsafe(refused.set)

    async def look() -> None:
        async with SqliteStore.open_read_only(store_path, timeout=600):
            pass

    async with SqliteStore.open(store_path):
        pass
    monkeypatch.setattr(connections, "connect_read_only", tried)
    with another_process(store_path, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE"):
        looking = asyncio.create_task(look())
        await refused.wait()
        looking.cancel()
        await asyncio.wait({looking})
        assert looking.cancelled()
        with pytest.raises(StoreBusyError):
            async with SqliteStore.open_read_only(store_path, timeout=0):
                pass
    await look()


def test_an_older_store_is_not_upgraded(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(connections.connect_writer(connections.create_file(store_path))) as file:
        file.execute("PRAGMA journal_mode = DELETE")
    newer = [*schema.migrations(), "CREATE TABLE later (x);"]
    monkeypatch.setattr(schema, "migrations", lambda: newer)
    before = everything_below(store_path.parent)
    with pytest.raises(ReadOnlyError, match="upgraded first"):
        connections.connect_read_only(store_path)
    assert everything_below(store_path.parent) == before


def test_a_connection_that_could_write_is_not_accepted(store_path: Path) -> None:
    with (
        closing(connections.connect_writer(connections.create_file(store_path))) as connection,
        pytest.raises(ReadOnlyError, match="could be written"),
    ):
        connections.refuse_writes(connection)


async def test_what_a_process_that_was_killed_has_left_in_the_log_is_read_and_left_there(past: Path) -> None:
    with python(RUNS, past, past.with_name("sales.db")) as process:
        process.tell()
        await process.says()
    log = past.with_name("jobs.db-wal")
    assert log.stat().st_size
    before = {path: path.read_bytes() for path in (past, log)}
    async with Engine.open(past, read_only=True) as engine:
        assert len(await engine.history()) == 2
        assert len(await engine.workers()) == 1
    assert {path: path.read_bytes() for path in (past, log)} == before


async def test_a_database_in_wal_mode_is_looked_at_without_a_trace(past: Path, tmp_path: Path) -> None:
    path = make_database(tmp_path / "wal.db", rows=50, journal_mode="wal")
    before = everything_below(tmp_path)
    async with Engine.open(past, read_only=True) as engine:
        assert await engine.advise(str(path))
    assert everything_below(tmp_path) == before


async def test_what_a_crash_has_left_half_done_is_not_rolled_back(past: Path, tmp_path: Path) -> None:
    path = make_database(tmp_path / "crashed.db")
    with another_process(path, program=BEGINS_TO_WRITE) as pid:
        subprocess.run(["kill", "-KILL", str(pid)], check=True)
    before = everything_below(tmp_path)
    async with Engine.open(past, read_only=True) as engine:
        with pytest.raises(TargetError, match="must be rolled back first"):
            await engine.inspect(str(path))
    assert everything_below(tmp_path) == before


@needs_mounts
@pytest.mark.parametrize("is_in_use", [False, True])
async def test_a_store_where_nothing_can_be_written_beside_it(past: Path, is_in_use: bool) -> None:
    """While a process has it open its log can be read; else SQLite would have to make files for that."""
    directory = shlex.quote(str(past.parent))
    script = " && ".join(
        [
            f"mount --bind {directory} {directory}",
            f"mount -o remount,ro,bind {directory}",
            f"cd {shlex.quote(str(ROOT))}",
            f"exec {shlex.join([sys.executable, '-m', 'tests.engine.test_read_only', str(past)])}",
        ]
    )

    async def looked() -> str:
        done = await asyncio.to_thread(
            subprocess.run, in_a_world_of_its_own(script), capture_output=True, text=True, check=True
        )
        return str(done.stdout)

    if is_in_use:
        async with Engine.open(past, workers=1):
            assert await looked() == "1 1\n"
    else:
        assert "cannot be read: " in await looked()


async def main(store: Path) -> None:
    try:
        async with Engine.open(store, read_only=True) as engine:
            print(len(await engine.history()), sum(worker.alive for worker in await engine.workers()))
    except StoreError as error:
        print(error)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
