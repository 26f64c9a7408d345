"""An execution of an operation that is over, as the store tells of it."""

from __future__ import annotations

from engine.domain.frozen import frozen
from engine.domain.jobs import JobId
from engine.domain.requests import Options
from engine.domain.statuses import Status
from engine.domain.steps import Micros


@frozen
class PastRun:
    """One execution that is over. `seconds`: without those in which it only waited for others. `size`: of the database
    when it ended, in bytes, if that is known."""

    job: JobId
    status: Status
    at: Micros
    seconds: float
    size: float | None
    options: Options
