"""One child, executed on a real file."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from engine.clock import now
from engine.errors import TargetError
from engine.execution import Claim
from engine.jobs import FINISHING, JobId, JobType, Operation, Options, Status
from engine.reporter import Reporter
from engine.targets import resolve
from engine.targets.base import StepResult
from engine.targets.sqlite.session import SqliteSession
from engine.worker import DatabaseMaintenanceWorker, _CancelledBeforehandError, _unless
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from pathlib import Path

    from engine.execution import Report
    from engine.targets.base import PlannedStep


def claim_of(path: Path) -> Claim:
    return Claim(
        job=JobId(1, 1),
        type=JobType.OPERATION,
        attempt=1,
        owner="me",
        target=str(path),
        operation=Operation.VACUUM,
        options=Options(),
    )


async def forget(report: Report) -> None:
    pass


async def test_a_vacuum_that_was_over_when_the_cancel_came_ends_completed_with_its_true_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_database(tmp_path / "sales.db", journal_mode="wal")
    size = path.stat().st_size
    cancel = asyncio.Event()
    execute = SqliteSession.execute

    async def cancel_comes_too_late(self: SqliteSession, step: PlannedStep, asked: asyncio.Event) -> StepResult:
        result = await execute(self, step, asked)
        cancel.set()
        return result

    monkeypatch.setattr(SqliteSession, "execute", cancel_comes_too_late)
    reporter = Reporter(claim_of(path), forget, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim_of(path), reporter, cancel)
    await reporter.stop()
    assert (outcome.status, outcome.error) == (Status.COMPLETED, None)
    assert outcome.after is not None
    assert outcome.after["size"] == path.stat().st_size < size


async def test_r16_a_step_that_cannot_be_interrupted_says_so_and_ends_as_what_really_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.worker.STOPS_WITHIN", 0)
    monkeypatch.setattr("engine.reporter.INTERVAL", 0)
    path = make_database(tmp_path / "sales.db")
    cancel, finishing, execute = asyncio.Event(), asyncio.Event(), SqliteSession.execute

    async def goes_on_until_it_was_told(self: SqliteSession, step: PlannedStep, asked: asyncio.Event) -> StepResult:
        cancel.set()
        await finishing.wait()
        return await execute(self, step, asyncio.Event())

    async def listen(report: Report) -> None:
        if report.progress.phase == FINISHING:
            finishing.set()

    monkeypatch.setattr(SqliteSession, "execute", goes_on_until_it_was_told)
    reporter = Reporter(claim_of(path), listen, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim_of(path), reporter, cancel)
    report = await reporter.stop()
    assert (outcome.status, outcome.reason) == (Status.COMPLETED, None)
    assert report.progress.phase is None


async def test_r16_a_step_that_stops_when_asked_is_never_said_to_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.worker.STOPS_WITHIN", 60)
    monkeypatch.setattr("engine.reporter.INTERVAL", 0)
    path = make_database(tmp_path / "sales.db")
    cancel = asyncio.Event()
    phases: set[str | None] = set()

    async def stops(self: SqliteSession, step: PlannedStep, asked: asyncio.Event) -> StepResult:
        cancel.set()
        return StepResult(status=Status.CANCELLED)

    async def listen(report: Report) -> None:
        phases.add(report.progress.phase)

    monkeypatch.setattr(SqliteSession, "execute", stops)
    reporter = Reporter(claim_of(path), listen, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim_of(path), reporter, cancel)
    phases.add((await reporter.stop()).progress.phase)
    assert outcome.status is Status.CANCELLED
    assert phases == {None}


async def test_a_look_that_fails_while_it_is_cancelled_is_no_news() -> None:
    """What was cancelled is cancelled: asyncio has no error to complain of afterwards, on the user's terminal."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    asked = asyncio.Event()

    async def fails_when_cancelled() -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise TargetError("sales.db", "is locked") from None

    with pytest.raises(_CancelledBeforehandError):
        await _unless(asked, fails_when_cancelled())
    gc.collect()
    assert complaints == []
