"""Jobs, their attempts, and what follows from them.

Everything here is an immutable value or a pure function. Times are microseconds since the epoch, UTC (`Micros`);
sizes are bytes; durations are seconds.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import Final, Self

from engine.domain.effects import CheckResult
from engine.domain.engines import EngineName
from engine.domain.frozen import frozen
from engine.domain.requests import Operation, Request
from engine.domain.statuses import LEFT_BY_WINDOW, Reason, Status, format_reason
from engine.domain.steps import UNINTERRUPTIBLE_PHASES, Facts, LogLine, Micros, Progress, Step


class JobType(StrEnum):
    """The two kinds of job; only the second is ever claimed and executed."""

    PARENT = "database_maintenance_parent"
    OPERATION = "database_maintenance_operation"


FILE_OVERWRITTEN: Final = "file_overwritten"
"""The fact of a child whose database file was overwritten."""


@frozen(order=True)
class JobId:
    """Names a parent (`42`) or one of its children (`42.2`)."""

    parent: int
    ordinal: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `42`, `#42` or `42.2`. Raises ValueError for anything else."""
        parent, dot, ordinal = text.removeprefix("#").partition(".")
        for number in (parent, ordinal) if dot else (parent,):
            if not (number.isascii() and number.isdigit() and len(number) < 19):  # as SQLite counts
                raise ValueError(f"{text!r} is not a job id such as 42 or 42.2")
        return cls(int(parent), int(ordinal) if dot else None)

    def __str__(self) -> str:
        return str(self.parent) if self.ordinal is None else f"{self.parent}.{self.ordinal}"


@frozen(kw_only=True)
class Attempt:
    """One execution of a child: its process, its times, and how it ended.

    An attempt handed back at a shutdown is `cancelled` with reason `shutdown`; one whose process died is `failed`
    with reason `owner_lost`. Another attempt may follow either.
    """

    number: int
    pid: int | None
    host: str | None
    started_at: Micros
    finished_at: Micros | None
    status: Status
    reason: Reason | None = None
    signal: int | None = None
    """The number of the signal that ended its process, if known."""
    login: str | None = None
    """The login that recorded its end in a shared store, where another attempt may follow."""


@frozen(kw_only=True)
class ChildJob:
    """One operation of a parent job. `attempts`, `steps` and `log` are only filled when a single job is read."""

    parent_id: int
    ordinal: int
    operation: Operation
    status: Status
    reason: Reason | None = None
    error: str | None = None
    attempt: int = 0
    owner: str | None = None
    pid: int | None = None
    """The process on `host` that runs it, or ran it last."""
    host: str | None = None
    started_at: Micros | None = None
    finished_at: Micros | None = None
    cancel_requested_at: Micros | None = None
    force_requested_at: Micros | None = None
    """When killing its process was requested."""
    recovering: bool = False
    """Its process died, and it is not run again: a cancel was requested, or no attempt is left. The recovery of
    the database remains."""
    progress: Progress = field(default_factory=Progress)
    warnings: tuple[str, ...] = ()
    before: Facts | None = None
    after: Facts | None = None
    left: int = 0
    """The number of its planned steps that were not begun."""
    starts_at: Micros | None = None
    """Before then it does not start; None: it may."""
    estimate: float | None = None
    """The seconds that it was expected to take, without waits; None if unknown."""
    attempts: tuple[Attempt, ...] = ()
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()

    @property
    def id(self) -> JobId:
        return JobId(self.parent_id, self.ordinal)

    @property
    def is_complete(self) -> bool:
        """Whether it completed in full."""
        return self.status is Status.COMPLETED and not self.is_partly_completed

    @property
    def leaves_nothing(self) -> bool:
        """Whether nothing is left to repeat: it completed in full, or was not needed."""
        return self.is_complete or (self.status is Status.SKIPPED and self.reason is Reason.NOT_NEEDED)

    @property
    def is_left_out(self) -> bool:
        """Whether nothing of it began, though something was to be done."""
        return self.status is Status.SKIPPED and self.reason is not Reason.NOT_NEEDED

    @property
    def check_result(self) -> CheckResult | None:
        """What it found; None if it is no check, or has found out nothing."""
        return CheckResult.of(self.after) if self.operation is Operation.CHECK else None

    @property
    def found_inconsistency(self) -> bool:
        """Whether it is a check that looked at everything, and found rows that break a rule, but no damage."""
        check = self.check_result if self.status is Status.FAILED else None
        return check is not None and check.broken_rule is not None and check.found_no_damage

    @property
    def is_partly_completed(self) -> bool:
        """Whether it completed what it began, and its window left steps that were not begun."""
        return self.status is Status.COMPLETED and self.reason in LEFT_BY_WINDOW


