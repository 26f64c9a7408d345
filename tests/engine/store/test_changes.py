"""Who listens hears everything, in commit order, from every process; and an idle store is left alone."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from engine.jobs import Change, JobId, Lagged, OnDuplicate, Operation, Report, Status
from engine.orchestrator import ParentJobOrchestrator
from engine.store.sqlite import SqliteStore
from tests.building import COMPLETED, new_job, ticking_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


async def take(changes: AsyncIterator[Change | Lagged], count: int) -> list[Change | Lagged]:
    return [await anext(changes) for _ in range(count)]


async def run_one_job(store: SqliteStore, target: str) -> None:
    await store.submit([new_job(target, Operation.VACUUM)], OnDuplicate.REFUSE)
    claim = await store.claim("me")
    assert claim is not None
    await store.finish(claim, COMPLETED, Report())


async def test_r22_changes_come_in_commit_order_without_a_gap(store: SqliteStore) -> None:
    changes = ParentJobOrchestrator(store).changes()
    await run_one_job(store, "sales")
    seen = await take(changes, 6)
    assert [(str(c.job), c.new) for c in seen if isinstance(c, Change)] == [
        ("1", Status.PENDING),
        ("1.1", Status.PENDING),
        ("1.1", Status.RUNNING),
        ("1", Status.RUNNING),
        ("1.1", Status.COMPLETED),
        ("1", Status.COMPLETED),
    ]
    assert [c.seq for c in seen if isinstance(c, Change)] == list(range(1, 7))


async def test_r22_a_slow_subscriber_loses_nothing_and_goes_on_from_its_cursor(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.orchestrator.PAGE", 7)  # so that what it holds in memory is seen to be bounded
    orchestrator = ParentJobOrchestrator(store)
    slow = orchestrator.changes()
    for number in range(20):
        await run_one_job(store, f"db{number}")
    seen = await take(slow, 20 * 6)
    assert [c.seq for c in seen if isinstance(c, Change)] == list(range(1, 20 * 6 + 1))
    resumed = await take(orchestrator.changes(after=100), 3)
    assert [c.seq for c in resumed if isinstance(c, Change)] == [101, 102, 103]


async def test_r22_who_comes_after_the_events_were_pruned_is_told(store: SqliteStore, store_path: Path) -> None:
    await run_one_job(store, "sales")
    with sqlite3.connect(store_path) as other:
        other.execute("DELETE FROM event WHERE seq <= 4")
    other.close()
    assert await take(ParentJobOrchestrator(store).changes(after=1), 2) == [
        Lagged(1, 5),
        (await store.changes(4, 1))[0],
    ]
    with sqlite3.connect(store_path) as other:
        other.execute("DELETE FROM event")
    other.close()
    assert await anext(ParentJobOrchestrator(store).changes(after=1)) == Lagged(1, 7)


async def test_r4_another_process_hears_of_a_commit(store: SqliteStore, store_path: Path) -> None:
    async with SqliteStore.open(store_path, clock=ticking_clock()) as second:
        changes = ParentJobOrchestrator(second).changes()
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        seen = await take(changes, 2)
    assert [str(c.job) for c in seen if isinstance(c, Change)] == ["1", "1.1"]


async def test_r18_an_idle_store_is_not_written(store: SqliteStore, store_path: Path) -> None:
    await run_one_job(store, "sales")
    watcher = sqlite3.connect(store_path)
    before = watcher.execute("PRAGMA data_version").fetchone()
    wal = store_path.with_name(store_path.name + "-wal").stat()
    for _ in range(3):
        assert await store.claim("me") is None  # looking for work is no write
        assert await store.rescue() == []
    await asyncio.sleep(0.2)  # several rounds of looking for other processes' commits
    assert watcher.execute("PRAGMA data_version").fetchone() == before
    after = store_path.with_name(store_path.name + "-wal").stat()
    assert (after.st_size, after.st_mtime_ns) == (wal.st_size, wal.st_mtime_ns)
    watcher.close()


async def test_r12_a_submit_killed_at_any_statement_leaves_all_rows_or_none(store_path: Path) -> None:
    """SIGKILL during the transaction: at each of its statements in turn, in a real process."""
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from engine.jobs import OnDuplicate
        from engine.store import connections, transactions
        from tests.building import new_job

        path, kill_at = Path(sys.argv[1]), int(sys.argv[2])
        connection = connections.connect_writer(path)
        count = 0
        def trace(statement):
            global count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        connection.set_trace_callback(trace)
        connection.execute("BEGIN IMMEDIATE")
        transactions.submit(connection, [new_job(f"db{kill_at}"), new_job(f"other{kill_at}")], OnDuplicate.REFUSE, 1)
        connection.execute("COMMIT")
        print("committed", flush=True)
    """)
    async with SqliteStore.open(store_path):
        pass
    killed = committed = kill_at = 0
    while not committed:
        kill_at += 1
        process = subprocess.run(
            [sys.executable, "-c", script, str(store_path), str(kill_at * 6)],
            capture_output=True,
            text=True,
            check=False,
        )
        committed += "committed" in process.stdout
        killed += process.returncode == -signal.SIGKILL
        assert process.returncode in {0, -signal.SIGKILL}, process.stderr
        async with SqliteStore.open(store_path) as store:
            jobs = await store.open_jobs()
            assert len(jobs) == 2 * committed
            assert all(len(job.children) == 4 for job in jobs)
    assert killed >= 3


async def test_a_dead_owners_child_is_rescued_and_a_live_owners_is_not(store: SqliteStore, store_path: Path) -> None:
    script = textwrap.dedent("""
        import asyncio, sys
        from pathlib import Path
        from engine.store.sqlite import SqliteStore

        async def main():
            async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
                claim = await store.claim(owner)
                print(claim.job, flush=True)
                await asyncio.Event().wait()

        asyncio.run(main())
    """)
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    process = subprocess.Popen([sys.executable, "-c", script, str(store_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert await asyncio.to_thread(process.stdout.readline) == "1.1\n"
    assert await store.rescue() == []
    assert [worker.alive for worker in await store.workers()] == [True]
    process.kill()
    process.wait()
    assert [worker.alive for worker in await store.workers()] == [False]
    assert await store.rescue() == [JobId(1, 1)]
    assert await store.workers() == []
    claim = await store.claim("me")
    assert claim is not None
    assert claim.attempt == 2
    process.stdout.close()
