"""Rows of the overview to values: pure functions for all stores."""

from __future__ import annotations

from collections.abc import Iterable

from engine.domain.overview import LastRun, ScheduleCounts
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status
from engine.store.row_checks import checked, sound
from engine.store.rows import Row


def decode_last_run(row: Row) -> LastRun:
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


@sound("the open jobs")
def decode_open_jobs(rows: Iterable[Row]) -> dict[Status, int]:
    """How many jobs have each status. Raises UnsoundRowError."""
    return {Status(status): number for status, number in rows}


def decode_schedule_counts(row: Row) -> ScheduleCounts:
    name, fired, missed, skipped, fired_at, missed_at = row
    return ScheduleCounts(
        name=name, fired=fired, missed=missed, skipped=skipped, fired_at=fired_at, missed_at=missed_at
    )
