"""A commit is heard at once, an idle file is left alone, and a kill leaves all of a transaction or nothing."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from engine import Engine
from engine.domain.claims import Outcome, Report
from engine.domain.events import Change
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Status
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.store.sqlite.change_watch import ChangeWatch
from engine.store.sqlite.store import SqliteStore
from tests.building import new_job
from tests.conformance.stores import until_somebody_waits
from tests.conformance.test_changes import run_one_job, take
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    import pytest

    from engine.domain.jobs import ParentJob


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


async def test_to_wait_for_many_jobs_reads_each_a_few_times(store_path: Path) -> None:
    class CountingStore(SqliteStore):
        read = 0

        async def jobs(self, ids: Collection[int]) -> list[ParentJob]:
            self.read += len(ids)
            return await super().jobs(ids)

    many = 60
    async with CountingStore.open(store_path) as store:
        requests = [new_job(f"db{number}", Operation.VACUUM) for number in range(many)]
        ids = await store.submit(requests, OnDuplicate.REFUSE)
        waiting = asyncio.create_task(ParentJobOrchestrator(store).wait(ids))
        for parent_id in reversed(ids):
            await until_somebody_waits(store)
            claim = await store.claim("me", [parent_id])
            assert claim is not None
            await store.finish(claim, Outcome(status=Status.COMPLETED), Report())
        assert [job.id for job in await waiting] == ids
    assert store.read < 10 * many


async def test_jobs_that_are_removed_while_another_is_waited_for_are_not_waited_for(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        first, second = await store.submit([new_job(name, Operation.VACUUM) for name in ("a", "b")], OnDuplicate.REFUSE)
        waiting = asyncio.create_task(ParentJobOrchestrator(store).wait([first, second]))
        for parent_id in (second, first):
            await until_somebody_waits(store)
            claim = await store.claim("me", [parent_id])
            assert claim is not None
            await store.finish(claim, Outcome(status=Status.COMPLETED), Report())
            if parent_id == second:
                assert await store.prune([second]) == 1
        assert [job.id for job in await waiting] == [first]


async def test_r18_an_idle_engine_with_workers_writes_nothing(
    store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.supervision.INTERVAL", 0.02)
    async with SqliteStore.open(store_path) as store:
        await run_one_job(store, "sales")
    looked = looks(monkeypatch, (ChangeWatch, "_check_identity"), (SqliteStore, "let_start"))
    async with Engine.open(store_path, workers=4):
        files = [store_path, store_path.with_name(store_path.name + "-wal")]

        async def is_left_alone(number: int) -> bool:
            """For so many rounds of looking for changes, and for the dead."""
            before = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
            await more(looked, number)
            return [(file.stat().st_size, file.stat().st_mtime_ns) for file in files] == before

        await eventually(lambda: is_left_alone(2))  # it writes as it starts
        assert await is_left_alone(6)


def looks(monkeypatch: pytest.MonkeyPatch, *methods: tuple[type, str]) -> Counter[str]:
    """How often these are called from now on."""
    looked = Counter({name: 0 for _, name in methods})

    def counting(name: str, look: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            looked[name] += 1
            return look(*arguments)

        return counted

    for of, name in methods:
        monkeypatch.setattr(of, name, counting(name, getattr(of, name)))
    return looked


async def more(looked: Counter[str], number: int) -> None:
    """Wait until each has been called so many times more."""
    before = Counter(looked)
    await eventually(lambda: all(looked[name] >= before[name] + number for name in before))


async def test_r18_an_idle_store_is_not_written(
    store: SqliteStore, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_one_job(store, "sales")
    watcher = sqlite3.connect(store_path)
    before = watcher.execute("PRAGMA data_version").fetchone()
    wal = store_path.with_name(store_path.name + "-wal").stat()
    for _ in range(3):
        assert await store.claim("me") is None  # looking for work is no write
        assert await store.rescue() == []
    await more(looks(monkeypatch, (ChangeWatch, "_check_identity")), 4)  # for other processes' commits
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
