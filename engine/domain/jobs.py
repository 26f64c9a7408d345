"""The vocabulary of dbtend: jobs, steps, statuses, and the rules that bind them.

Everything here is an immutable value or a pure function. Times are integer microseconds since the
epoch, UTC (`Micros`); sizes are bytes; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

from engine.domain.frozen import frozen
from engine.domain.humanize import counted

Micros = int
Facts = Mapping[str, int | float | str | Sequence[str] | None]
"""What an engine says of a database, JSON-able; `size` (bytes) is always there."""


class JobType(StrEnum):
    """The two kinds of job; only the second is ever claimed and executed."""

    PARENT = "database_maintenance_parent"
    OPERATION = "database_maintenance_operation"


class EngineName(StrEnum):
    """The database engines that dbtend can maintain."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


class Operation(StrEnum):
    """The kinds of maintenance, over all engines."""

    VACUUM = "vacuum"
    ANALYZE = "analyze"
    REINDEX = "reindex"
    OPTIMIZE = "optimize"
    CHECK = "check"
    CHECKPOINT = "checkpoint"
    INCREMENTAL_VACUUM = "incremental-vacuum"
    FTS_OPTIMIZE = "fts-optimize"
    BACKUP = "backup"
    VACUUM_FULL = "vacuum-full"
    CLUSTER = "cluster"
    CLEAN_LEFTOVERS = "clean-leftovers"


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


_IN_FEW_WORDS: Final = {
    Reason.TIME_LIMIT: "past its limit",
    Reason.PREVIOUS_FAILED: "earlier failed",
    Reason.OWNER_LOST: "worker died",
}
"""Where the name of a reason would not say enough."""


FILE_OVERWRITTEN: Final = "file_overwritten"
"""The fact that says so of a child."""


def format_reason(reason: Reason) -> str:
    return _IN_FEW_WORDS.get(reason, reason.value.replace("_", " "))


def names_of(reason: Reason) -> frozenset[str]:
    """All that a person may read for a reason: `owner_lost`, `owner lost`, `worker died`."""
    return frozenset({reason.value, reason.value.replace("_", " "), format_reason(reason)})


COMPLETED_IN_PART: Final = "completed in part"


def format_ending(status: Status, reason: Reason | None) -> str:
    """How something stands or ended: what completed in part must not read as completed."""
    return COMPLETED_IN_PART if status is Status.COMPLETED and reason is Reason.TIME_LIMIT else status.value


MAX_FINDINGS: Final = 100
"""A check that has found as many looks no further, or tells no more of them."""


def format_findings(number: int) -> str:
    """How many findings there are, as far as a check tells."""
    return counted(number, "finding") if number < MAX_FINDINGS else f"{number:,} or more findings"


class OnFailure(StrEnum):
    """What happens to those that come after one that failed."""

    CONTINUE = "continue"
    STOP = "stop"


class CheckLevel(StrEnum):
    """How thorough a check is: `full` also compares every index with its table."""

    QUICK = "quick"
    FULL = "full"


class Speed(StrEnum):
    """How much of a server's time an operation takes."""

    GENTLE = "gentle"
    NORMAL = "normal"
    FULL = "full"


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


@frozen(kw_only=True)
class ServerOptions:
    """How operations on a database server do their work. None leaves it to the server."""

    schemas: tuple[str, ...] = ()
    """The schemas that the operations are for; none: all."""
    analyze: bool = False
    """Whether VACUUM also collects statistics."""
    freeze: bool = False
    index_cleanup: str | None = None
    """`auto`, `on` or `off`."""
    truncate: bool | None = None
    """Whether VACUUM gives empty pages at the end of a table back, which needs an exclusive lock for a moment."""
    parallel_workers: int | None = None
    """Processes of the server that VACUUM takes for the indexes of one table."""
    skip_locked: bool = False
    """Leave out what is locked, instead of waiting for it."""
    buffer_usage_limit: int | None = None
    """Kilobytes of shared buffers that VACUUM and ANALYZE use."""
    missing_only: bool = False
    """ANALYZE only what has no statistics."""
    in_stages: bool = False
    """ANALYZE three times, each time more thoroughly, so that there are some statistics soon."""
    offline: bool = False
    """REINDEX without CONCURRENTLY: faster, and nobody can write meanwhile."""
    speed: Speed = Speed.FULL
    max_lag: int | None = None
    """Bytes that a standby may be behind; as long as it is more, no step begins."""
    pause_while: str | None = None
    """A query; as long as it gives true, or a number above 0, no step begins."""
    yield_after: float | None = None
    """Seconds that others may wait behind a step; then it gives way."""
    snapshot_wait: float | None = None
    """Seconds that a rebuild which is concurrent may wait for transactions that began before it; None for until the
    time limit, or an hour where there is none."""
    server_wait: float | None = None
    """Seconds that an operation waits for a server that is down; None for ten minutes."""