def is_overwritten(child: ChildJob) -> bool:
    """Whether its process died because its database file was overwritten."""
    return child.reason is Reason.OWNER_LOST and (child.after or {}).get(FILE_OVERWRITTEN) is True


def format_child_reason(child: ChildJob) -> str:
    """The reason why it did not plainly complete, as a short text; "" if it did."""
    if is_overwritten(child):
        return "file overwritten"
    return "" if child.reason is None else format_reason(child.reason)


@frozen(kw_only=True)
class ParentJob:
    """One request on one target, with the children that carry it out."""

    id: int
    engine: EngineName
    request: Request
    status: Status
    created_at: Micros
    started_at: Micros | None = None
    finished_at: Micros | None = None
    retry_of: int | None = None
    batch: int | None = None
    """The id of the batch that it belongs to."""
    deadline_at: Micros | None = None
    """From then on no child and no step starts."""
    pinned: bool = False
    """Whether retention keeps it."""
    is_pattern: bool = False
    """Whether its target is a pattern whose databases could not be listed."""
    schedule: str | None = None
    """The schedule that started it."""
    submitted_by: str | None = None
    """Who, in a store that people share: `user@host`, with the role of the database if that has another name."""
    cancelled_by: str | None = None
    """The first user who requested a cancel of the whole job."""
    children: tuple[ChildJob, ...] = ()

    @property
    def target(self) -> str:
        return self.request.target

    @property
    def starts_at(self) -> Micros | None:
        """The time before which none of its children starts; None: they may start now."""
        return next((child.starts_at for child in self.children if not child.status.is_final), None)

    @property
    def done(self) -> int:
        """The number of children that have ended."""
        return sum(child.status.is_final for child in self.children)

    @property
    def left(self) -> int:
        """The number of planned steps of its children that were not begun."""
        return sum(child.left for child in self.children)

    @property
    def not_begun(self) -> int:
        """The number of its children that never began: their steps are not known."""
        return sum(child.is_left_out for child in self.children)

    @property
    def is_left_by_window(self) -> bool:
        """Whether its window left an operation, or steps of one, that did not begin."""
        return any(child.reason in LEFT_BY_WINDOW for child in self.children)

    @property
    def is_left_out(self) -> bool:
        """Whether its window let nothing of it begin."""
        return self.is_left_by_window and all(child.status is Status.SKIPPED for child in self.children)


ALMOST_ALL: Final = 0.99
"""The most of the work that is shown as done before its end."""


def parent_progress(parent: ParentJob) -> float | None:
    """How much of the work of a parent is done, from 0 to 1; 1 only at its end. None while no part of it is known.

    A child weighs as much as its estimate, one without an estimate as much as the others on average: so a child that
    gets on, or ends, never makes it less.
    """
    if parent.status.is_final:
        return 1.0
    shares = [1.0 if child.status.is_final else child.progress.fraction for child in parent.children]
    if all(share is None for share in shares):
        return None
    known = [child.estimate for child in parent.children if child.estimate is not None]
    usual = sum(known) / len(known) if sum(known) else 1.0
    weights = [max(usual if child.estimate is None else child.estimate, usual / 1000) for child in parent.children]
    done = sum(weight * (share or 0.0) for weight, share in zip(weights, shares, strict=True))
    return min(done / sum(weights), ALMOST_ALL)


