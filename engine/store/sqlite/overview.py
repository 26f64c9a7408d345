"""Reads of the state of all targets at once: for metrics and reports."""

from __future__ import annotations

from typing import Final

from engine.domain.overview import LastRun, ScheduleCounts
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.store.row_checks import checked, sound
from engine.store.rows import Row

LAST_RUNS: Final = "SELECT target, operation, status, reason, started_at, finished_at, completed_at FROM last_run"
"""One row for each operation of each target, kept by triggers: the history is not read."""
OPEN_JOBS: Final = """SELECT status, count(*) FROM parent_job INDEXED BY parent_job_open
WHERE finished_at IS NULL GROUP BY status"""
SCHEDULES: Final = """SELECT schedule, count(*) FILTER (WHERE status = 'fired'),
    count(*) FILTER (WHERE status = 'missed'), count(*) FILTER (WHERE status = 'skipped'),
    max(due_at) FILTER (WHERE status = 'fired'), max(due_at) FILTER (WHERE status = 'missed')
FROM firing GROUP BY schedule"""


def decode_run(row: Row) -> LastRun:
    """Raises UnsoundRowError."""
    target, operation, status, reason, started_at, finished_at, completed_at = row
    checked({"target": target, "at": finished_at, "started_at": started_at})
    with sound("an operation"):
        return LastRun(
            target=target,
            operation=Operation(operation),
            status=Status(status),
            reason=Reason(reason) if reason else None,
            finished_at=finished_at,
            seconds=None if started_at is None else max(finished_at - started_at, 0) / 1e6,
            completed_at=completed_at,
        )


def decode_schedule(row: Row) -> ScheduleCounts:
    name, fired, missed, skipped, fired_at, missed_at = row
    return ScheduleCounts(
        name=name, fired=fired, missed=missed, skipped=skipped, fired_at=fired_at, missed_at=missed_at
    )
