"""An operation with steps left at its time limit has completed in part: nowhere does that count as complete."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from engine import Engine, Facts, JobOutcome, Operation, Options, Reason, Request, Status
from engine.domain.claims import Outcome, Report
from engine.domain.events import HistoryFilter
from engine.domain.requests import CheckLevel, OnDuplicate, OnFailure, Speed
from engine.domain.time_limits import window
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.history.estimates import expected_seconds
from engine.history.target_history import backed_up_at, check_history, still_damaged, vacuumed
from engine.store.sqlite.store import SqliteStore
from engine.submission.retry import retry_request
from engine.system.clock import now
from engine.targets import resolve
from engine.targets.sqlite.running.operation import SqliteOperation
from tests.building import COMPLETED, new_job
from tests.engine.execution.test_worker import claim_of, forget
from tests.sqlite_files import add_index_that_cannot_be_rebuilt, make_database
from tests.tui.jobs import child, parent

if TYPE_CHECKING:
    from pathlib import Path

    from engine.targets.plans import PlannedStep
    from engine.targets.step_execution import StepContext, StepResult

IN_PART = (Status.COMPLETED, Reason.TIME_LIMIT)
SKIPPED = (Status.SKIPPED, Reason.TIME_LIMIT)
LATE = Outcome(status=Status.COMPLETED, reason=Reason.TIME_LIMIT, error="1 of 3 steps done by the time limit", left=2)
VACUUM, ANALYZE, REINDEX = Operation.VACUUM, Operation.ANALYZE, Operation.REINDEX


@pytest.fixture
def first_step_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit passes while the first step runs."""
    execute = SqliteOperation.execute

    async def execute_until_late(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        context.window.closed.set()
        return await execute(self, step, context)

    monkeypatch.setattr(SqliteOperation, "execute", execute_until_late)


async def carried_out(path: Path, operation: Operation, **options: Any) -> Outcome:
    claim = replace(claim_of(path, operation, Options(**options)), time_left=3600.0)
    reporter = Reporter(claim, forget, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim, reporter, asyncio.Event())
    await reporter.stop()
    return outcome


async def test_past_the_limit_no_step_begins(tmp_path: Path, first_step_is_the_last: None) -> None:
    outcome = await carried_out(make_database(tmp_path / "sales.db"), REINDEX)
    assert (outcome.status, outcome.reason) == IN_PART
    assert outcome.left > 0
    assert outcome.error is not None
    assert outcome.error.startswith("1 of ")


async def test_where_the_limit_passes_before_the_first_step_nothing_is_done(tmp_path: Path) -> None:
    path = make_database(tmp_path / "sales.db")
    claim = replace(claim_of(path, REINDEX), time_left=0.0)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim, Reporter(claim, forget, now), asyncio.Event())
    assert (outcome.status, outcome.reason, outcome.error) == (*SKIPPED, None)
    assert outcome.left > 0


async def test_the_second_half_of_a_backup_runs_all_the_same(tmp_path: Path, first_step_is_the_last: None) -> None:
    path = make_database(tmp_path / "sales.db")
    outcome = await carried_out(path, Operation.BACKUP, backup_to=str(tmp_path / "copy.db"))
    assert (outcome.status, outcome.reason, outcome.left) == (Status.COMPLETED, None, 0)
    assert (tmp_path / "copy.db").exists()


async def test_so_does_the_checkpoint_after_a_vacuum(tmp_path: Path, first_step_is_the_last: None) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    outcome = await carried_out(path, VACUUM)
    assert (outcome.status, outcome.reason, outcome.left) == (Status.COMPLETED, None, 0)
    assert (outcome.after or {})["wal_size"] == 0


async def test_a_check_that_was_not_through_says_so(tmp_path: Path, first_step_is_the_last: None) -> None:
    outcome = await carried_out(make_database(tmp_path / "sales.db"), Operation.CHECK)
    assert (outcome.status, outcome.reason) == IN_PART
    assert (outcome.after or {})["complete"] is False


async def test_what_fails_before_the_limit_is_a_failure_that_tells_what_is_left(
    tmp_path: Path, first_step_is_the_last: None
) -> None:
    path = make_database(tmp_path / "sales.db")
    add_index_that_cannot_be_rebuilt(path, "a")
    outcome = await carried_out(path, REINDEX)
    assert outcome.left > 0
    if outcome.status is Status.FAILED:
        assert "time limit" in (outcome.error or "")


