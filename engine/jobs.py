"""The vocabulary of dbtend: jobs, steps, statuses, and the rules that bind them.

Everything here is an immutable value or a pure function. Times are integer microseconds since the
epoch, UTC (`Micros`); sizes are bytes; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

Micros = int
Facts = Mapping[str, int | float | str | None]
"""What an engine says of a database, JSON-able; `size` (bytes) is always there."""


class JobType(StrEnum):
    """The two kinds of job; only the second is ever claimed and executed."""

    PARENT = "database_maintenance_parent"
    OPERATION = "database_maintenance_operation"


class EngineName(StrEnum):
    """The database engines that dbtend can maintain."""

    SQLITE = "sqlite"


class Operation(StrEnum):
    """The kinds of maintenance, over all engines."""

    VACUUM = "vacuum"
    ANALYZE = "analyze"
    REINDEX = "reindex"
    OPTIMIZE = "optimize"


class Status(StrEnum):
    """Where a job or a step stands. The last four are final."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.SKIPPED})


class Reason(StrEnum):
    """Why a child ended other than plainly completed."""

    OPERATION_ERROR = "operation_error"
    INVALID = "invalid"
    NOT_SUPPORTED = "not_supported"
    REFUSED = "refused"
    NOT_NEEDED = "not_needed"
    TIME_LIMIT = "time_limit"
    PREVIOUS_FAILED = "previous_failed"
    OWNER_LOST = "owner_lost"
    CANCELLED_BY_USER = "cancelled_by_user"
    SHUTDOWN = "shutdown"
    TARGET_BUSY = "target_busy"


class OnFailure(StrEnum):
    """What happens to the children after one that failed."""

    CONTINUE = "continue"
    STOP = "stop"


class OnDuplicate(StrEnum):
    """What happens to a request that an open parent job already carries out."""

    REFUSE = "refuse"
    MERGE = "merge"


Transitions = Mapping[Status, frozenset[Status]]

CHILD_TRANSITIONS: Transitions = {
    Status.PENDING: frozenset({Status.RUNNING, Status.CANCELLED, Status.SKIPPED}),
    # Back to pending: handed back at shutdown, or rescued from an owner that died.
    Status.RUNNING: frozenset({Status.PENDING}) | FINAL,
}
PARENT_TRANSITIONS: Transitions = {
    Status.PENDING: frozenset({Status.RUNNING, Status.COMPLETED, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
}


def may_follow(transitions: Transitions, old: Status, new: Status) -> bool:
    """Whether a job may go from `old` to `new`; nothing follows a final status."""
    return new in transitions.get(old, frozenset())


def parent_status(children: Iterable[tuple[Status, bool]]) -> Status:
    """The one definition of a parent's status, from its children as (status, has ever started)."""
    seen = set(children)
    statuses = {status for status, _ in seen}
    if statuses - FINAL:
        started = any(started for _, started in seen)
        return Status.RUNNING if started else Status.PENDING
    if Status.FAILED in statuses:
        return Status.FAILED
    if Status.CANCELLED in statuses:
        return Status.CANCELLED
    return Status.COMPLETED


@dataclass(frozen=True, slots=True, order=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a request wants to be carried out."""

    on_failure: OnFailure = OnFailure.CONTINUE
    lock_timeout: float = 5.0
    """Seconds to wait for a lock on the target before the step fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a DBA asks for: operations, in order, on one target. Stored as asked, never changed."""

    target: str
    operations: tuple[Operation, ...]
    options: Options = field(default_factory=Options)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running child is. `fraction` is None while nothing honest can be said."""

    fraction: float | None = None
    object: str | None = None
    steps_done: int = 0
    steps_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One SQL command that a child executed on one object: an entry of the command log."""

    number: int
    attempt: int
    object: str
    command: str
    status: Status
    started_at: Micros
    finished_at: Micros | None = None
    error: str | None = None


class LogLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of a child's log."""

    number: int
    attempt: int
    at: Micros
    level: LogLevel
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildJob:
    """One operation of a parent job. `steps` and `log` are there only where a whole job was asked for."""

    parent_id: int
    ordinal: int
    operation: Operation
    status: Status
    reason: Reason | None = None
    error: str | None = None
    attempt: int = 0
    owner: str | None = None
    started_at: Micros | None = None
    finished_at: Micros | None = None
    cancel_requested_at: Micros | None = None
    progress: Progress = field(default_factory=Progress)
    warnings: tuple[str, ...] = ()
    before: Facts | None = None
    after: Facts | None = None
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()

    @property
    def id(self) -> JobId:
        return JobId(self.parent_id, self.ordinal)


@dataclass(frozen=True, slots=True, kw_only=True)
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
    children: tuple[ChildJob, ...] = ()

    @property
    def target(self) -> str:
        return self.request.target

    @property
    def done(self) -> int:
        """How many children have ended, whichever way."""
        return sum(child.status.is_final for child in self.children)


def parent_progress(parent: ParentJob) -> float:
    """How much of a parent is over, from 0 to 1: every child weighs the same."""
    if not parent.children:
        return 0.0
    shares = (1.0 if c.status.is_final else c.progress.fraction or 0.0 for c in parent.children)
    return sum(shares) / len(parent.children)


def run_duration(job: ChildJob | ParentJob, now: Micros) -> float | None:
    """Seconds that a job has run, up to `now` while it is not over; None before it starts."""
    if job.started_at is None:
        return None
    return ((job.finished_at or now) - job.started_at) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A child that a process owns for one attempt: its authority to report and to finish it."""

    job: JobId
    type: str
    attempt: int
    owner: str
    target: str
    operation: str
    options: Options | None
    """None where what is stored cannot be read: the worker then refuses the job as invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one attempt at a child ended."""

    status: Status
    reason: Reason | None = None
    error: str | None = None
    warnings: tuple[str, ...] = ()
    before: Facts | None = None
    after: Facts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a running child has to tell since its last report: written as one transaction."""

    progress: Progress = field(default_factory=Progress)
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()


class ChangeKind(StrEnum):
    STATUS = "status"
    CANCEL_REQUESTED = "cancel_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened to a job, in commit order. `old` is None where the job was created."""

    seq: int
    at: Micros
    job: JobId
    kind: ChangeKind
    old: Status | None
    new: Status
    attempt: int


@dataclass(frozen=True, slots=True)
class Lagged:
    """The changes after `after` and before `seq` are no longer kept: read the jobs again."""

    after: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which parent jobs to list; what is None does not restrict. Dates are microseconds."""

    target: str | None = None
    status: Status | None = None
    operation: Operation | None = None
    since: Micros | None = None
    until: Micros | None = None
    error_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """A process that is registered in the store as one that executes children."""

    id: str
    pid: int
    host: str
    started_at: Micros
    alive: bool