def is_cancelling(job: ChildJob | ParentJob) -> bool:
    """Whether a cancel was requested and the job has not ended; for a parent, for all its open children."""
    if isinstance(job, ChildJob):
        return job.cancel_requested_at is not None and not job.status.is_final
    not_over = [child for child in job.children if not child.status.is_final]
    return bool(not_over) and all(map(is_cancelling, not_over))


def is_interrupted(job: ParentJob) -> bool:
    """Whether an operation began, and waits for a worker while none of its operations runs."""
    if job.status.is_final or any(child.status is Status.RUNNING for child in job.children):
        return False
    return any(child.status is Status.PENDING and child.attempt for child in job.children)


def never_began(child: ChildJob) -> bool:
    """Whether it was cancelled before it ran."""
    return child.status is Status.CANCELLED and not child.attempt and not child.error


def run_duration(job: ChildJob | ParentJob, now: Micros) -> float | None:
    """Seconds that a job has run, up to `now` while it runs; None before it starts."""
    if job.started_at is None:
        return None
    return max((job.finished_at or now) - job.started_at, 0) / 1e6  # the clock may be behind


REMAINING_FROM = 0.03
"""The fraction of the work from which on the remaining time is estimated."""
REMAINING_AFTER = 1.0
"""The seconds of work after which the remaining time is estimated."""


def remaining(child: ChildJob, now: Micros) -> float | None:
    """Estimated seconds until a running child ends, at its speed so far; waits are excluded.

    None if there is no basis for it: at the beginning, without a fraction, while it waits, or while it is being
    cancelled.
    """
    elapsed, fraction = run_duration(child, now), child.progress.fraction
    stops = child.cancel_requested_at is not None and child.progress.phase not in UNINTERRUPTIBLE_PHASES
    if child.status is not Status.RUNNING or stops or child.progress.waits_for or elapsed is None:
        return None
    worked = elapsed - child.progress.waited / 1e6
    if fraction is None or fraction < REMAINING_FROM or worked < REMAINING_AFTER:
        return None
    return max(worked * (1 - fraction) / fraction, 0.0)


def parent_remaining(parent: ParentJob, now: Micros) -> float | None:
    """Estimated seconds until the last child of a parent ends; None without a basis for each that is open."""
    still_open = [child for child in parent.children if not child.status.is_final]
    if not any(child.status is Status.RUNNING for child in still_open):
        return None
    pace, total = _pace(parent, now), 0.0
    for child in still_open:
        if child.status is Status.RUNNING:
            left = _remaining_or_estimate(child, now)
        else:
            left = None if child.estimate is None else child.estimate * pace
        if left is None:
            return None
        total += left
    return total


def _pace(parent: ParentJob, now: Micros) -> float:
    """How many times as long as estimated its children take, by those that ended or get on; 1 while that is unknown."""
    estimated = taken = 0.0
    for child in parent.children:
        left = 0.0 if child.status is Status.COMPLETED else remaining(child, now)
        elapsed = run_duration(child, now)
        if child.estimate and left is not None and elapsed is not None:
            estimated += child.estimate
            taken += elapsed - child.progress.waited / 1e6 + left
    return taken / estimated if estimated and taken > 0 else 1.0


def _remaining_or_estimate(child: ChildJob, now: Micros) -> float | None:
    """Seconds until a running child ends: at its speed, or until that is known by its estimate."""
    left, elapsed, progress = remaining(child, now), run_duration(child, now), child.progress
    if left is not None or child.estimate is None or elapsed is None:
        return left
    if progress.waits_for is not None or child.cancel_requested_at is not None:
        return None
    by_estimate = child.estimate - (elapsed - progress.waited / 1e6)
    return by_estimate if by_estimate > 0 else None