MAX_WAIT: Final = 20 * 86_400.0
"""Seconds that a wait for a server, or for transactions on it, may take: a server can be told no more."""
SERVER_WAIT: Final = 600.0
"""Seconds that an operation waits for a server that is down, where nobody says otherwise."""
NO_SERVER_OPTIONS: Final = ServerOptions()


@frozen(kw_only=True)
class Options:
    """How a request wants to be carried out."""

    on_failure: OnFailure = OnFailure.CONTINUE
    """What follows an operation that failed."""
    on_step_failure: OnFailure = OnFailure.CONTINUE
    """What follows, inside one operation, a step that failed; what runs beside it goes on to its end."""
    lock_timeout: float = 5.0
    """Seconds to wait for a lock on the target before the step fails."""
    time_limit: float | None = None
    """Seconds after the submit from which on no child, and no step, begins any more."""
    until: str | None = None
    """A time of day, `HH:MM` where the request is made, from which on no child, and no step, begins any more."""
    stop_at_limit: bool = False
    """Whether what still runs at the limit is asked to stop, too."""
    force: bool = False
    """Go on where preflight would refuse, if that cannot harm the data."""
    verify: bool = False
    """Check the database before and after, as children of their own; where the first check fails nothing else runs."""
    check_first: bool = False
    """Whether a check that finds damage, or does not get through, keeps what comes after it from running."""
    jobs: int | None = None
    """How many objects at once inside one operation, where it can; None leaves that to the engine."""
    objects: tuple[str, ...] = ()
    """The tables and indexes that the operations which go object by object are for; none: all."""
    rebuild: tuple[str, ...] = ()
    """The indexes that REINDEX is for, where the other operations are for other objects; none: as `objects` says."""
    leave_out: tuple[str, ...] = ()
    """The tables that nothing is done to, nor to their indexes; a check looks at them all the same."""
    analysis_limit: int | None = None
    """Rows of each index that ANALYZE looks at; None: all of them."""
    check: CheckLevel | None = None
    """How thorough a check is; None: full where it was asked for, quick around other operations (`verify`)."""
    backup_to: str | None = None
    """The new file of a backup, or the directory where it goes; None: beside the database."""
    confirmed: bool = False
    """Whether somebody has said yes to operations that lock everybody out of a table."""
    server: ServerOptions = NO_SERVER_OPTIONS

    @property
    def check_level(self) -> CheckLevel:
        return self.check or (CheckLevel.QUICK if self.verify else CheckLevel.FULL)

    def objects_for(self, operation: Operation) -> tuple[str, ...]:
        """The tables and indexes that an operation is for; none: all."""
        return (operation is Operation.REINDEX and self.rebuild) or self.objects


DEFAULT_OPTIONS: Final = Options()


@frozen(kw_only=True)
class Request:
    """What a DBA asks for: operations, in order, on one target. Stored as asked, never changed."""

    target: str
    operations: tuple[Operation, ...]
    options: Options = field(default_factory=Options)

    @property
    def children(self) -> tuple[Operation, ...]:
        """What the children do, in order: the operations, between two checks where that is wanted."""
        if self.options.verify:
            return (Operation.CHECK, *self.operations, Operation.CHECK)
        return self.operations


