"""Changes of jobs, worker processes and the jobs that none of them runs, the pause, the filter of the history."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from engine.domain.frozen import frozen
from engine.domain.job_outcomes import JobOutcome, outcome_of
from engine.domain.jobs import ChildJob, JobId, ParentJob
from engine.domain.requests import Operation
from engine.domain.server_names import without_scheme
from engine.domain.statuses import Reason, Status, reason_names
from engine.domain.steps import Micros


class ChangeKind(StrEnum):
    STATUS = "status"
    CANCEL_REQUESTED = "cancel_requested"
    RELEASED = "released"
    """It is no longer reserved for the workers of one run, or no longer held back by its batch."""
    PAUSED = "paused"
    RESUMED = "resumed"
    UNKNOWN = "unknown"
    """Written by a newer dbtend that shares the store."""


@frozen(kw_only=True)
class Change:
    """One change, in commit order. `old` is None if the job was created.

    A pause or resume concerns no single job: then `job` and `new` are None.
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
    """The changes after `after` and before `seq` were removed, or may have been lost: read the jobs again."""

    after: int
    seq: int


@frozen(kw_only=True)
class HistoryFilter:
    """Which parent jobs to list; None or empty does not restrict. Times are microseconds.

    `status` failed: also those whose target is unreachable, or whose check found rows that break a rule.
    """

    target: str | None = None
    """A canonical URL."""
    target_name: str | None = None
    """The name that lists show for a target without a name in the config file."""
    target_part: str | None = None
    """A part of a canonical URL, or of such a name; case is ignored."""
    named_targets: frozenset[str] = frozenset()
    """Canonical URLs that match besides `target_part`: targets whose configured name contains it."""
    status: JobOutcome | None = None
    operation: Operation | None = None
    batch: int | None = None
    schedule: str | None = None
    since: Micros | None = None
    until: Micros | None = None
    error_words: tuple[str, ...] = ()
    """The error or reason of one operation must contain all of these; the case of ASCII letters is ignored."""

    @property
    def has_target(self) -> bool:
        return any(one is not None for one in (self.target, self.target_name, self.target_part))

    @property
    def is_of_jobs(self) -> bool:
        """Whether it asks for more than times, so that some jobs of a batch may match and others not."""
        asked = (self.status, self.operation, self.batch)
        return self.has_target or bool(self.error_words) or any(one is not None for one in asked)

    def matches_target(self, target: str) -> bool:
        """Whether jobs on this target, a canonical URL, match."""
        if self.target is not None and target != self.target:
            return False
        if self.target_name is not None and not is_listed_as(target, self.target_name):
            return False
        part = self.target_part
        return part is None or target in self.named_targets or has_name_part(target, part)

    def matches_time(self, created_at: Micros) -> bool:
        return (self.since is None or created_at >= self.since) and (self.until is None or created_at <= self.until)

    def matches(self, parent: ParentJob) -> bool:
        """Whether a job matches, by the same rules as the search in the store."""
        return (
            self._matches_status(parent)
            and self.matches_target(parent.target)
            and (self.batch is None or parent.batch == self.batch)
            and (self.schedule is None or parent.schedule == self.schedule)
            and (self.operation is None or any(child.operation is self.operation for child in parent.children))
            and self.matches_time(parent.created_at)
            and (not self.error_words or any(_has_all(child, self.error_words) for child in parent.children))
        )

    def _matches_status(self, parent: ParentJob) -> bool:
        if self.status is JobOutcome.FAILED:
            return parent.status is Status.FAILED
        return self.status is None or outcome_of(parent) is self.status


def _has_all(child: ChildJob, words: Iterable[str]) -> bool:
    if child.error is None and child.reason is None:
        return False
    text = _lower(child.error or "")
    return all(_lower(word) in text or child.reason in reasons_matching(word) for word in words)


def reasons_matching(word: str) -> frozenset[Reason]:
    """The reasons whose displayed or stored name contains this text."""
    return frozenset(reason for reason in Reason if any(_lower(word) in _lower(name) for name in reason_names(reason)))


def _lower(text: str) -> bytes:
    """SQLite's LIKE ignores the case of ASCII letters only; so do bytes."""
    return text.encode("utf-8", "surrogatepass").lower()


@frozen(kw_only=True)
class Pause:
    """Since when, and on whose request, no job starts."""

    at: Micros
    by: str


