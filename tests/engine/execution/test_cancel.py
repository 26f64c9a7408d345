"""R16: cancel ends a pending job at once; it asks a running one in any process, which ends with its true result."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import AsyncExitStack, closing
from typing import TYPE_CHECKING

from engine import ChangeKind, Engine, JobId, OnDuplicate, Operation, Reason, Request, Status
from engine.domain.events import Change
from tests.building import new_job
from tests.engine.processes import python
from tests.engine.working import job_once, over
from tests.sqlite_files import make_database, set_schema_sql

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.sqlite.store import SqliteStore

ENDS_AS_TOLD = """
    from engine.domain.claims import Outcome
    from engine.domain.statuses import Status
    from engine.store.sqlite.store import SqliteStore
    from tests.engine.working import FunctionWorker, processing

    async def as_told(claim, reporter, cancel):
        print("running", claim.job, flush=True)
        await cancel.wait()
        print("asked to stop", flush=True)
        status = await asyncio.to_thread(sys.stdin.readline)
        return Outcome(status=Status(status.strip()))

    async def main():
        async with SqliteStore.open(Path(sys.argv[1])) as store:
            async with processing(store, FunctionWorker(as_told), concurrency=1):
                await asyncio.Event().wait()

    asyncio.run(main())
"""
WORKS = """
    from engine import Engine

    async def main():
        async with Engine.open(Path(sys.argv[1]), workers=1):
            await asyncio.Event().wait()

    asyncio.run(main())
"""


async def test_r16_a_pending_child_is_cancelled_at_once_and_never_starts(store: SqliteStore) -> None:
    await store.submit([new_job("sales")], OnDuplicate.REFUSE)
    await store.request_cancel(JobId(1, 3))
    await store.request_cancel(JobId(1))
    parent = await store.job(1)
    assert {(child.status, child.reason) for child in parent.children} == {(Status.CANCELLED, Reason.CANCELLED_BY_USER)}
    assert {child.attempts for child in parent.children} == {()}
    assert parent.status is Status.CANCELLED
    assert await store.claim("me") is None


async def test_r16_what_runs_in_another_process_is_asked_and_ends_as_what_really_happened(
    store: SqliteStore, store_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        worker = stack.enter_context(python(ENDS_AS_TOLD, store_path))
        await stack.enter_async_context(asyncio.timeout(60))
        for number, end in enumerate((Status.CANCELLED, Status.COMPLETED, Status.FAILED), 1):
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            assert await worker.says() == f"running {number}.1"
            await store.request_cancel(JobId(number))
            assert await worker.says() == "asked to stop"
            asked = (await store.job(number)).children[0]
            assert (asked.status, asked.pid, asked.finished_at) == (Status.RUNNING, worker.pid, None)
            assert asked.cancel_requested_at is not None
            worker.tell(end)
            (parent,) = await over(store, number)
            assert parent.status is parent.children[0].status is end
            assert parent.children[0].reason is (Reason.CANCELLED_BY_USER if end is Status.CANCELLED else None)
            kinds = [c.kind for c in await store.changes(0, 999) if c.job == JobId(number, 1)]
            assert kinds.count(ChangeKind.CANCEL_REQUESTED) == 1


async def test_r16_a_statement_that_runs_in_another_process_is_interrupted(tmp_path: Path, store_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", rows=2000)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:  # it takes long to make anew
        set_schema_sql(db, "order", 'CREATE INDEX "order" ON item(length(hex(zeroblob(9000000 + price))))')
    async with Engine.open(store_path) as console:
        with python(WORKS, store_path):
            (parent,) = await console.submit([Request(target=str(path), operations=(Operation.REINDEX,))])
            async with asyncio.timeout(30):
                await job_once(
                    console, parent.id, lambda job: any(step.object == "order" for step in job.children[0].steps)
                )
                await console.cancel(JobId(parent.id, 1))
                (parent,) = await console.wait([parent.id])
    (child,) = parent.children
    assert (child.status, child.reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
    *done, stopped = child.steps
    assert (stopped.object, stopped.status) == ("order", Status.CANCELLED)
    assert {step.status for step in done} <= {Status.COMPLETED}
    assert (child.error or "").startswith(f"stopped after {len(done)} of 6 " if done else "")
    assert bool(child.error) is bool(done)


async def test_r16_to_cancel_twice_is_to_cancel_once(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    await store.claim("me")
    await store.request_cancel(JobId(1))
    once, changes = await store.job(1), await store.changes(0, 99)
    await store.request_cancel(JobId(1, 1))
    await store.request_cancel(JobId(1))
    assert await store.job(1) == once
    assert await store.changes(0, 99) == changes
    assert isinstance(changes[-1], Change)
    assert changes[-1].kind is ChangeKind.CANCEL_REQUESTED
