"""Real processes, killed by SIGKILL: no job is lost, and recovery needs no person."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine import Engine, JobId, OnDuplicate, Operation, Reason, Status
from engine.domain.events import STALLED_AFTER
from engine.store.ending_texts import format_worker_death
from engine.store.sqlite import connections
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import now
from engine.targets import resolve
from tests.building import SQLITE_OPERATIONS, new_job
from tests.engine.processes import python
from tests.engine.targets.sqlite.another_process import BEGINS_TO_WRITE, another_process
from tests.sqlite_files import content, files_beside, integrity, make_database

if TYPE_CHECKING:
    from pathlib import Path

    from engine.domain.jobs import ChildJob

WORKS_UNTIL_KILLED = """
    import sqlite3

    count, kill_at, connect = 0, int(sys.argv[1]), sqlite3.connect

    def trace(statement):
        global count
        count += 1
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection

    sqlite3.connect = traced  # the store's connections, and those to the databases
    from engine import Engine, Request
    from tests.building import SQLITE_OPERATIONS

    async def main():
        async with Engine.open(Path(sys.argv[2]), workers=2) as engine:
            requests = [Request(target=path, operations=SQLITE_OPERATIONS) for path in sys.argv[3:]]
            jobs = await engine.submit(requests)
            print(*(job.id for job in jobs), flush=True)
            await engine.wait([job.id for job in jobs])

    asyncio.run(main())
