"""R14: when an engine stops, its operations have ended or are handed back; none runs without an owner."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import Engine, JobId, OnDuplicate, Operation, Options, Reason, Request, Status
from engine.domain.claims import Outcome, Report
from engine.domain.errors import StoreError, StoreUnreachableError
from engine.execution.kept_results import KeptResults
from engine.store.sqlite.store import SqliteStore
from tests.building import CANCELLED, COMPLETED, new_job
from tests.engine.working import FunctionWorker, completes, over, processing, stops_when_asked
from tests.sqlite_files import content, integrity, make_database, transaction

if TYPE_CHECKING:
    from engine.domain.claims import Claim
    from engine.domain.jobs import ParentJob
    from engine.execution.reporter import Reporter

STEPS = 3


class Moments:
    """Counts what happens, and says when it has happened so many times."""

    def __init__(self, until: int) -> None:
        self._left = until
        self.come = asyncio.Event()

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.come.set()


class ObservedStore:
    """A store of which each call, and each answer, is a moment."""

    def __init__(self, store: SqliteStore, moments: Moments) -> None:
        self._store = store
        self._moments = moments

    def __getattr__(self, name: str) -> object:
        method = getattr(self._store, name)
        if name not in {"claim", "finish", "finish_and_claim", "release", "report"}:
            return method

        async def observed(*arguments: object) -> object:
            self._moments.count()
            try:
                return await method(*arguments)
            finally:
                self._moments.count()

        return observed


async def stop_at(moment: int, path: Path) -> tuple[bool, int]:
    """Stop a processor at that moment of its work; whether the work was over before, and how much was handed back."""
    moments = Moments(moment)

    async def works_step_by_step(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        for _ in range(STEPS):
            moments.count()
            if cancel.is_set():
                return CANCELLED
            await asyncio.sleep(0)
        return COMPLETED

    async with SqliteStore.open(path) as store:
        await store.submit([new_job("sales"), new_job("stock", Operation.VACUUM)], OnDuplicate.REFUSE)
        observed: SqliteStore = ObservedStore(store, moments)  # type: ignore[assignment]
        async with processing(observed, FunctionWorker(works_step_by_step)):
            done = asyncio.create_task(over(store, 1, 2))
            await asyncio.wait({done, asyncio.create_task(moments.come.wait())}, return_when=asyncio.FIRST_COMPLETED)
        was_over = done.done()
        assert await store.workers() == []
        for parent in await store.jobs([1, 2]):
            for child in parent.children:
                assert child.status in {Status.PENDING, Status.COMPLETED}
                assert child.owner is None
        assert attempts_left(path) == {2}
        async with processing(store, FunctionWorker(completes)):
            parents = await over(store, 1, 2)
        assert [parent.status for parent in parents] == [Status.COMPLETED] * 2
        assert {child.status for parent in parents for child in parent.children} == {Status.COMPLETED}
        await done
    return was_over, handed_back(parents)


def attempts_left(path: Path) -> set[int]:
    """Of the children that are pending."""
    with closing(sqlite3.connect(path)) as file:
        rows = file.execute("SELECT max_attempts - attempt FROM child_job WHERE status = 'pending'")
        return {2, *(left for (left,) in rows)}


def handed_back(parents: list[ParentJob]) -> int:
    """How many attempts were; the others completed their child."""
    number = 0
    for child in (child for parent in parents for child in parent.children):
        *earlier, last = child.attempts
        assert [attempt.number for attempt in child.attempts] == list(range(1, child.attempt + 1))
        assert {(a.status, a.reason) for a in earlier} <= {(Status.CANCELLED, Reason.SHUTDOWN)}
        assert last.status is Status.COMPLETED
        number += len(earlier)
    return number


async def test_r14_stopped_at_any_moment_all_has_ended_or_is_handed_back() -> None:
    moment, was_over, interrupted = 0, False, 0
    while not was_over:
        moment += 1
        with tempfile.TemporaryDirectory() as directory:
            was_over, number = await stop_at(moment, Path(directory) / "jobs.db")
        interrupted += bool(number)
    assert interrupted > STEPS


async def test_r14_draining_lets_what_runs_end_and_starts_nothing_more(store: SqliteStore) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def waits(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        started.set()
        await go_on.wait()
        return CANCELLED if cancel.is_set() else COMPLETED

    async with asyncio.timeout(30), processing(store, FunctionWorker(waits), concurrency=1) as processor:
        await store.submit([new_job("sales", Operation.VACUUM, Operation.ANALYZE)], OnDuplicate.REFUSE)
        await started.wait()
        draining = asyncio.create_task(processor.drain(None))
        await asyncio.sleep(0)
        assert not draining.done()
        go_on.set()
        await draining
    first, second = (await store.job(1)).children
    assert (first.status, second.status, second.attempt) == (Status.COMPLETED, Status.PENDING, 0)


async def test_r14_what_has_not_ended_within_the_grace_is_handed_back(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    before = content(path)
    request = Request(target=str(path), operations=(Operation.VACUUM,), options=Options(lock_timeout=600))
    with transaction(path, "IMMEDIATE"):
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
            changes = engine.changes()
            await engine.submit([request])
            async for change in changes:
                if change.job == JobId(1, 1) and change.new is Status.RUNNING:  # type: ignore[union-attr]
                    break
            await engine.drain(0.01)
    async with Engine.open(tmp_path / "jobs.db") as watching:
        (child,) = (await watching.job(1)).children
        assert (child.status, child.owner) == (Status.PENDING, None)
        assert [(a.status, a.reason) for a in child.attempts] == [(Status.CANCELLED, Reason.SHUTDOWN)]
        assert attempts_left(tmp_path / "jobs.db") == {2}
        async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(30):
            (parent,) = await engine.wait([1])
    assert parent.status is Status.COMPLETED
    assert [attempt.status for attempt in parent.children[0].attempts] == [Status.CANCELLED, Status.COMPLETED]
    assert content(path) == before
    assert integrity(path) == []


async def test_r14_a_store_that_is_locked_for_a_while_at_the_stop_is_waited_for(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0)
    monkeypatch.setattr("engine.execution.store_retries.STORE_RETRY_INTERVAL", 0)
    release, started = store.release, asyncio.Event()

    async def unlock_at_the_second_try(*arguments: object) -> None:
        try:
            await release(*arguments)  # type: ignore[arg-type]
        except StoreError:
            other.execute("ROLLBACK")
            raise

    async def starts(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        started.set()
        return await stops_when_asked(claim, reporter, cancel)

    monkeypatch.setattr(store, "release", unlock_at_the_second_try)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        async with processing(store, FunctionWorker(starts)):
            await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
            await started.wait()
            other.execute("BEGIN IMMEDIATE")
        assert not other.in_transaction
    (child,) = (await store.job(1)).children
    assert (child.status, child.owner, attempts_left(store.path)) == (Status.PENDING, None, {2})
    assert await store.workers() == []


async def test_r14_a_store_that_stays_locked_does_not_keep_a_process_from_ending(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.sqlite.writer.BUSY_TIMEOUT", 0)
    monkeypatch.setattr("engine.execution.store_retries.STORE_RETRY_INTERVAL", 0)
    locked = asyncio.Event()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:

        async def locks_the_store(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
            other.execute("BEGIN IMMEDIATE")
            locked.set()
            return COMPLETED

        with pytest.raises(StoreError, match="kept it locked"):  # noqa: PT012 - the end of the block raises
            async with processing(store, FunctionWorker(locks_the_store)):
                await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
                await locked.wait()
        assert [worker.alive for worker in await store.workers()] == [False]
    await is_taken_over(store)


async def test_r14_a_server_that_is_away_does_not_keep_a_process_from_ending(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is away when the process asks what became of a result that an earlier one has kept."""
    monkeypatch.setattr("engine.execution.store_retries.STORE_RETRY_INTERVAL", 0)
    results, asked = KeptResults(store.path), asyncio.Event()
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    async with store.hosting_workers() as owner:
        claim = await store.claim(owner)
        assert claim is not None
        results.keep(claim, COMPLETED, Report())
        await store.release(claim, Report())

    async def is_away(parent: int) -> ParentJob:
        asked.set()
        raise StoreUnreachableError("the store", "the server does not answer", "see to the server")

    with monkeypatch.context() as away, pytest.raises(StoreUnreachableError):  # noqa: PT012
        away.setattr(store, "job", is_away)
        async with asyncio.timeout(30), processing(store, FunctionWorker(completes), results=results):
            await asked.wait()
    assert await store.rescue() == [JobId(1, 1)]


