"""What the engine needs of a store of jobs. Every writing method is one transaction."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from engine.jobs import (
    Change,
    Claim,
    EngineName,
    HistoryFilter,
    JobId,
    OnDuplicate,
    Outcome,
    ParentJob,
    Report,
    Request,
    WorkerProcess,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A validated request, ready to be stored; `request.target` is the canonical URL."""

    request: Request
    engine: EngineName
    target_key: str
    retry_of: int | None = None


class Store(Protocol):
    """The durable record of jobs, shared by any number of processes."""

    async def submit(self, jobs: Sequence[NewJob], on_duplicate: OnDuplicate) -> list[int]:
        """Store parents and children, all or none; the parents' ids, in order.

        Raises DuplicateRequestError where an open parent does the same and that is to be refused.
        """
        ...

    async def claim(self, owner: str, parents: Collection[int] | None = None) -> Claim | None:
        """Make the next pending child whose target is free `running`, owned by `owner`; None if there is none.

        `parents`: claim only children of these.
        """
        ...

    async def finish(self, claim: Claim, outcome: Outcome, report: Report) -> None:
        """End a child, and its parent if it was the last one.

        Raises OwnershipLostError, and writes nothing, where the claim is no longer the child's.
        """
        ...

    async def finish_and_claim(
        self, claim: Claim, outcome: Outcome, report: Report, parents: Collection[int] | None = None
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
        """Take the running children of owners that are proven dead: run again, or fail. What was taken."""
        ...

    async def request_cancel(self, job: JobId) -> None:
        """Cancel what is pending, ask what runs to stop. Raises JobNotFoundError."""
        ...

    async def cancel_requests(self, owner: str) -> set[JobId]:
        """The running children of `owner` that were asked to stop."""
        ...

    def hosting_workers(self) -> AbstractAsyncContextManager[str]:
        """Be an owner of running children while inside; gives the owner's id."""
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
        """With steps and logs. Raises JobNotFoundError."""
        ...

    async def jobs(self, ids: Collection[int]) -> list[ParentJob]: ...

    async def open_jobs(self) -> list[ParentJob]: ...

    async def history(self, where: HistoryFilter, *, before: int | None, limit: int) -> list[ParentJob]: ...

    async def history_ids(self, where: HistoryFilter) -> array[int]: ...
