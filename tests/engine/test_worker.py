"""One child, executed on a real file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine.clock import now
from engine.jobs import Claim, JobId, JobType, Operation, Options, Status
from engine.reporter import Reporter
from engine.targets import resolve
from engine.targets.sqlite.session import SqliteSession
from engine.worker import DatabaseMaintenanceWorker
from tests.sqlite_files import make_database

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from engine.jobs import Report
    from engine.targets.base import PlannedStep, StepResult


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

    async def keep(report: Report) -> None:
        pass

    monkeypatch.setattr(SqliteSession, "execute", cancel_comes_too_late)
    claim = Claim(
        job=JobId(1, 1),
        type=JobType.OPERATION,
        attempt=1,
        owner="me",
        target=str(path),
        operation=Operation.VACUUM,
        options=Options(),
    )
    reporter = Reporter(claim, keep, now)
    outcome = await DatabaseMaintenanceWorker(resolve).execute(claim, reporter, cancel)
    await reporter.stop()
    assert (outcome.status, outcome.error) == (Status.COMPLETED, None)
    assert outcome.after is not None
    assert outcome.after["size"] == path.stat().st_size < size