class WaitsFor(StrEnum):
    """What a running step needs of others before it can go on."""

    LOCK = "lock"
    TRANSACTIONS = "transactions"
    """That transactions end, or let go of their snapshots: nobody has to wait behind that."""
    SERVER = "server"
    """That the server is up, or has a connection left."""
    LOAD = "load"
    """That there is less to do on the server."""


@frozen(kw_only=True)
class Progress:
    """How far a running child is. `fraction` is None while nothing honest can be said."""

    fraction: float | None = None
    object: str | None = None
    steps_done: int = 0
    steps_total: int = 0
    phase: str | None = None
    """What goes on inside the step, where there is more to say than that it runs."""
    waits_for: WaitsFor | None = None
    """What it cannot go on without; the phase says more of it."""
    waited: Micros = 0
    """How much of its time, up to now, nothing went on but to wait for others."""


WHOLE: Final = "main"
"""The object of a step on all of a SQLite database."""


def object_name(name: str | None) -> str:
    """The table or index that a step is for; "" where it is for the whole database, whose name says nothing."""
    return "" if name is None or name == WHOLE else name


FINISHING = "finishing, cannot be interrupted"
"""The phase of a step that was asked to stop and goes on all the same."""
CLEANING_UP = "removing what is unfinished"
"""The phase of a step that has stopped, or has failed, and takes away what it leaves."""
WRITING_BACK = "writing back"
"""The phase of a step from which on it can no longer be interrupted."""
UNINTERRUPTIBLE_PHASES = frozenset({FINISHING, WRITING_BACK})
"""The phases in which a step goes on to its end, whoever asks it to stop."""


WAITING = "waiting for its lock"
"""How the phase of a step begins that waits for a lock,"""
PAUSED = "paused"
"""and of one that spares others."""


@frozen(kw_only=True)
class Step:
    """One SQL command that a child executed on one object: an entry of the command log."""

    number: int
    attempt: int
    object: str
    command: str
    status: Status
    started_at: Micros
    finished_at: Micros | None = None
    operation: Operation | None = None
    """The kind of work: OPTIMIZE has steps of VACUUM, ANALYZE and REINDEX. None: unknown (stored by an old version)."""
    error: str | None = None
    effect: Facts | None = None
    """What it did, in numbers, such as `freed_pages` or `findings`; of a step for several objects also on which."""

    @property
    def done(self) -> tuple[str, ...]:
        """The tables or indexes on which it was carried out; of several also where it failed on others."""
        several = (self.effect or {}).get("objects")
        if isinstance(several, list | tuple):
            return tuple(map(str, several))
        return (self.object,) if self.status is Status.COMPLETED else ()


