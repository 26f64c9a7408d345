"""Force kill: the process is killed, and another process recovers the database."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from engine import Engine, JobId, OnDuplicate, Operation, Reason, Status
from engine.domain.claims import Outcome, Report
from engine.domain.errors import JobNotFoundError, UsageError
from engine.domain.events import WorkerProcess
from engine.execution.force_kill import plan_force_cancel
from tests.building import COMPLETED, new_job
from tests.engine.processes import python
from tests.engine.working import FunctionWorker, over, processing

if TYPE_CHECKING:
    from pathlib import Path

    from engine.domain.claims import Claim
    from engine.domain.jobs import ParentJob
    from engine.execution.reporter import Reporter
    from engine.store.sqlite.store import SqliteStore

HANGS = """
    from engine.store.sqlite.store import SqliteStore
    from tests.engine.working import FunctionWorker, processing

    async def hangs(claim, reporter, cancel):
        print("running", claim.job, flush=True)
        await asyncio.Event().wait()

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store:
            async with processing(store, FunctionWorker(hangs), concurrency=int(sys.argv[2])):
                await asyncio.Event().wait()

    asyncio.run(main())
"""
CHILD = JobId(1, 1)
HERE = socket.gethostname()


def worker(
    *running: JobId, pid: int = 4711, host: str = HERE, alive: bool = True, serves_all: bool = True
) -> WorkerProcess:
    return WorkerProcess(id="w", pid=pid, host=host, started_at=1, serves_all=serves_all, alive=alive, running=running)


async def submit(store: SqliteStore, *operations: Operation, target: str = "sales") -> None:
    await store.submit([new_job(target, *operations)], OnDuplicate.REFUSE)


async def running_job(store: SqliteStore) -> ParentJob:
    await submit(store)
    await store.claim("w")
    return await store.job(1)


@pytest.mark.parametrize("asked", [CHILD, JobId(1)])
async def test_what_it_comes_to_is_told_beforehand(store: SqliteStore, asked: JobId) -> None:
    parent = await running_job(store)
    others = [JobId(3, 1), JobId(2, 2)]
    found = plan_force_cancel(parent, asked, [worker(CHILD, *others), worker(pid=1)], host=HERE, own_pid=1)
    assert (found.job, found.operation, found.target) == (CHILD, Operation.VACUUM, "sqlite:///sales.db")
    assert (found.pid, found.host, found.others) == (4711, None, (JobId(2, 2), JobId(3, 1)))
    there = plan_force_cancel(parent, asked, [worker(CHILD, pid=1, host="db2")], host=HERE, own_pid=1)
    assert (there.pid, there.host) == (1, "db2")


@pytest.mark.parametrize(
    ("asked", "process", "why"),
    [
        (JobId(1, 2), worker(CHILD), "job 1.2: does not run"),
        (CHILD, worker(), "has already lost its process"),
        (CHILD, worker(CHILD, alive=False), "has already lost its process"),
        (CHILD, worker(CHILD, pid=99), "is run by this very process"),
        (JobId(1), worker(CHILD, pid=99), "job 1.1: is run by this very process"),
    ],
)
async def test_it_is_refused_where_it_must_not_be(
    store: SqliteStore, asked: JobId, process: WorkerProcess, why: str
) -> None:
    parent = await running_job(store)
    with pytest.raises(UsageError, match=why):
        plan_force_cancel(parent, asked, [process], host=HERE, own_pid=99)


async def test_it_is_refused_for_what_is_over_or_does_not_exist(store: SqliteStore, store_path: Path) -> None:
    await submit(store, Operation.VACUUM)
    async with Engine.open(store_path) as engine:
        with pytest.raises(UsageError, match=r"^job 1: "):
            await engine.cancel(JobId(1), force=True)
        with pytest.raises(JobNotFoundError, match=r"job 1\.9"):
            await engine.cancel(JobId(1, 9), force=True)
        await engine.cancel(JobId(1))
        for asked in (JobId(1), CHILD):
            with pytest.raises(UsageError, match=f"job {asked}: has ended"):
                await engine.preview_force_cancel(asked)


async def test_a_process_does_not_kill_itself(store: SqliteStore, store_path: Path) -> None:
    await submit(store, Operation.VACUUM)
    async with Engine.open(store_path) as engine, store.hosting_workers() as owner:
        claim = await store.claim(owner)
        assert claim is not None
        with pytest.raises(UsageError, match="this very process"):
            await engine.cancel(CHILD, force=True)
        assert (await engine.job(1)).children[0].cancel_requested_at is None
        await store.finish(claim, COMPLETED, Report())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can leave a process to somebody else")
async def test_somebody_elses_process_is_left_alone(store: SqliteStore, store_path: Path) -> None:
    await submit(store, Operation.VACUUM)
    script = """
        import concurrent.futures.thread, socket
        from engine import Engine, JobId
        from engine.execution import force_kill as ending_by_force  # now: the stranger may not read the checkout
        from engine.domain.errors import UsageError

        async def main():
            async with Engine.open(Path(sys.argv[1])) as engine:
                engine._store._watch._poll.cancel()  # it would find the store out of reach
                os.setuid(65534)
                try:
                    await engine.cancel(JobId(1, 1), force=True)
                except UsageError as error:
                    print(error, flush=True)

        asyncio.run(main())
    """
    with python(HANGS, store_path, 1) as victim:
        assert await victim.says() == "running 1.1"
        with python(script, store_path) as stranger:
            said = await stranger.says()
        assert f"process {victim.pid} " in said
        assert "another user" in said
        assert (await store.job(1)).children[0].cancel_requested_at is None


async def test_a_child_that_hangs_is_ended_and_its_database_looked_after_by_the_next(
    store: SqliteStore, store_path: Path
) -> None:
    await submit(store, Operation.VACUUM, Operation.ANALYZE)
    claims: list[Claim] = []

    async def look_after(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        claims.append(claim)
        return COMPLETED if claim.recovering is None else _recovered(cancel)

    async with Engine.open(store_path) as console:
        with python(HANGS, store_path, 1) as victim:
            assert await victim.says() == "running 1.1"
            assert (await console.preview_force_cancel(JobId(1))).pid == victim.pid
            asked = await console.cancel(CHILD, force=True)
            assert asked.children[0].force_requested_at is not None
            assert await victim.ended() == -signal.SIGKILL
        async with processing(store, FunctionWorker(look_after)):
            (parent,) = await over(store, 1)
    vacuum, analyze = parent.children
    assert [(c.job, c.recovering, c.forced) for c in claims] == [
        (CHILD, Reason.CANCELLED_BY_USER, True),
        (JobId(1, 2), None, False),
    ]
    assert (vacuum.status, vacuum.error, analyze.status) == (Status.CANCELLED, "looked after", Status.COMPLETED)
    assert [(a.status, a.reason) for a in vacuum.attempts] == [
        (Status.FAILED, Reason.OWNER_LOST),
        (Status.CANCELLED, Reason.CANCELLED_BY_USER),
    ]


async def test_the_whole_job_is_cancelled_where_that_was_asked(store: SqliteStore, store_path: Path) -> None:
    await submit(store, Operation.VACUUM, Operation.ANALYZE)
    async with Engine.open(store_path) as console:
        with python(HANGS, store_path, 1) as victim:
            await victim.says()
            parent = await console.cancel(JobId(1), force=True)
            assert parent.children[1].status is Status.CANCELLED
            assert await victim.ended() == -signal.SIGKILL


async def test_what_the_same_process_runs_besides_is_told_and_runs_again(store: SqliteStore, store_path: Path) -> None:
    await submit(store, Operation.VACUUM)
    await submit(store, Operation.VACUUM, target="stock")
    async with Engine.open(store_path) as console:
        with python(HANGS, store_path, 2) as victim:
            assert {await victim.says(), await victim.says()} == {"running 1.1", "running 2.1"}
            assert (await console.preview_force_cancel(CHILD)).others == (JobId(2, 1),)
            await console.cancel(CHILD, force=True)
            assert await victim.ended() == -signal.SIGKILL
        async with processing(store, FunctionWorker(_completes_or_looks)):
            first, second = await over(store, 1, 2)
    assert (first.status, second.status) == (Status.CANCELLED, Status.COMPLETED)
    assert (second.children[0].attempt, second.children[0].cancel_requested_at) == (2, None)


async def test_where_the_process_that_looks_is_ended_by_force_too_it_is_over(
    store: SqliteStore, store_path: Path
) -> None:
    await submit(store, Operation.VACUUM)
    async with Engine.open(store_path) as console:
        for _ in range(2):
            with python(HANGS, store_path, 1) as victim:
                assert await victim.says() == "running 1.1"
                await console.cancel(CHILD, force=True)
                assert await victim.ended() == -signal.SIGKILL
        async with asyncio.timeout(30):
            (parent,) = await console.wait([1])
    assert parent.status is Status.CANCELLED
    assert "so did the" in (parent.children[0].error or "")


async def _completes_or_looks(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
    return COMPLETED if claim.recovering is None else _recovered(cancel)


def _recovered(cancel: asyncio.Event) -> Outcome:
    assert not cancel.is_set()  # what was asked to stop is the operation, not the look after it
    return Outcome(status=Status.CANCELLED, reason=Reason.CANCELLED_BY_USER, error="looked after")