"""
OWNER = """
    from engine.domain.claims import Outcome, Report
    from engine.domain.statuses import Status
    from engine.store.sqlite.store import SqliteStore

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store, store.hosting_workers() as owner:
            claim = await store.claim(owner)
            print(claim.job, flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            await store.finish(claim, Outcome(status=Status.COMPLETED), Report())
            print("finished", flush=True)

    asyncio.run(main())
"""
SUBMITS_AND_DIES = """
    from engine import Engine, Request
    from tests.building import SQLITE_OPERATIONS

    async def main():
        async with Engine.open(Path(sys.argv[1])) as engine:
            (job,) = await engine.submit([Request(target=sys.argv[2], operations=SQLITE_OPERATIONS)])
            os.write(1, f"{job.id}\\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
"""


def assert_ran_to_its_end(child: ChildJob) -> None:
    *lost, last = child.attempts
    assert [attempt.number for attempt in child.attempts] == list(range(1, child.attempt + 1))
    assert [(a.status, a.reason) for a in lost] == [(Status.FAILED, Reason.OWNER_LOST)] * len(lost)
    assert last.status is Status.COMPLETED or (last.status, last.reason) == (Status.SKIPPED, Reason.NOT_NEEDED)
    for step in child.steps:
        assert step.status is Status.COMPLETED or (step.status is Status.FAILED and step.attempt < child.attempt)


@pytest.mark.parametrize("stride", [499, pytest.param(211, marks=pytest.mark.long)])
async def test_r7_killed_at_any_statement_everything_is_carried_out_by_the_next_process(
    tmp_path: Path, store_path: Path, stride: int
) -> None:
    """At one statement to the store or to a database out of so many, until a process gets through."""
    paths = [
        make_database(tmp_path / name, rows=40, journal_mode=mode)
        for name, mode in (("a.db", "wal"), ("b.db", "delete"))
    ]
    before = [content(path) for path in paths]
    kill_at, killed, jobs, taken_over = 1, True, 0, 0
    while killed:
        with python(WORKS_UNTIL_KILLED, kill_at, store_path, *paths) as process:
            submitted = (await process.says()).split()
            killed = await process.ended() == -signal.SIGKILL
        async with Engine.open(store_path, workers=2) as engine, asyncio.timeout(60):
            known = await engine.count()
            assert known - jobs in ({2} if submitted else {0, 2})
            parents = await engine.wait(range(jobs + 1, known + 1))
            assert [worker.alive for worker in await engine.workers()] == [True]
        for parent in parents:
            assert parent.status is Status.COMPLETED
            assert [child.operation for child in parent.children] == list(SQLITE_OPERATIONS)
            for child in parent.children:
                assert_ran_to_its_end(child)
                taken_over += child.attempt > 1
        jobs, kill_at = known, kill_at + stride
    assert taken_over > 2
    assert [content(path) for path in paths] == before
    assert [integrity(path) for path in paths] == [[], []]
    with closing(connections.connect_writer(store_path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_r7_two_processes_that_die_over_one_child_end_it_as_failed_and_its_database_is_looked_after(
    store: SqliteStore, tmp_path: Path
) -> None:
    (tmp_path / "databases").mkdir()
    path = make_database(tmp_path / "databases" / "sales.db", rows=200)
    target, job = resolve(str(path)), new_job("sales", Operation.VACUUM)
    job = replace(job, request=replace(job.request, target=target.url), target_key=await target.identify())
    await store.submit([job], OnDuplicate.REFUSE)
    for _ in range(2):
        with python(OWNER, store.path) as owner:
            assert await owner.says() == "1.1"
            owner.kill()
        async with Engine.open(store.path):
            pass
    with another_process(path, program=BEGINS_TO_WRITE) as pid:  # as if that were what killed them
        os.kill(pid, signal.SIGKILL)
    assert files_beside(path) == {"sales.db", "sales.db-journal"}
    async with Engine.open(store.path, workers=1) as engine, asyncio.timeout(60):
        (parent,) = await engine.wait([1])
    (child,) = parent.children
    assert (parent.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)
    assert (child.error or "").startswith(format_worker_death(2))
    assert (child.error or "").endswith("found nothing wrong")
    assert [(a.number, a.status, a.reason) for a in child.attempts] == [
        (1, Status.FAILED, Reason.OWNER_LOST),
        (2, Status.FAILED, Reason.OWNER_LOST),
        (3, Status.FAILED, None),
    ]
    assert files_beside(path) == {"sales.db"}


async def test_r6_a_process_that_is_stopped_keeps_its_job_and_is_told_as_stalled(
    store: SqliteStore, store_path: Path
) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)

    def later() -> int:
        return now() + round(2 * STALLED_AFTER * 1e6)

    with python(OWNER, store_path) as owner:
        assert await owner.says() == "1.1"
        owner.signal(signal.SIGSTOP)
        before = await store.job(1)
        async with Engine.open(store_path, workers=1, clock=later) as other:
            stalled = {worker.pid: (worker.alive, worker.stalled, worker.running) for worker in await other.workers()}
            assert stalled[owner.pid] == (True, True, (JobId(1, 1),))
            assert await other.job(1) == before
            owner.signal(signal.SIGCONT)
            owner.tell("finish")
            assert await owner.says() == "finished"
            (parent,) = await other.wait([1])
    assert (parent.status, parent.children[0].attempt) == (Status.COMPLETED, 1)


async def test_what_was_submitted_is_there_where_the_process_died_right_after(tmp_path: Path, store_path: Path) -> None:
    for number in (1, 2, 3):
        path = make_database(tmp_path / f"{number}.db", rows=20)
        with python(SUBMITS_AND_DIES, store_path, path) as process:
            assert await process.says() == str(number)
            assert await process.ended() == -signal.SIGKILL
        async with SqliteStore.open(store_path) as store:
            job = await store.job(number)
            assert (job.status, tuple(child.operation for child in job.children)) == (Status.PENDING, SQLITE_OPERATIONS)
            of_each = 1 + len(SQLITE_OPERATIONS)
            assert [(change.job, change.new) for change in await store.changes(of_each * (number - 1), 99)] == [
                (JobId(number), Status.PENDING),
                *((JobId(number, ordinal), Status.PENDING) for ordinal in range(1, of_each)),
            ]


def test_a_commit_to_the_store_survives_a_power_cut(store_path: Path) -> None:
    connections.create_file(store_path)
    with closing(connections.connect_writer(store_path)) as file:
        assert file.execute("PRAGMA synchronous").fetchone() == (2,)
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