class LogLevel(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LOG_HEAD = 200
"""Of the log of an attempt this many lines are kept from its beginning,"""
LOG_TAIL = 800
"""and this many from its end: a gap in the numbers tells what was left out."""
LOG_LINE_LIMIT = 8_000
"""Characters of one line that are kept, from both its ends."""


@frozen(kw_only=True)
class LogLine:
    """One line of a child's log; they are numbered from 1 in each attempt."""

    number: int
    attempt: int
    at: Micros
    level: LogLevel
    message: str


@frozen(kw_only=True)
class Attempt:
    """One execution of a child: by which process, from when to when, and how it ended.

    One that was handed back at a shutdown is `cancelled` with reason `shutdown`; one whose process died is
    `failed` with reason `owner_lost`. After either, another attempt may follow.
    """

    number: int
    pid: int | None
    host: str | None
    started_at: Micros
    finished_at: Micros | None
    status: Status
    reason: Reason | None = None
    signal: int | None = None
    """The number of the signal that ended its process, where that is known."""


@frozen(kw_only=True)
class ChildJob:
    """One operation of a parent job. `attempts`, `steps` and `log` come only where a whole job was asked for."""

    parent_id: int
    ordinal: int
    operation: Operation
    status: Status
    reason: Reason | None = None
    error: str | None = None
    attempt: int = 0
    owner: str | None = None
    pid: int | None = None
    """The process that runs it, or ran it last, on `host`."""
    host: str | None = None
    started_at: Micros | None = None
    finished_at: Micros | None = None
    cancel_requested_at: Micros | None = None
    force_requested_at: Micros | None = None
    """When somebody asked to end the process that ran it."""
    recovering: bool = False
    """Its process died, and it is not run again, because it had been asked to stop or no attempt is left: what is left
    to do is to look after the database."""
    progress: Progress = field(default_factory=Progress)
    warnings: tuple[str, ...] = ()
    before: Facts | None = None
    after: Facts | None = None
    left: int = 0
    """How many of its steps were not begun."""
    attempts: tuple[Attempt, ...] = ()
    steps: tuple[Step, ...] = ()
    log: tuple[LogLine, ...] = ()

    @property
    def id(self) -> JobId:
        return JobId(self.parent_id, self.ordinal)

    @property
    def is_complete(self) -> bool:
        """Whether it did all that was asked for."""
        return self.status is Status.COMPLETED and not self.is_partly_completed

    @property
    def is_partly_completed(self) -> bool:
        """Whether what it began is completed, and the time limit left steps that were not begun."""
        return self.status is Status.COMPLETED and self.reason is Reason.TIME_LIMIT


def is_overwritten(child: ChildJob) -> bool:
    """Whether its process died because another file was written over the one of its database."""
    return child.reason is Reason.OWNER_LOST and (child.after or {}).get(FILE_OVERWRITTEN) is True


def reason_of(child: ChildJob) -> str:
    """Why it ended other than plainly completed, in few words; "" where it did."""
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
    deadline_at: Micros | None = None
    """From then on no child starts, and no step of one."""
    pinned: bool = False
    """Whether retention leaves it alone."""
    children: tuple[ChildJob, ...] = ()

    @property
    def target(self) -> str:
        return self.request.target

    @property
    def done(self) -> int:
        """How many children have ended, whichever way."""
        return sum(child.status.is_final for child in self.children)

    @property
    def left(self) -> int:
        """How many steps of its children were not begun."""
        return sum(child.left for child in self.children)


def parent_progress(parent: ParentJob) -> float:
    """How much of a parent is over, from 0 to 1: every child weighs the same."""
    if not parent.children:
        return 0.0
    shares = (1.0 if c.status.is_final else c.progress.fraction or 0.0 for c in parent.children)
    return sum(shares) / len(parent.children)


def is_cancelling(job: ChildJob | ParentJob) -> bool:
    """Whether a cancel was asked for and the job has not ended yet; of a parent, of every child that has not ended."""
    if isinstance(job, ChildJob):
        return job.cancel_requested_at is not None and not job.status.is_final
    not_over = [child for child in job.children if not child.status.is_final]
    return bool(not_over) and all(map(is_cancelling, not_over))


def never_began(child: ChildJob) -> bool:
    """Whether it was cancelled before any process ran it."""
    return child.status is Status.CANCELLED and not child.attempt and not child.error


def run_duration(job: ChildJob | ParentJob, now: Micros) -> float | None:
    """Seconds that a job has run, up to `now` while it is not over; None before it starts."""
    if job.started_at is None:
        return None
    return max((job.finished_at or now) - job.started_at, 0) / 1e6  # whose clock may be behind


REMAINING_FROM = 0.03
"""The fraction, and"""
REMAINING_AFTER = 1.0
"""the seconds of running from which on what is left can be told."""


def remaining(child: ChildJob, now: Micros) -> float | None:
    """Seconds that a running child is likely to go on for: as fast as until now, while it did not wait.

    None while that means nothing: at the beginning, where the fraction is unknown, while it waits for others, and
    once it is to stop and can.
    """
    elapsed, fraction = run_duration(child, now), child.progress.fraction
    stops = child.cancel_requested_at is not None and child.progress.phase not in UNINTERRUPTIBLE_PHASES
    if child.status is not Status.RUNNING or stops or child.progress.waits_for or elapsed is None:
        return None
    worked = elapsed - child.progress.waited / 1e6
    if fraction is None or fraction < REMAINING_FROM or worked < REMAINING_AFTER:
        return None
    return max(worked * (1 - fraction) / fraction, 0.0)
