"""The signal that ended a process decides what becomes of its jobs; its parent process records it."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Report
from engine.domain.humanize import OVERWRITTEN, format_worker_death
from engine.domain.jobs import JobId
from engine.domain.requests import EngineName, OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Step
from engine.execution.worker_identity import WorkerIdentity
from engine.store.sqlite import liveness
from tests.building import new_job

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.protocol import NewJob
    from engine.store.sqlite.store import SqliteStore


async def run_until_killed_by(store: SqliteStore, number: int, job: NewJob) -> None:
    await store.submit([job], OnDuplicate.REFUSE)
    claim = await store.claim("dead")
    assert claim is not None
    step = Step(number=1, attempt=1, object="main", command="VACUUM", status=Status.RUNNING, started_at=5)
    await store.report(claim, Report(steps=(step,)))
    assert await store._rescue_from("dead", number) == [JobId(1, 1)]


async def test_where_the_file_was_overwritten_nothing_of_the_job_touches_it_again(store: SqliteStore) -> None:
    await run_until_killed_by(store, signal.SIGBUS, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    parent = await store.job(1)
    vacuum, analyze = parent.children
    assert (parent.status, vacuum.status, vacuum.reason) == (Status.FAILED, Status.FAILED, Reason.OWNER_LOST)
    assert (vacuum.error or "").startswith(f"{OVERWRITTEN}: ")
    assert [(step.status, step.error) for step in vacuum.steps] == [(Status.FAILED, OVERWRITTEN)]
    assert (analyze.status, analyze.reason) == (Status.SKIPPED, Reason.PREVIOUS_FAILED)
    assert await store.claim("me") is None


async def test_so_it_is_where_a_cancel_was_asked_for(store: SqliteStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    await store.claim("dead")
    await store.request_cancel(JobId(1, 1))
    await store._rescue_from("dead", signal.SIGBUS)
    (child,) = (await store.job(1)).children
    assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)


async def test_a_server_has_no_file_that_could_be_overwritten(store: SqliteStore) -> None:
    job = replace(new_job("sales", Operation.VACUUM), engine=EngineName.POSTGRESQL)
    await run_until_killed_by(store, signal.SIGBUS, job)
    (child,) = (await store.job(1)).children
    assert child.status is Status.PENDING
    assert [attempt.signal for attempt in child.attempts] == [signal.SIGBUS]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
async def test_other_signals_are_kept_with_the_attempt_and_told_to_the_next(store: SqliteStore, number: int) -> None:
    await run_until_killed_by(store, number, new_job("sales", Operation.VACUUM))
    (child,) = (await store.job(1)).children
    assert [(attempt.reason, attempt.signal) for attempt in child.attempts] == [(Reason.OWNER_LOST, number)]
    assert [step.error for step in child.steps] == [format_worker_death(1, number)]
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.deaths, claim.signal) == (1, number)


def test_only_a_crash_is_told_with_its_signal() -> None:
    assert format_worker_death(2, signal.SIGSEGV) == "the process that ran it crashed (SIGSEGV), 2 times"
    assert format_worker_death(1, signal.SIGKILL) == format_worker_death(1) == "the process that ran it died"


def test_who_is_found_dead_has_its_signal_noted_already(tmp_path: Path) -> None:
    """Its lock is free only after the process that started it has told how it ended."""
    store = tmp_path / "jobs.db"
    identity = WorkerIdentity(store, pool=4711)
    pid = os.fork()
    if not pid:
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert liveness.is_alive(store, identity.owner, None, None)
    identity.note_signal(signal.SIGKILL)
    identity.close()
    assert not liveness.is_alive(store, identity.owner, None, None)
    assert liveness.signal_of(store, identity.owner) == signal.SIGKILL


async def test_a_process_is_registered_under_the_identity_that_it_was_given(store: SqliteStore) -> None:
    identity = WorkerIdentity(store.path, pool=4711)
    try:
        async with store.hosting_workers(identity=identity) as owner:
            (process,) = await store.workers()
            assert (owner, process.pool, process.alive) == (identity.owner, 4711, True)
        assert await store.workers() == []
        assert not (store.path.with_name(f"{store.path.name}.d") / f"{owner}.lock").exists()
    finally:
        identity.close()