async def test_no_operation_of_its_job_begins_after_it_whatever_the_clock_says(store_path: Path) -> None:
    """The clock of the store may have been set back since."""
    async with SqliteStore.open(store_path) as store:
        job = new_job("sales", VACUUM, ANALYZE, deadline_at=now() + 3_600_000_000)
        await store.submit([job], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        assert 3599 < (claim.time_left or 0) <= 3600
        assert await store.finish_and_claim(claim, LATE, Report()) is None
        (job_now,) = await store.jobs([1])
        assert [(c.status, c.reason, c.left) for c in job_now.children] == [(*IN_PART, 2), (*SKIPPED, 0)]
        assert (job_now.status, job_now.left, job_now.not_begun) == (Status.COMPLETED, 2, 1)


async def test_after_a_first_check_in_part_nothing_of_a_job_that_verifies_begins(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.submit([new_job("sales", VACUUM, verify=True)], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        assert await store.finish_and_claim(claim, LATE, Report()) is None
        (job,) = await store.jobs([1])
        assert [(c.status, c.reason) for c in job.children] == [IN_PART, SKIPPED, SKIPPED]


async def test_the_history_finds_what_is_partial(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        await store.submit([new_job("sales", VACUUM), new_job("stock", VACUUM)], OnDuplicate.REFUSE)
        for outcome in (LATE, COMPLETED):
            claim = await store.claim("me")
            assert claim is not None
            await store.finish(claim, outcome, Report())
        where = HistoryFilter(status=JobOutcome.PARTIAL)
        found = await store.history(where, before=None, limit=10)
        assert [job.id for job in found] == [1]
        assert [where.matches(job) for job in await store.jobs([1, 2])].count(True) == 1


async def test_how_long_it_took_is_no_measure_of_how_long_all_of_it_takes(store_path: Path) -> None:
    async with SqliteStore.open(store_path) as store:
        for outcome in (LATE, COMPLETED):
            await store.submit([new_job("sales", REINDEX)], OnDuplicate.REFUSE)
            claim = await store.claim("me")
            assert claim is not None
            await store.finish(claim, outcome, Report())
        runs = await store.past_runs("sqlite:///sales.db", REINDEX, newest=9, jobs=10, runs=10)
        assert [(run.job.parent, run.status) for run in runs] == [(2, Status.COMPLETED)]
        jobs = await store.history(HistoryFilter(), before=None, limit=10)
        assert expected_seconds(REINDEX, Options(), [jobs[1]], {}) is None
        await store.past_steps("sqlite:///sales.db", REINDEX, speed=Speed.FULL, jobs=10, runs=10)


def test_what_is_repeated_of_a_job_is_also_what_was_done_in_part() -> None:
    job = parent(child(operation=VACUUM), child(2, *IN_PART, operation=REINDEX), child(3, operation=ANALYZE))
    assert retry_request(job, only_incomplete=True).operations == (REINDEX,)


def test_a_check_in_part_proves_nothing_but_what_it_found_counts() -> None:
    facts: Facts = {"findings": 0, "level": CheckLevel.FULL, "complete": False}
    partly = replace(child(1, *IN_PART, operation=Operation.CHECK), after=facts)
    said = check_history([parent(partly)])
    assert (said.clean_at, said.compared_at) == ({}, None)
    whole = replace(child(operation=Operation.CHECK), after={**facts, "complete": True})
    assert check_history([parent(whole)]).clean_at


def test_neither_a_vacuum_nor_a_backup_nor_a_rebuild_in_part_is_one() -> None:
    assert vacuumed([parent(child(1, *IN_PART, operation=VACUUM))]) is None
    assert backed_up_at([parent(child(1, *IN_PART, operation=Operation.BACKUP))]) is None
    found_by = replace(child(operation=Operation.CHECK), parent_id=1).id
    partly = parent(child(1, *IN_PART, operation=REINDEX))
    assert list(still_damaged({"i1": found_by}, [partly])) == ["i1"]


async def test_an_operation_in_part_does_not_stop_the_others_as_a_failure_does(store_path: Path) -> None:
    """They are left by the limit, which is what the history says of them."""
    async with SqliteStore.open(store_path) as store:
        job = new_job("sales", VACUUM, ANALYZE, on_failure=OnFailure.STOP, deadline_at=now() + 3_600_000_000)
        await store.submit([job], OnDuplicate.REFUSE)
        claim = await store.claim("me")
        assert claim is not None
        await store.finish(claim, LATE, Report())
        (job_now,) = await store.jobs([1])
        assert (job_now.children[1].status, job_now.children[1].reason) == SKIPPED


@pytest.mark.parametrize("time_left", [None, 60.0])
async def test_the_time_left_is_counted_by_a_clock_that_nobody_sets(time_left: float | None) -> None:
    with window(time_left) as opened, window(0.001) as short:
        await asyncio.wait_for(short.closed.wait(), 30)
        assert not opened.closed.is_set()
    with window(-5.0) as opened:
        assert opened.closed.is_set()
    with window(60.0, time.monotonic() - 60.0) as opened:  # on a busy machine the work begins long after its claim
        assert opened.closed.is_set()


async def test_an_engine_tells_how_much_is_left(tmp_path: Path, first_step_is_the_last: None) -> None:
    path = make_database(tmp_path / "sales.db")
    options = Options(time_limit=3600)
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine:
        (job,) = await engine.submit([Request(target=str(path), operations=(REINDEX, ANALYZE), options=options)])
        (job,) = await engine.wait([job.id])
    assert [(c.status, c.reason) for c in job.children] == [IN_PART, SKIPPED]
    assert job.children[0].left == job.left > 0
    assert job.not_begun == 1