async def test_r14_who_is_told_twice_leaves_at_once_and_others_take_over(store: SqliteStore) -> None:
    started, is_asked = asyncio.Event(), asyncio.Event()

    async def never_ends(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        started.set()
        await cancel.wait()
        is_asked.set()
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def host() -> None:
        async with processing(store, FunctionWorker(never_ends)):
            await asyncio.Event().wait()

    hosted_workers = asyncio.create_task(host())
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    await started.wait()
    hosted_workers.cancel()
    await is_asked.wait()
    assert not hosted_workers.done()
    hosted_workers.cancel()
    await asyncio.wait({hosted_workers}, timeout=10)
    assert hosted_workers.cancelled()
    await is_taken_over(store)


async def test_r32_a_recovery_that_a_stop_ends_while_it_waits_is_handed_back(
    store: SqliteStore,
) -> None:
    started = asyncio.Event()

    async def waits(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        started.set()
        await cancel.wait()
        return replace(CANCELLED, reason=Reason.SHUTDOWN if claim.recovering else Reason.CANCELLED_BY_USER)

    async def recovers(claim: Claim, reporter: Reporter, cancel: asyncio.Event) -> Outcome:
        assert claim.recovering is Reason.OWNER_LOST
        return Outcome(status=Status.FAILED, reason=Reason.OWNER_LOST, error="recovered")

    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    for _ in range(2):
        assert await store.claim("dead", None, None) is not None
        assert await store.rescue() == [JobId(1, 1)]
    async with processing(store, FunctionWorker(waits)):
        await started.wait()
    assert (await store.job(1)).children[0].status is Status.PENDING
    async with processing(store, FunctionWorker(recovers)):
        (parent,) = await over(store, 1)
    assert parent.children[0].error == "recovered"


async def is_taken_over(store: SqliteStore) -> None:
    assert (await store.job(1)).children[0].status is Status.RUNNING
    assert await store.rescue() == [JobId(1, 1)]
    async with processing(store, FunctionWorker(completes)):
        (parent,) = await over(store, 1)
    (child,) = parent.children
    assert [(a.status, a.reason) for a in child.attempts] == [
        (Status.FAILED, Reason.OWNER_LOST),
        (Status.COMPLETED, None),
    ]
