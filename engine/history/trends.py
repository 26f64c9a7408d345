"""Trends: durations and database sizes of the past runs of an operation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.past_runs import PastRun
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.history.estimates import extent

RUNS: Final = 60
"""The newest completed runs shown."""
RUNS_READ: Final = 90
"""The runs read: includes failed, cancelled and incomparable ones."""
MAX_JOBS_READ: Final = 3_000
"""The newest jobs searched for the operation."""


@frozen
class Trend:
    """The completed runs of one operation, oldest first, and the number of failed and cancelled ones between them."""

    operation: Operation
    runs: tuple[PastRun, ...]
    failed: int = 0
    cancelled: int = 0


def trend_of(operation: Operation, options: Options, runs: Iterable[PastRun]) -> Trend:
    """The trend of the comparable runs. `runs`: newest first."""
    wanted = extent(operation, options)
    completed: list[PastRun] = []
    failed = cancelled = 0
    for run in runs:
        if extent(operation, run.options) != wanted:
            continue
        if len(completed) == RUNS:
            break
        if run.status is Status.COMPLETED:
            completed.append(run)
        failed += run.status is Status.FAILED
        cancelled += run.status is Status.CANCELLED
    return Trend(operation, tuple(reversed(completed)), failed, cancelled)
