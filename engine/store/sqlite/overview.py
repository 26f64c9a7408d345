"""Reads of the state of all targets at once: for metrics and reports."""

from __future__ import annotations

from typing import Final

from engine.domain.overview import LastRun, ScheduleCounts
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.store.sqlite.history_search import TARGETS
from engine.store.sqlite.row_checks import checked, sound
from engine.store.sqlite.rows import Row

JOBS_READ: Final = 20
"""The newest jobs of each target that are read."""
_RUNS: Final = f"""WITH target (name) AS ({TARGETS})
SELECT t.name, c.operation, max(p.id * 1000 + c.ordinal), c.status, c.reason, c.started_at, c.finished_at
FROM target AS t
CROSS JOIN parent_job AS p INDEXED BY parent_job_target ON p.target = t.name AND p.id >= coalesce((
    SELECT id FROM parent_job WHERE target = t.name ORDER BY id DESC LIMIT 1 OFFSET {JOBS_READ}), 0)
CROSS JOIN child_job AS c ON c.parent_id = p.id
WHERE c.finished_at IS NOT NULL AND {{only}}
GROUP BY t.name, c.operation"""
# With max() the other columns are of the same row.
LAST_RUNS: Final = _RUNS.format(only="c.status <> 'skipped'")
LAST_COMPLETED: Final = _RUNS.format(only="c.status = 'completed' AND c.reason IS NULL")
OPEN_JOBS: Final = """SELECT status, count(*) FROM parent_job INDEXED BY parent_job_open
WHERE finished_at IS NULL GROUP BY status"""
SCHEDULES: Final = """SELECT schedule, count(*) FILTER (WHERE status = 'fired'),
    count(*) FILTER (WHERE status = 'missed'), count(*) FILTER (WHERE status = 'skipped'),
    max(due_at) FILTER (WHERE status = 'fired'), max(due_at) FILTER (WHERE status = 'missed')
FROM firing GROUP BY schedule"""
WAITING_MESSAGES: Final = """SELECT name,
    (SELECT count(*) FROM message INDEXED BY message_waiting WHERE recipient = name AND status = 'waiting')
FROM recipient"""


def decode_run(row: Row, completed_at: int | None) -> LastRun:
    """Raises UnsoundRowError."""
    target, operation, _, status, reason, started_at, finished_at = row
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
