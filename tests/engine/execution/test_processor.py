"""Claiming, routing, supervising: with workers of the test's own, on a real store."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Outcome
from engine.domain.errors import StoreError, StoreFullError, SystemLimitError
from engine.domain.events import ChangeKind
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import LogLevel
from engine.execution.orchestrator import ParentJobOrchestrator
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.targets import resolve
from tests.building import ALL_FOUR, COMPLETED, new_job
from tests.engine.working import FunctionWorker, carried_out, completes, over, processing, stops_when_asked

if TYPE_CHECKING:
    from engine.domain.claims import Claim
    from engine.execution.reporter import Reporter
    from engine.store.sqlite.store import SqliteStore


async def test_r1_submitting_every_operation_ends_completed(store: SqliteStore) -> None:
    async with processing(store, FunctionWorker(completes)):
        (parent,) = await carried_out(store, new_job("sales", *Operation))
    assert parent.status is Status.COMPLETED
    assert {child.status for child in parent.children} == {Status.COMPLETED}


async def test_r17_a_job_without_a_worker_for_its_type_fails_with_that_reason(store: SqliteStore) -> None:
    async with processing(store, None):
        (parent,) = await carried_out(store, new_job("sales", Operation.VACUUM))
    assert parent.status is Status.FAILED
    assert parent.children[0].reason is Reason.NOT_SUPPORTED
    assert "no worker is" in str(parent.children[0].error)


async def test_r20_never_two_children_on_one_target(store: SqliteStore) -> None:
    busy: set[str] = set()

    async def alone(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        assert claim.target not in busy
        busy.add(claim.target)
        for _ in range(5):
            await asyncio.sleep(0)
        busy.discard(claim.target)
        return COMPLETED

    jobs = [new_job(f"db{n % 3}", *operations) for n in range(6) for operations in [ALL_FOUR[: 1 + n // 3]]]
    async with processing(store, FunctionWorker(alone), concurrency=8):
        parents = await carried_out(store, *jobs)
    assert [child.error for parent in parents for child in parent.children if child.error] == []


async def test_a_worker_of_an_unknown_operation_is_refused_by_the_file_itself(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    with sqlite3.connect(store.path) as other, pytest.raises(sqlite3.IntegrityError, match="unknown operation"):
        other.execute("UPDATE child_job SET operation = 'defrag'")
    other.close()


@pytest.mark.parametrize("error", [ValueError("no such thing"), asyncio.CancelledError("from within")])
async def test_r27_what_a_worker_raises_fails_its_child_and_nothing_else(
    store: SqliteStore, error: BaseException
) -> None:
    async def raises_once(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        if claim.operation == Operation.ANALYZE:
            raise error
        return COMPLETED

    async with processing(store, FunctionWorker(raises_once), concurrency=1):
        (parent,) = await carried_out(store, new_job("sales"))
    failed = parent.children[1]
    assert [c.status for c in parent.children] == [Status.COMPLETED, Status.FAILED, Status.COMPLETED, Status.COMPLETED]
    assert failed.reason is Reason.OPERATION_ERROR
    assert type(error).__name__ in str(failed.error)
    assert "Traceback" not in str(failed.error)
    assert [line.level for line in failed.log] == [LogLevel.ERROR]
    assert "Traceback" in failed.log[0].message


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError(), OSError(24, "too many")])
async def test_what_the_system_refuses_a_worker_is_no_internal_error(store: SqliteStore, error: Exception) -> None:
    async def raises(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        raise error

    async with processing(store, FunctionWorker(raises), concurrency=1):
        (parent,) = await carried_out(store, new_job("sales", Operation.ANALYZE))
    assert parent.children[0].reason is Reason.OPERATION_ERROR
    assert parent.children[0].error == str(SystemLimitError.of(error))


async def test_cancel_reaches_a_running_worker_and_the_row_tells_what_happened(store: SqliteStore) -> None:
    async with processing(store, FunctionWorker(stops_when_asked)):
        changes = ParentJobOrchestrator(store).changes()
        await store.submit([new_job("sales")], OnDuplicate.REFUSE)
        async for change in changes:
            if change.job == JobId(1, 1) and change.new is Status.RUNNING:  # type: ignore[union-attr]
                break
        await store.request_cancel(JobId(1))
        (parent,) = await over(store, 1)
    assert parent.status is Status.CANCELLED
    assert {child.status for child in parent.children} == {Status.CANCELLED}
    kinds = [change.kind for change in await store.changes(0, 100)]
    assert kinds.count(ChangeKind.CANCEL_REQUESTED) == 1


async def test_a_processor_of_its_own_jobs_leaves_others_alone(store: SqliteStore) -> None:
    (foreign,) = await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with processing(store, FunctionWorker(completes), own_jobs_only=True) as processor:
        (own,) = await store.submit([new_job("stock", Operation.VACUUM)], OnDuplicate.REFUSE)
        processor.adopt([own])
        await over(store, own)
    assert (await store.job(foreign)).status is Status.PENDING


async def test_r26_an_outcome_is_stored_even_where_the_store_is_locked_for_long(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0.01)
    monkeypatch.setattr("engine.execution.store_retries.STORE_RETRY_INTERVAL", 0.01)
    other = sqlite3.connect(store.path, isolation_level=None)
    finish_and_claim = store.finish_and_claim
    tried, tried_twice = 0, asyncio.Event()

    async def count_tries(*arguments: object) -> object:
        nonlocal tried
        tried += 1
        if tried > 2:
            tried_twice.set()
        return await finish_and_claim(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "finish_and_claim", count_tries)

    async def locks_the_store(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        other.execute("BEGIN IMMEDIATE")
        return COMPLETED

    async with processing(store, FunctionWorker(locks_the_store)):
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        await tried_twice.wait()
        assert (await store.job(1)).children[0].status is Status.RUNNING
        other.execute("COMMIT")
        (parent,) = await over(store, 1)
    other.close()
    assert parent.status is Status.COMPLETED


async def test_r17_a_request_that_cannot_be_read_fails_with_that_reason(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    with sqlite3.connect(store.path) as other:
        other.execute('UPDATE parent_job SET options = \'{"lock_timeout": "soon"}\'')
    other.close()
    async with processing(store, DatabaseMaintenanceWorker(resolve)):
        (parent,) = await over(store, 1)
    assert (parent.status, parent.children[0].reason) == (Status.FAILED, Reason.INVALID)


async def test_r26_a_store_that_refuses_every_write_ends_the_engine_and_others_take_over(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.store_retries.STORE_RETRY_INTERVAL", 0)
    monkeypatch.setattr("engine.execution.store_retries.STORE_RETRIES", 3)
    refused = 0

    async def refuse(*_: object) -> None:
        nonlocal refused
        refused += 1
        raise StoreFullError("the store of jobs", "the disk is full")

    with monkeypatch.context() as full_disk, pytest.raises(StoreError, match="disk is full"):  # noqa: PT012
        full_disk.setattr(store, "finish_and_claim", refuse)
        full_disk.setattr(store, "finish", refuse)
        async with processing(store, FunctionWorker(completes), concurrency=1):
            await carried_out(store, new_job("sales", Operation.VACUUM))
    assert refused == 4
    assert await store.workers() == []
    assert await store.rescue() == [JobId(1, 1)]
    async with processing(store, FunctionWorker(completes)):
        (parent,) = await over(store, 1)
    assert parent.status is Status.COMPLETED


async def test_r27_an_outcome_that_cannot_be_stored_as_it_is_fails_its_child_and_nothing_else(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish_and_claim = store.finish_and_claim
    broken = iter([True])

    async def break_once(*arguments: object) -> object:
        if next(broken, False):
            raise ValueError("no such text")
        return await finish_and_claim(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "finish_and_claim", break_once)
    async with processing(store, FunctionWorker(completes), concurrency=1):
        (parent,) = await carried_out(store, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    assert [child.status for child in parent.children] == [Status.FAILED, Status.COMPLETED]
    assert "ValueError: " in str(parent.children[0].error)


async def test_r16_a_cancel_that_comes_before_the_claim_is_known_reaches_its_worker(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, claimed, go_on = store.claim, asyncio.Event(), asyncio.Event()

    async def claim_slowly(owner: str, parents: set[int] | None = None, run: str | None = None) -> Claim | None:
        found = await claim(owner, parents, run)
        if found is not None:
            claimed.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(store, "claim", claim_slowly)
    monkeypatch.setattr("engine.execution.processor.CANCEL_CHECK_INTERVAL", 0)
    async with asyncio.timeout(60), processing(store, FunctionWorker(stops_when_asked), concurrency=1) as processor:
        await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
        await claimed.wait()
        await store.request_cancel(JobId(1))
        while JobId(1, 1) not in processor._asked_to_stop:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0)
        go_on.set()
        (parent,) = await over(store, 1)
    assert (parent.status, parent.children[0].reason) == (Status.CANCELLED, Reason.CANCELLED_BY_USER)
