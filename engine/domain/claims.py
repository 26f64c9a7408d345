"""What passes between the store and a process that executes a child."""

from __future__ import annotations

from dataclasses import field

from engine.domain.frozen import frozen
from engine.domain.jobs import JobId
from engine.domain.requests import Options
from engine.domain.statuses import Reason, Status
from engine.domain.steps import Facts, LogLine, Micros, Progress, Step


@frozen(kw_only=True)
class Claim:
    """A child that a process owns for one attempt: its authority to report and to finish it."""

    job: JobId
    type: str
    attempt: int
    owner: str
    target: str
    operation: str
    started_at: Micros = 0
    options: Options | None
    """None where what is stored cannot be read: the worker then refuses the job as invalid."""
    recovering: Reason | None = None
    """Set where the process that ran it died and the operation is not run again, only what it left is put in order:
    why it was cancelled, or `owner_lost` where nobody had cancelled it and it was not to be tried once more."""
    died: int = 0
    """Over how many of its attempts the process died."""
    signal: int | None = None
    """By which signal it died the last time, where that is known."""
    earlier: tuple[Step, ...] = ()
    """The steps of the attempts before, as far as they were told."""
    time_left: float | None = None
    """Seconds from the claim on until no step begins any more; None without a time limit."""
    forced: bool = False
    """Whether that process was ended by force, because somebody asked for it."""


@frozen(kw_only=True)
class Outcome:
    """How one attempt at a child ended; when, where that is known better than by when it is stored."""

    status: Status
    ended_at: Micros | None = None
    reason: Reason | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    before: Facts | None = None
    after: Facts | None = None
    left: int = 0
    """How many of its steps were not begun."""


@frozen(kw_only=True)
class Report:
    """What a running child has to tell since its last report: written as one transaction."""

    progress: Progress = field(default_factory=Progress)
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()