@frozen(kw_only=True)
class WorkerProcess:
    """A process that is registered in the store to execute children."""

    id: str
    pid: int
    host: str
    started_at: Micros
    serves_all: bool
    """Whether it runs every job of the store; the workers of a `dbtend run` run only its own."""
    alive: bool
    stalled: bool = False
    """It is alive, has work, and makes no progress: it was stopped, or hangs."""
    running: tuple[JobId, ...] = ()
    own_jobs: frozenset[int] = frozenset()
    """The parents it runs if it does not run every job, as far as known."""
    pool: int | None = None
    """The process that started it and replaces it when it dies; None if none does."""
    pool_size: int | None = None
    """How many worker processes the pool should have; None if unknown."""
    version: str = ""
    """The version of its dbtend; "" in an embedded store."""
    queues: tuple[str, ...] = ()
    """The queues of a shared store whose jobs it takes."""
    draining: bool = False
    """It takes no more jobs, and leaves when what it runs has ended."""


CUT_OFF: Final = 70
"""The exit code of a worker process that could no longer prove to the store that it lives."""


def killer_role(host: str, pool: int) -> str:
    """The role of the process that kills processes of this pool for other hosts."""
    return f"killer {host} {pool}"


STALLED_AFTER = 10.0
"""Seconds."""


def is_stalled(*, last_beat: Micros | None, busy_since: Micros | None, now: Micros) -> bool:
    """Whether a live process has had work for too long without a heartbeat."""
    if last_beat is None or busy_since is None:
        return False
    return now - max(last_beat, busy_since) > STALLED_AFTER * 1e6


def unattended(
    parents: Iterable[ParentJob], workers: Iterable[WorkerProcess], *, here: str | None = None
) -> list[ParentJob]:
    """The open parents that no live process runs or will run.

    `here`: the name of this host among those that share the store, and each host works on its own files; None:
    the store serves one host alone.
    """
    alive = [worker for worker in workers if worker.alive]
    serving = {worker.host for worker in alive if worker.serves_all}
    if serving:
        if here is None:
            return []
        parents = [parent for parent in parents if only_host(parent, here) not in {None, *serving}]
    worked_on = {job.parent for worker in alive for job in worker.running}
    worked_on |= {parent_id for worker in alive for parent_id in worker.own_jobs}
    return [parent for parent in parents if parent.id not in worked_on]


def only_host(parent: ParentJob, here: str) -> str | None:
    """The only host of a shared store that can work on a database; None: any can."""
    if not parent.engine.is_file:
        return None
    return unquote(without_scheme(parent.target).partition("/")[0]) or here


def other_host(parent: ParentJob, here: str | None) -> str | None:
    """The other host that alone can work on a database; None: this one can."""
    host = only_host(parent, here) if here is not None else None
    return None if host == here else host


_URL: Final = re.compile(r"[a-z]+://(?:[^/?]*@)?(?P<host>[^/?:]*)(?P<port>:\d*)?(?P<path>[^?]*)")
_DIFFERENCE: Final = re.compile(r" \((?P<what>[^()]+)\)(?=@|$)")
"""What tells two targets of one name apart: the user, or another part of the URL."""


def is_listed_as(url: str, name: str) -> bool:
    """Whether a canonical URL may be listed by this name. Case is ignored."""
    names = _names(url)
    return name.casefold() in names or any(rest in names and what in _folded(url) for rest, what in _taken_apart(name))


def has_name_part(url: str, part: str) -> bool:
    """Whether a canonical URL has this part, or a name that lists may show for it. Case is ignored."""
    texts = (_folded(url), *_names(url))
    asked = [(part.casefold(), ""), *_taken_apart(part)]
    return any(rest in text and what in texts[0] for rest, what in asked for text in texts)


def _names(url: str) -> tuple[str, ...]:
    """`sales.db`, `sales.db@h2`, for a server also with its port."""
    if (found := _URL.match(url)) is None:
        return ()
    name, host = found["path"].rpartition("/")[2], found["host"]
    return tuple(_folded(one) for one in (name, f"{name}@{host}", f"{name}@{host}{found['port'] or ''}"))


def _taken_apart(name: str) -> list[tuple[str, str]]:
    """`shop (ann)@db1` as `shop@db1` and `ann`."""
    found = _DIFFERENCE.search(name)
    return [(_DIFFERENCE.sub("", name).casefold(), found["what"].casefold())] if found else []


def _folded(url: str) -> str:
    return unquote(url).casefold()
