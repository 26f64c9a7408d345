"""What is told to those who watch: changes, in order; who works; whether anything starts; and what to look for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.jobs import JobId, Micros, Operation, Status


class ChangeKind(StrEnum):
    STATUS = "status"
    CANCEL_REQUESTED = "cancel_requested"
    PAUSED = "paused"
    RESUMED = "resumed"
    UNKNOWN = "unknown"
    """A newer dbtend, which shares the store, knows what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that happened, in commit order. `old` is None where the job was created.

    That the store was paused or resumed concerns no single job: then `job` and `new` are None.
    """

    seq: int
    at: Micros
    job: JobId | None
    kind: ChangeKind
    old: Status | None
    new: Status | None
    attempt: int


@dataclass(frozen=True, slots=True)
class Lagged:
    """The changes after `after` and before `seq` are no longer kept: read the jobs again."""

    after: int
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which parent jobs to list; what is None does not restrict. Dates are microseconds.

    `status` skipped: those of which an operation was skipped.
    """

    target: str | None = None
    status: Status | None = None
    operation: Operation | None = None
    since: Micros | None = None
    until: Micros | None = None
    error_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Since when, and at whose word, no job starts."""

    at: Micros
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """A process that is registered in the store as one that executes children."""

    id: str
    pid: int
    host: str
    started_at: Micros
    serves_all: bool
    """Whether it takes on every job of the store; a `dbtend run` takes on its own only."""
    alive: bool
    stalled: bool = False
    """It lives, has something to do, and does not move: it was stopped, or hangs."""
    running: tuple[JobId, ...] = ()


STALLED_AFTER = 10.0
"""Seconds."""


def is_stalled(*, last_beat: Micros | None, busy_since: Micros | None, now: Micros) -> bool:
    """Whether a process that lives should have moved since: it has had something to do for long enough."""
    if last_beat is None or busy_since is None:
        return False
    return now - max(last_beat, busy_since) > STALLED_AFTER * 1e6
