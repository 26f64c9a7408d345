"""Who listens hears everything, in commit order, from every process; and an idle store is left alone."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from typing import TYPE_CHECKING

from engine import Engine
from engine.domain.claims import Report
from engine.domain.events import Change, Lagged
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.store.protocol import MAX_ATTEMPTS
from engine.store.sqlite.store import SqliteStore
from tests.building import ALL_FOUR, COMPLETED, new_job
from tests.engine.processes import python

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest


async def take(changes: AsyncIterator[Change | Lagged], count: int) -> list[Change | Lagged]:
    async with asyncio.timeout(30):
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
    monkeypatch.setattr(
        "engine.execution.orchestrator.PAGE", 7
    )  # so that what it holds in memory is seen to be bounded
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


async def test_r4_a_commit_of_another_process_is_heard_by_who_waits(store: SqliteStore) -> None:
    script = """
        from engine.domain.requests import OnDuplicate, Operation
        from engine.store.sqlite import connections, transactions
        from tests.building import new_job

        connection = connections.connect_writer(Path(sys.argv[1]))
        print("ready", flush=True)
        sys.stdin.readline()
        transactions.submit(connection, [new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE, 1)
    """
    heard = asyncio.create_task(take(ParentJobOrchestrator(store).changes(), 2))
    with python(script, store.path) as other:
        assert await other.says() == "ready"
        await until_somebody_waits(store)
        other.tell("go")
        seen = await heard
    assert [str(c.job) for c in seen if isinstance(c, Change)] == ["1", "1.1"]


async def test_r4_a_commit_of_this_process_is_heard_without_a_look(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.change_watch.INTERVAL", 3600)
    async with SqliteStore.open(store_path) as store:
        heard = asyncio.create_task(take(ParentJobOrchestrator(store).changes(), 2))
        await until_somebody_waits(store)
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        seen = await heard
    assert [str(c.job) for c in seen if isinstance(c, Change)] == ["1", "1.1"]


async def until_somebody_waits(store: SqliteStore) -> None:
    async with asyncio.timeout(10):
        while not store._watch._waiting:  # noqa: ASYNC110 - nobody is told who waits
            await asyncio.sleep(0)


async def test_r8_processes_on_one_store_never_share_a_target_or_an_attempt(
    store: SqliteStore, store_path: Path, tmp_path: Path
) -> None:
    """Three real processes work off 30 children on three targets; the log they append to tells who ran when."""
    script = textwrap.dedent("""
        import asyncio, os, sys
        from pathlib import Path
        from engine.domain.claims import Outcome, Report
        from engine.domain.statuses import Status
        from engine.store.sqlite.store import SqliteStore

        async def main():
            log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
                while await store.open_jobs():
                    if claim := await store.claim(owner):
                        os.write(log, f"begin {claim.target} {claim.job} {claim.attempt}\\n".encode())
                        await asyncio.sleep(0.002)
                        os.write(log, f"end {claim.target} {claim.job} {claim.attempt}\\n".encode())
                        await store.finish(claim, Outcome(status=Status.COMPLETED), Report())

        asyncio.run(main())
    """)
    jobs = [new_job(f"db{n}", *operations) for n in range(3) for operations in (ALL_FOUR[k:] for k in range(4))]
    await store.submit(jobs, OnDuplicate.REFUSE)
    log = tmp_path / "log"
    command = [sys.executable, "-c", script, str(store_path), str(log)]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [await asyncio.to_thread(process.wait) for process in processes] == [0, 0, 0]
    running: dict[str, str] = {}
    begun: list[str] = []
    for entry in log.read_text().splitlines():
        what, target, job, attempt = entry.split()
        if what == "begin":
            assert target not in running
            running[target] = job
            begun.append(f"{job} {attempt}")
        else:
            assert running.pop(target) == job
    assert len(begun) == len(set(begun)) == 3 * (4 + 3 + 2 + 1)
    assert {parent.status for parent in await store.jobs(range(1, 13))} == {Status.COMPLETED}


async def test_r23_no_attempt_is_miscounted_where_processes_claim_and_hand_back_at_once(
    store: SqliteStore, store_path: Path
) -> None:
    script = """
        from engine.domain.claims import Report
        from engine.store.sqlite.store import SqliteStore

        async def main():
            async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
                print("ready", flush=True)
                await asyncio.to_thread(sys.stdin.readline)
                left = 40
                while left:
                    if claim := await store.claim(owner):
                        await store.release(claim, Report())
                        left -= 1

        asyncio.run(main())
    """
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    with python(script, store_path) as one, python(script, store_path) as two:
        for process in (one, two):
            assert await process.says() == "ready"
        for process in (one, two):
            process.tell("go")
        assert [await process.ended() for process in (one, two)] == [0, 0]
    (child,) = (await store.job(1)).children
    assert child.attempt == 80
    assert [attempt.number for attempt in child.attempts] == list(range(1, 81))
    assert {attempt.pid for attempt in child.attempts} == {one.pid, two.pid}
    with closing(sqlite3.connect(store_path)) as file:
        assert file.execute("SELECT max_attempts - attempt FROM child_job").fetchall() == [(MAX_ATTEMPTS,)]


async def test_r18_an_idle_engine_with_workers_writes_nothing(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.supervision.INTERVAL", 0.02)
    async with SqliteStore.open(store_path) as store:
        await run_one_job(store, "sales")
    async with Engine.open(store_path, workers=4):
        files = [store_path, store_path.with_name(store_path.name + "-wal")]

        async def written_in(seconds: float) -> bool:
            before = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
            await asyncio.sleep(seconds)
            return [(file.stat().st_size, file.stat().st_mtime_ns) for file in files] != before

        async with asyncio.timeout(30):
            while await written_in(0.1):  # what it writes as it starts
                pass
        assert not await written_in(0.3)  # many rounds of looking for work, for changes and for the dead


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
    """SIGKILL during the transaction, in a real process: at every sixth of its statements, until it commits."""
    script = textwrap.dedent("""
        import os, signal, sys
        from pathlib import Path
        from engine.domain.requests import OnDuplicate
        from engine.store.sqlite import connections, transactions
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
        from engine.store.sqlite.store import SqliteStore

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
