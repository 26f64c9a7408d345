"""Values that pass between the store and the process that executes a child."""

from __future__ import annotations

import time
from dataclasses import field

from engine.domain.damage import NO_CHANGE, Damage, DamageChange
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
    """None if the stored options cannot be read: the worker then fails the job as invalid."""
    recovering: Reason | None = None
    """Set if its process died and the operation is not run again: this attempt only recovers the database. The reason
    of the cancel, or `owner_lost` if no attempt was left."""
    deaths: int = 0
    """The number of attempts in which the process died."""
    signal: int | None = None
    """The signal that ended the last one, if known."""
    earlier: tuple[Step, ...] = ()
    """The stored steps of earlier attempts."""
    time_left: float | None = None
    """Seconds from the claim until the time limit, after which no step begins; None without one."""
    received_at: float = field(default_factory=time.monotonic)
    """When this process got it, by `time.monotonic`: `time_left` counts from then, however late its work begins."""
    forced: bool = False
    """Whether the process was killed on request."""
    is_own: bool = True
    """Whether it was submitted with the login of this process; always so in an embedded store."""
    damage: tuple[Damage, ...] = ()
    """The damage of its target on record when it was claimed."""
    is_first: bool = False
    """Whether nothing else has begun on its target so far, by the store: there is no history. False: not known."""


@frozen(kw_only=True)
class Outcome:
    """How one attempt at a child ended. `ended_at`: None means the time at which it is stored."""

    status: Status
    ended_at: Micros | None = None
    reason: Reason | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    before: Facts | None = None
    after: Facts | None = None
    left: int = 0
    """The number of its steps that were not begun."""
    estimate: float | None = None
    """The seconds that all its steps were expected to take."""
    size_estimate: float | None = None
    """The seconds that all its steps were expected to take, by their sizes alone."""
    damage: DamageChange = NO_CHANGE
    """What it changes of the damage on record, in the same transaction."""
    attempt: int | None = None
    """The earlier attempt that ended so, whose process could not tell the store; None: the attempt that claimed it."""


@frozen(kw_only=True)
class Report:
    """The news of a running child since its last report; stored in one transaction."""

    progress: Progress = field(default_factory=Progress)
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()
