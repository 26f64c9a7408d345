"""What is told to those who watch: changes, in order; who works; whether anything starts; and what to look for."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import unquote

from engine.domain.frozen import frozen
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.requests import Operation
from engine.domain.statuses import Reason, Status, reason_names
from engine.domain.steps import Micros


class ChangeKind(StrEnum):
    STATUS = "status"
    CANCEL_REQUESTED = "cancel_requested"
    RELEASED = "released"
    """It was reserved for the workers of one run, and is no longer."""
    PAUSED = "paused"
    RESUMED = "resumed"
    UNKNOWN = "unknown"
    """A newer dbtend, which shares the store, knows what it is."""


@frozen(kw_only=True)
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


@frozen
class Lagged:
    """The changes after `after` and before `seq` are no longer kept: read the jobs again."""

    after: int
    seq: int


@frozen(kw_only=True)
class HistoryFilter:
    """Which parent jobs to list; what is None or empty does not restrict. Dates are microseconds.

    `status` skipped: those of which an operation was skipped, or completed in part.
    """

    target: str | None = None
    """A canonical URL."""
    target_part: str | None = None
    """What a canonical URL contains, in whatever case."""
    named_targets: frozenset[str] = frozenset()
    """Canonical URLs that will do as well where `target_part` is given: those that the user calls by such a name."""
    status: Status | None = None
    operation: Operation | None = None
    since: Micros | None = None
    until: Micros | None = None
    error_words: tuple[str, ...] = ()
    """Texts, in whatever case of ASCII letters, that the error or the reason of one operation contains all of."""

    @property
    def has_target(self) -> bool:
        return self.target is not None or self.target_part is not None

    def means(self, target: str) -> bool:
        """Whether jobs on this target, a canonical URL, are among those to list."""
        if self.target is not None and target != self.target:
            return False
        part = self.target_part
        return part is None or target in self.named_targets or part.casefold() in unquote(target).casefold()

    def matches(self, parent: ParentJob) -> bool:
        """Whether a job is among those to list, as the search in the store finds it."""
        if self.status is Status.SKIPPED:
            has_status = any(child.status is Status.SKIPPED or child.is_partly_completed for child in parent.children)
        else:
            has_status = self.status is None or parent.status is self.status
        return (
            has_status
            and self.means(parent.target)
            and (self.operation is None or any(child.operation is self.operation for child in parent.children))
            and (self.since is None or parent.created_at >= self.since)
            and (self.until is None or parent.created_at <= self.until)
            and (not self.error_words or any(_has_all(child, self.error_words) for child in parent.children))
        )


def _has_all(child: ChildJob, words: Iterable[str]) -> bool:
    if child.error is None and child.reason is None:
        return False
    text = _lower(child.error or "")
    return all(_lower(word) in text or child.reason in reasons_matching(word) for word in words)


def reasons_matching(word: str) -> frozenset[Reason]:
    """The reasons that a person reads this text in."""
    return frozenset(reason for reason in Reason if any(_lower(word) in _lower(name) for name in reason_names(reason)))


def _lower(text: str) -> bytes:
    """SQLite's LIKE takes only ASCII letters for the same in both cases; so do bytes."""
    return text.encode("utf-8", "surrogatepass").lower()


@frozen(kw_only=True)
class Pause:
    """Since when, and at whose word, no job starts."""

    at: Micros
    by: str


@frozen(kw_only=True)
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
    own_jobs: frozenset[int] = frozenset()
    """The parents that it takes on where it does not take on every job, as far as that is known."""
    pool: int | None = None
    """The process that started it and replaces it where it dies; None where none does."""


STALLED_AFTER = 10.0
"""Seconds."""


def is_stalled(*, last_beat: Micros | None, busy_since: Micros | None, now: Micros) -> bool:
    """Whether a process that lives should have moved since: it has had something to do for long enough."""
    if last_beat is None or busy_since is None:
        return False
    return now - max(last_beat, busy_since) > STALLED_AFTER * 1e6
