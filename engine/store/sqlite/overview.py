"""Reads of the state of all targets at once: for metrics and reports."""

from __future__ import annotations

from typing import Final

LAST_RUNS: Final = "SELECT target, operation, status, reason, started_at, finished_at, completed_at FROM last_run"
"""One row for each operation of each target, kept by triggers: the history is not read."""
OPEN_JOBS: Final = """SELECT status, count(*) FROM parent_job INDEXED BY parent_job_open
WHERE finished_at IS NULL GROUP BY status"""
SCHEDULES: Final = """SELECT schedule, count(*) FILTER (WHERE status = 'fired'),
    count(*) FILTER (WHERE status = 'missed'), count(*) FILTER (WHERE status = 'skipped'),
    max(due_at) FILTER (WHERE status = 'fired'), max(due_at) FILTER (WHERE status = 'missed')
FROM firing GROUP BY schedule"""
