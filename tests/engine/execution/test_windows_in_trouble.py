"""Windows while clocks are set, processes die, and several jobs want the same database."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from engine import Engine, OnFailure, Operation, Options, ParentJob, Reason, Request, Status, Step
from engine.domain.claims import Report
from engine.domain.humanize import PAST_THE_LIMIT
from engine.store.sqlite.store import SqliteStore
from engine.system.clock import SteadyClock
from engine.targets.sqlite.running.operation import SqliteOperation
from tests.building import StoppedClock
from tests.engine.closing import window_closing_after

if TYPE_CHECKING:
    from pathlib import Path

    from engine.targets.plans import PlannedStep
    from engine.targets.step_execution import StepContext, StepResult

REINDEX, ANALYZE = Operation.REINDEX, Operation.ANALYZE
HOUR = 3_600_000_000
NAMES = [f"i{number}" for number in range(6)]
ALL = 10**6


@pytest.fixture
def tenant(tmp_path: Path) -> Path:
    path = tmp_path / "tenant.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (a)")
        for number, name in enumerate(NAMES):
            db.execute(f"CREATE INDEX {name} ON t (a, {number})")
        db.execute("INSERT INTO t VALUES (1), (2)")
    db.close()
    return path


def ends(job: ParentJob) -> list[tuple[Status, Reason | None]]:
    return [(child.status, child.reason) for child in job.children]


@pytest.mark.parametrize(
    ("jump", "analyze"),
    [(5 * HOUR, (Status.SKIPPED, Reason.TIME_LIMIT)), (-5 * HOUR, (Status.COMPLETED, None))],
)
async def test_a_clock_that_is_set_while_an_operation_runs_cuts_off_no_step(
    tenant: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    jump: int,
    analyze: tuple[Status, Reason | None],
) -> None:
    """What runs goes by a clock that nobody sets; what has not begun by that on the wall."""
    wall, jumps, execute = StoppedClock(), [jump], SqliteOperation.execute

    async def set_the_clock(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        if jumps:
            wall.at += jumps.pop()
        return await execute(self, step, context)

    monkeypatch.setattr(SqliteOperation, "execute", set_the_clock)
    request = Request(target=str(tenant), operations=(REINDEX, ANALYZE))
    clock = SteadyClock(lambda: wall.at * 1000)
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(60):
        (job,) = await engine.submit([request], closes_at=wall.at + HOUR)
        (job,) = await engine.wait([job.id])
        again = await engine.submit([request], closes_at=wall.at + HOUR)
        (after,) = await engine.wait([again[0].id])
    assert ends(job) == [(Status.COMPLETED, None), analyze]
    assert [step.object for step in job.children[0].steps if step.status is Status.COMPLETED] == NAMES
    assert ends(after) == [(Status.COMPLETED, None)] * 2  # the next window is whole, however the clock was set


async def test_a_job_whose_process_died_keeps_its_window_and_goes_on(tenant: Path, tmp_path: Path) -> None:
    clock = StoppedClock()
    async with Engine.open(tmp_path / "jobs.db", clock=clock) as engine:
        (job,) = await engine.submit([Request(target=str(tenant), operations=(REINDEX,))], closes_at=clock.at + HOUR)
    async with SqliteStore.open(tmp_path / "jobs.db", clock=clock) as store:
        claim = await store.claim("dead")
        assert claim is not None
        steps = [
            Step(
                number=number,
                attempt=1,
                object=name,
                command=f'REINDEX main."{name}"',
                status=status,
                operation=REINDEX,
                started_at=clock.at,
                finished_at=clock.at if status is Status.COMPLETED else None,
            )
            for number, (name, status) in enumerate(
                [(NAMES[0], Status.COMPLETED), (NAMES[1], Status.COMPLETED), (NAMES[2], Status.RUNNING)], 1
            )
        ]
        await store.report(claim, Report(steps=tuple(steps)))
        clock.at += HOUR // 2
        await store.rescue()
        (rescued,) = await store.jobs([job.id])
        assert (rescued.deadline_at, rescued.status) == (job.deadline_at, Status.RUNNING)
        claim = await store.claim("me")
        assert claim is not None
        assert (claim.recovering, claim.time_left) == (None, 1800)  # what is left of the hour
        await store.release(claim, Report())
    async with Engine.open(tmp_path / "jobs.db", workers=1, clock=clock) as engine, asyncio.timeout(60):
        with window_closing_after(ALL) as ran:
            (job,) = await engine.wait([job.id])
    assert ran == [*NAMES[2:], *NAMES[:2]]  # first what it had not done
    assert ends(job) == [(Status.COMPLETED, None)]


async def test_of_two_jobs_on_one_database_the_second_goes_on_where_the_first_stopped(
    tenant: Path, tmp_path: Path
) -> None:
    requests = [
        Request(target=str(tenant), operations=(REINDEX,), options=Options(on_failure=on_failure))
        for on_failure in OnFailure
    ]
    async with Engine.open(tmp_path / "jobs.db") as engine:
        jobs = [(await engine.submit([request]))[0] for request in requests]
    async with Engine.open(tmp_path / "jobs.db", workers=2) as engine, asyncio.timeout(60):
        with window_closing_after(3) as ran:
            ended = await engine.wait([job.id for job in jobs])
    assert ran == NAMES
    assert [job.left for job in ended] == [3, 3]
    assert ended[0].children[0].finished_at is not None
    assert (ended[1].children[0].started_at or 0) >= ended[0].children[0].finished_at


@pytest.mark.parametrize("fit", [True, False])
async def test_a_window_is_over_by_the_clock_also_while_its_timer_is_late(
    tenant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: bool
) -> None:
    execute = SqliteOperation.execute

    async def end_without_timer(self: SqliteOperation, step: PlannedStep, context: StepContext) -> StepResult:
        result = await execute(self, step, context)
        object.__setattr__(context.window, "closes_at", time.monotonic())
        assert not context.window.closed.is_set()
        return result

    monkeypatch.setattr(SqliteOperation, "execute", end_without_timer)
    request = Request(target=str(tenant), operations=(REINDEX,), options=Options(time_limit=3600, fit=fit))
    async with Engine.open(tmp_path / "jobs.db", workers=1) as engine, asyncio.timeout(60):
        (job,) = await engine.submit([request])
        (job,) = await engine.wait([job.id])
    (child,) = job.children
    assert ends(job) == [(Status.COMPLETED, Reason.TIME_LIMIT)]
    assert child.left == len(NAMES) - 1
    left = [step for step in child.steps if step.status is Status.SKIPPED]
    assert {(step.reason, step.error, step.effect) for step in left} == {(Reason.TIME_LIMIT, PAST_THE_LIMIT, None)}
