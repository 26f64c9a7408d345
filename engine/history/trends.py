"""How an operation went on one database over time: what its past runs took, and how large the database was then."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engine.domain.frozen import frozen
from engine.domain.past_runs import PastRun
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.history.comparability import extent

RUNS: Final = 60
"""The newest that many that completed."""
RUNS_READ: Final = 90
"""Those that failed or were cancelled, or were of another extent, included."""
MAX_JOBS_READ: Final = 3_000
"""Where a database has very many jobs and few of them with the operation, so many of the newest."""


@frozen
class Trend:
    """The runs of one operation that completed, oldest first, and how many between them did not."""

    operation: Operation
    runs: tuple[PastRun, ...]
    failed: int = 0
    cancelled: int = 0


def trend_of(operation: Operation, options: Options, runs: Iterable[PastRun]) -> Trend:
    """The trend of the runs that had as much to do. `runs`: the newest first."""
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
