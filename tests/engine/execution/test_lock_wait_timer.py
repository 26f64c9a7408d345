"""For how long steps have waited, one by one and all together."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.claims import Claim, Report
from engine.domain.jobs import JobId, JobType
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.domain.steps import WAITING, WAITS, Step, WaitsFor
from engine.execution.lock_wait_timer import MOST_WAITS, LockWaitTimer, wait_facts
from engine.execution.reporter import Reporter
from engine.execution.worker import DatabaseMaintenanceWorker
from engine.targets import resolve
from engine.targets.lock_impact import NO_LOCK
from engine.targets.plans import PlannedStep
from engine.targets.step_execution import StepProgress, StepResult
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SECOND = 1_000_000
CLAIM = Claim(
    job=JobId(1, 1),
    type=JobType.OPERATION,
    attempt=1,
    owner="me",
    target="",
    operation=Operation.ANALYZE,
    options=Options(lock_timeout=60),
)


async def forget(report: Report) -> None:
    pass


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_only_while_every_step_waits_does_the_whole_wait() -> None:
    clock = Clock()
    waits = LockWaitTimer(clock)
    waits.update(1, waits=True)
    clock.now = 3
    waits.update(2, waits=False)
    clock.now = 4
    waits.update(2, waits=True)
    clock.now = 6
    waits.update(1, waits=False)
    clock.now = 7
    assert (waits.stop(1), waits.stop(2), waits.total) == (6, 3, 3 + 2)


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    clock = Clock()
    waits = LockWaitTimer(clock)
    clock.now = 10
    waits.update(1, waits=True)
    clock.now = 2
    assert (waits.stop(1), waits.total) == (0, 0)


def test_a_moment_is_not_worth_telling() -> None:
    assert wait_facts(SECOND // 3) == {}
    assert wait_facts(12 * SECOND + 345_678) == {"waited": 12.3}


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["works", "waits", "over"]), st.integers(0, 5))))
def test_nobody_waits_longer_than_it_runs_and_the_whole_no_longer_than_anybody(
    events: list[tuple[int, str, int]],
) -> None:
    clock = Clock()
    waits = LockWaitTimer(clock)
    began: dict[int, int] = {}
    each = 0
    for step, what, later in [*events, *((step, "over", 0) for step in (1, 2, 3))]:
        clock.now += later
        if what != "over":
            began.setdefault(step, clock.now)
            waits.update(step, waits=what == "waits")
        elif step in began:
            waited = waits.stop(step)
            assert 0 <= waited <= clock.now - began.pop(step)
            each += waited
    assert 0 <= waits.total <= each


async def test_what_a_step_and_its_operation_waited_for_a_lock_is_known_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.execution.reporter.FIRST_INTERVAL", 0)
    path, clock, waiting = make_database(tmp_path / "sales.db"), Clock(), asyncio.Event()

    steps: dict[int, Step] = {}

    async def listen(report: Report) -> None:
        steps.update((step.number, step) for step in report.steps)
        if report.progress.waits_for is WaitsFor.LOCK:
            waiting.set()

    claim = replace(CLAIM, target=str(path))
    reporter = Reporter(claim, listen, clock)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        running = asyncio.create_task(DatabaseMaintenanceWorker(resolve).execute(claim, reporter, asyncio.Event()))
        await waiting.wait()
        clock.now = 40 * SECOND
    outcome = await running
    assert outcome.status is Status.COMPLETED
    assert reporter.waited == {"waited": 40}
    await listen(await reporter.stop())
    assert sum(float(str((step.effect or {}).get("waited", 0))) for step in steps.values()) == 40


def waited_for_5_seconds() -> tuple[Reporter, Clock]:
    """One that was told of a step which has only waited so far."""
    clock = Clock()
    reporter = Reporter(CLAIM, forget, clock)
    reporter.begin([PlannedStep(object="o", command="c", reason="", lock=NO_LOCK)])
    reporter.begin_step(1)
    reporter.report_progress(1, StepProgress(phase=WAITING, waits_for=WaitsFor.LOCK))
    clock.now = 5 * SECOND
    return reporter, clock


async def test_what_is_looked_at_after_a_step_that_waited_to_its_end_is_no_wait() -> None:
    reporter, clock = waited_for_5_seconds()
    reporter.command_finished(1)
    clock.now = 7 * SECOND
    reporter.end_step(1, StepResult(status=Status.COMPLETED))
    (step,) = (await reporter.stop()).steps
    assert (step.finished_at, step.effect) == (5 * SECOND, {"waited": 5, WAITS: [0, 5 * SECOND]})
    assert reporter.waited == {"waited": 5}


async def test_when_a_step_waits_is_known_while_it_runs() -> None:
    reporter, clock = waited_for_5_seconds()
    reporter.note(1, {"method": "rebuild"})
    (step,) = (await reporter.stop()).steps
    assert step.waits == ((0, None),)
    reporter.report_progress(1, StepProgress(fraction=0.1))
    clock.now = 6 * SECOND
    reporter.report_progress(1, StepProgress(phase=WAITING, waits_for=WaitsFor.LOCK))
    (step,) = (await reporter.stop()).steps
    assert step.waits == ((0, 5 * SECOND), (6 * SECOND, None))
    assert step.effect is not None
    assert step.effect["method"] == "rebuild"


async def test_a_step_that_gave_way_keeps_its_waits_and_a_wait_before_the_first_step_is_shown_with_that() -> None:
    clock = Clock()
    reporter = Reporter(CLAIM, forget, clock)
    reporter.wait("the server is down", WaitsFor.SERVER)
    clock.now = SECOND
    reporter.begin([PlannedStep(object="o", command="c", reason="", lock=NO_LOCK)])
    for _ in range(2):
        reporter.begin_step(1)
        reporter.report_progress(1, StepProgress(phase=WAITING, waits_for=WaitsFor.LOCK))
        clock.now += 2 * SECOND
        reporter.end_step(1, StepResult(status=Status.SKIPPED))
        clock.now += SECOND
    (step,) = (await reporter.stop()).steps
    assert step.waits == ((0, SECOND), (SECOND, 3 * SECOND), (4 * SECOND, 6 * SECOND))
    assert step.effect is not None
    assert step.effect["waited"] == 2


def test_of_many_waits_those_that_lie_closest_together_become_one() -> None:
    clock = Clock()
    waits = LockWaitTimer(clock)
    for number in range(2 * MOST_WAITS):
        waits.update(1, waits=True)
        clock.now += SECOND
        waits.update(1, waits=False)
        clock.now += SECOND if number % 2 else 5
    times = waits.waits(1)[WAITS]
    assert isinstance(times, list)
    assert times == sorted(times)
    assert len(times) == 2 * MOST_WAITS


async def test_what_it_has_waited_is_told_while_it_still_runs() -> None:
    reporter, clock = waited_for_5_seconds()
    reporter.report_progress(1, StepProgress(fraction=0.1))
    clock.now = 7 * SECOND
    assert (await reporter.stop()).progress.waited == 5 * SECOND
