"""The signal that ended a process decides what becomes of its jobs."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from engine.domain.claims import Report
from engine.domain.engines import EngineName
from engine.domain.jobs import JobId
from engine.domain.requests import OnDuplicate, Operation
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Step
from engine.store.ending_texts import OVERWRITTEN, format_worker_death
from tests.building import new_job
from tests.conformance.stores import RescuingStore

if TYPE_CHECKING:
    from engine.store.protocol import NewJob


async def run_until_killed_by(store: RescuingStore, number: int, job: NewJob) -> None:
    await store.submit([job], OnDuplicate.REFUSE)
    claim = await store.claim("dead")
    assert claim is not None
    step = Step(number=1, attempt=1, object="main", command="VACUUM", status=Status.RUNNING, started_at=5)
    await store.report(claim, Report(steps=(step,)))
    assert await store._rescue_from("dead", number) == [JobId(1, 1)]


async def test_where_the_file_was_overwritten_nothing_of_the_job_touches_it_again(store: RescuingStore) -> None:
    await run_until_killed_by(store, signal.SIGBUS, new_job("sales", Operation.VACUUM, Operation.ANALYZE))
    parent = await store.job(1)
    vacuum, analyze = parent.children
    assert (parent.status, vacuum.status, vacuum.reason) == (Status.FAILED, Status.FAILED, Reason.OWNER_LOST)
    assert (vacuum.error or "").startswith(f"{OVERWRITTEN}: ")
    assert [(step.status, step.error) for step in vacuum.steps] == [(Status.FAILED, OVERWRITTEN)]
    assert (analyze.status, analyze.reason) == (Status.SKIPPED, Reason.PREVIOUS_FAILED)
    assert await store.claim("me") is None


async def test_so_it_is_where_a_cancel_was_asked_for(store: RescuingStore) -> None:
    await store.submit([new_job("sales", Operation.VACUUM)], OnDuplicate.REFUSE)
    await store.claim("dead")
    await store.request_cancel(JobId(1, 1))
    await store._rescue_from("dead", signal.SIGBUS)
    (child,) = (await store.job(1)).children
    assert (child.status, child.reason) == (Status.FAILED, Reason.OWNER_LOST)


async def test_a_server_has_no_file_that_could_be_overwritten(store: RescuingStore) -> None:
    job = replace(new_job("sales", Operation.VACUUM), engine=EngineName.POSTGRESQL)
    await run_until_killed_by(store, signal.SIGBUS, job)
    (child,) = (await store.job(1)).children
    assert child.status is Status.PENDING
    assert [attempt.signal for attempt in child.attempts] == [signal.SIGBUS]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
async def test_other_signals_are_kept_with_the_attempt_and_told_to_the_next(store: RescuingStore, number: int) -> None:
    await run_until_killed_by(store, number, new_job("sales", Operation.VACUUM))
    (child,) = (await store.job(1)).children
    assert [(attempt.reason, attempt.signal) for attempt in child.attempts] == [(Reason.OWNER_LOST, number)]
    assert [step.error for step in child.steps] == [format_worker_death(1, number)]
    claim = await store.claim("me")
    assert claim is not None
    assert (claim.deaths, claim.signal) == (1, number)
