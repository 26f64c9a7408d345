"""Earlier runs and backups, as the store knows them."""

from __future__ import annotations

from engine.domain.frozen import frozen
from engine.domain.jobs import JobId
from engine.domain.requests import Operation, Options
from engine.domain.statuses import Status
from engine.domain.steps import Micros


@frozen
class PastRun:
    """A finished run. `seconds`: without waits. `size`: of the database at its end, in bytes, if known."""

    job: JobId
    status: Status
    at: Micros
    seconds: float
    size: float | None
    options: Options


@frozen
class PastStep:
    """A command that completed in earlier runs."""

    seconds: float
    """On average, without waits."""
    course: tuple[int, ...] = ()
    """See `COURSE`; of the newest run. Empty: not known."""
    objects: tuple[str, ...] = ()
    """What it worked on in the newest run."""


@frozen
class EstimatedRun:
    """A run that completed in full, and how long it was expected to take. Both in seconds, without waits."""

    target: str
    operation: Operation
    estimate: float
    seconds: float
    size: float | None = None
    """Of the database before the run, in bytes, if known."""
    options: Options = Options()


@frozen(kw_only=True)
class RecordedBackup:
    """A backup that a job completed: its state at that time."""

    path: str
    size: int | None
    """Bytes."""
    identity: str
    """Identifies the file, unless it was written since; "" if it was not recorded."""
    source: str
    """Identifies the file of the database that was copied; "" if it was not recorded."""
    is_checked: bool
    """Whether its check found nothing."""
    started_at: Micros
    finished_at: Micros
