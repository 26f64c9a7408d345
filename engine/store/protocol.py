"""What the engine needs of a store of jobs. Every writing method is one transaction."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.domain.advice import CompletedStep, Measured
from engine.domain.errors import StoreError
from engine.domain.events import Change, HistoryFilter, Pause, WorkerProcess
from engine.domain.frozen import frozen
from engine.domain.jobs import (
    EngineName,
    JobId,
    Micros,
    OnDuplicate,
    Operation,
    ParentJob,
    Reason,
    Request,
    Speed,
    Status,
)
from engine.domain.past_runs import PastRun

if TYPE_CHECKING:
    from engine.domain.claims import Claim, Outcome, Report

MAX_ATTEMPTS = 2
"""How often a child is begun, where processes die under it, unless its operation must not be repeated."""


@frozen(kw_only=True)
class NewJob:
    """A validated request, ready to be stored; `request.target` is the canonical URL."""

    request: Request
    engine: EngineName
    target_key: str
    retry_of: int | None = None
    deadline_at: Micros | None = None
    max_attempts: Mapping[Operation, int] = field(default_factory=dict)
    """Of operations that differ from `MAX_ATTEMPTS`."""


class ProcessIdentity(Protocol):
    """As which a worker process was started."""

    owner: str
    pool: int
    """The process that replaces it when it dies."""


class Store(Protocol):
    """The durable record of jobs, shared by any number of processes.

    One that was opened to be looked at only raises ReadOnlyError from every writing method.
    """

    path: Path
    """Where it lies."""

    @property
    def is_there(self) -> bool:
        """Whether there is one at all: where it is only looked at, none is made."""
        ...

    @property
    def lost(self) -> StoreError | None:
        """Why nothing is read or written any more, where it was taken away while it was open."""
        ...

    async def locked_by(self) -> str:
        """Who keeps it from being written now, in words; "" where nobody does, or it cannot be told."""
        ...

    async def submit(self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate) -> list[int]:
        """Store parents and children, all or none; the parents' ids, in order.

        Raises DuplicateRequestError where an open parent does the same and that is to be refused.
        """
        ...

    def reserving(self, run: str) -> AbstractAsyncContextManager[None]:
        """Reserve what is submitted inside for claims of this run, as long as this process lives.

        On the way out what is still open is released: then any process claims it.
        """
        ...

    async def claim(self, owner: str, parents: Collection[int] | None = None, run: str | None = None) -> Claim | None:
        """Make the next pending child whose target is free `running`, owned by `owner`; None if there is none.

        While the store is paused there is none but those that are only to be recovered.

        Args:
            parents: claim only children of these.
            run: claim also those that are reserved for it.
        """
        ...

    async def has_pending(self, parents: Collection[int] | None = None, run: str | None = None) -> bool:
        """Whether `claim` would find a child now; nothing is written."""
        ...

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        """End a child, and its parent if it was the last one.

        Raises OwnershipLostError, and writes nothing, where the claim is no longer the child's.
        """
        ...

    async def finish_and_claim(
        self,
        claim: Claim,
        outcome: Outcome,
        report: Report,
        parents: Collection[int] | None = None,
        run: str | None = None,
    ) -> Claim | None:
        """`finish`, then `claim` for the same owner, at the cost of one commit."""
        ...

    async def release(self, claim: Claim, report: Report) -> None:
        """Hand a child back as pending without using up one of its attempts. Raises OwnershipLostError."""
        ...

    async def report(self, claim: Claim, report: Report) -> None:
        """Store progress, steps and log lines of a running child. Raises OwnershipLostError."""
        ...

    async def rescue(self) -> list[JobId]:
        """Take the running children of owners that are proven dead: to be run again, or to be recovered where a
        cancel was asked for; else they fail. What was taken."""
        ...

    async def owner_died(self) -> None:
        """Wait until the owner of some running child is found dead."""
        ...

    async def enforce_time_limits(self) -> None:
        """Skip what is pending after its time limit, and ask to stop what runs and is to stop then."""
        ...

    async def request_cancel(self, job: JobId, reason: Reason = Reason.CANCELLED_BY_USER) -> None:
        """Cancel what is pending, ask what runs to stop; `reason` says why. Raises JobNotFoundError."""
        ...

    async def request_force(
        self, job: JobId, running: JobId, owner: str, reason: Reason = Reason.CANCELLED_BY_USER
    ) -> bool:
        """`request_cancel`, and remember that `running`, which is `job` or a child of it, is to be ended by force.

        False, and nothing is written, where `owner` does not run it any more.
        """
        ...

    async def kill_owner(self, running: JobId, owner: str, pid: int) -> bool:
        """End the process of `owner` by SIGKILL, if it still runs this child; whether it was there to be ended.

        `pid`: as it has registered. Raises PermissionError where it is not ours to end.
        """
        ...

    async def cancel_requests(self, owner: str) -> set[JobId]:
        """The running children of `owner` that were asked to stop."""
        ...

    async def pause(self, by: str) -> None:
        """Let nothing new start until `resume`; `by` tells who wants it. Paused already, it stays as it was."""
        ...

    async def resume(self) -> None: ...

    async def paused(self) -> Pause | None: ...

    async def pin(self, parent_id: int, pinned: bool) -> None:
        """Keep a parent from retention, or no longer. Raises JobNotFoundError."""
        ...

    async def measured(self, target: str) -> Measured | None:
        """What the last look at everything found out of a database."""
        ...

    async def keep_measured(self, target: str, measured: Measured) -> None: ...

    async def prunable(self, status: Status, *, before: Micros, keep_last: int, after: int, limit: int) -> list[int]:
        """Up to `limit` parents above id `after` that ended like this before then, oldest first.

        Never one that is pinned, nor one of the `keep_last` newest of its target.
        """
        ...

    async def prune(self, parent_ids: Collection[int]) -> int:
        """Remove finished parents with all that belongs to them; how many there were."""
        ...

    async def prune_changes(self, *, before: Micros, limit: int) -> int:
        """Forget the oldest changes, up to `limit`, of those from before then; how many there were."""
        ...

    def hosting_workers(
        self,
        *,
        serves_all: bool = True,
        own_jobs: Collection[int] | None = None,
        identity: ProcessIdentity | None = None,
    ) -> AbstractAsyncContextManager[str]:
        """Be an owner of running children while inside; gives the owner's id.

        Args:
            serves_all: takes on every job, not only those of its own.
            own_jobs: those, as far as they are known.
            identity: as which this process was started.
        """
        ...

    async def workers(self) -> list[WorkerProcess]: ...

    def last_change(self) -> int:
        """The `seq` of the newest change: of this process at once, of others after a moment."""
        ...

    async def changes(self, after: int, limit: int) -> list[Change]:
        """The changes after `seq`, in commit order; fewer than all where old ones are no longer kept."""
        ...

    async def next_change(self, after: int) -> None:
        """Wait until there is a change after `seq`, from whatever process."""
        ...

    async def job(self, parent_id: int) -> ParentJob:
        """With attempts, steps and logs. Raises JobNotFoundError."""
        ...

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]: ...

    async def open_jobs(self) -> list[ParentJob]: ...

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]: ...

    def search(self, where: HistoryFilter, *, before: int | None = None) -> AsyncIterator[array[int]]:
        """The ids of all parents that match, newest first, bit by bit; a bit in which there are none is empty."""
        ...

    async def past_runs(self, target: str, operation: Operation, *, newest: int, jobs: int, runs: int) -> list[PastRun]:
        """The newest runs of an operation that are over, newest first, in jobs on a target up to this one.

        `jobs`: in so many jobs at most; `runs`: so many at most.
        """
        ...

    async def past_steps(
        self, target: str, operation: str, *, speed: Speed, jobs: int, runs: int
    ) -> Mapping[str, float]:
        """The seconds that each command took on average that completed in the newest runs at this speed; see
        `past_runs`."""
        ...

    async def last_done(self, target: str, *, jobs: int) -> Mapping[tuple[str, str], CompletedStep]:
        """By `VACUUM` or `REINDEX` and the object: what the last of these on a server's database did, in its newest
        jobs; a VACUUM that removed all that was dead is not there."""
        ...

    async def count(self) -> int:
        """How many parents there are."""
        ...
