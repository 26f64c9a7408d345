"""DatabaseMaintenanceManager: turns a request into a parent job and its children, or refuses it whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from engine.domain import time_limits
from engine.domain.errors import TargetBusyError, UsageError
from engine.domain.jobs import ParentJob
from engine.domain.requests import OnDuplicate, Request
from engine.domain.steps import Micros
from engine.history import stale_journal
from engine.store.protocol import JobReader, JobWriter, NewJob
from engine.submission.ignored_cancel import wait_ignoring_cancel
from engine.submission.retry import retry_request
from engine.submission.validation import validate_request
from engine.system.clock import now

if TYPE_CHECKING:
    from engine.targets.protocol import Target


class SubmittedJobs(JobWriter, JobReader, Protocol):
    """Jobs to submit, and those submitted before."""


class DatabaseMaintenanceManager:
    """Validates requests against their targets, and submits them in one transaction."""

    def __init__(
        self,
        store: SubmittedJobs,
        resolve: Callable[[str], Target],
        *,
        store_key: str | None = None,
        clock: Callable[[], Micros] = now,
    ) -> None:
        """`store_key`: the key of the database that holds the store itself; it is not allowed as a target."""
        self._store = store
        self._own_key = store_key
        self._resolve = resolve
        self._clock = clock

    async def submit(
        self, requests: Sequence[Request], on_duplicate: OnDuplicate, *, retry_of: int | None = None
    ) -> list[int]:
        """The ids of the new parents, in order. Nothing is stored unless every request is sound.

        A cancel during validation stores nothing. A later one has no effect, so that the caller gets the ids.
        """
        if not requests:
            raise UsageError("request", "names no database", "give at least one")
        jobs = [await self._validated(request, retry_of) for request in requests]
        refuse_duplicate_targets(jobs)
        return await wait_ignoring_cancel(self._store.submit(jobs, on_duplicate))

    async def _validated(self, request: Request, retry_of: int | None) -> NewJob:
        target = self._resolve(request.target)
        request = validate_request(request, target)
        await stale_journal.refuse_stale_journal(self._store, target.url)
        with suppress(TargetBusyError):  # a running job may lock it: then this one waits
            await target.preflight(
                lock_timeout=0,
                writing=any(map(target.writes, request.children)),
                operations=request.children,
                options=request.options,
            )
        _refuse_unconfirmed(request, target)
        key = await target.identify()
        if key == self._own_key:
            raise UsageError(target.url, "is the store of jobs", "it needs no maintenance")
        return NewJob(
            request=replace(request, target=target.url),
            engine=target.engine,
            target_key=key,
            retry_of=retry_of,
            deadline_at=time_limits.deadline(request.options, self._clock()),
            max_attempts={name: 1 for name in request.children if not target.is_repeatable(name)},
        )

    async def retry(self, parent: ParentJob, *, only_incomplete: bool, confirmed: bool) -> int:
        """Submit a finished parent's request again, see `retry_request`; returns the new parent's id."""
        request = retry_request(parent, only_incomplete=only_incomplete, confirmed=confirmed)
        (new_id,) = await self.submit([request], OnDuplicate.REFUSE, retry_of=parent.id)
        return new_id


def _refuse_unconfirmed(request: Request, target: Target) -> None:
    for operation in request.operations:
        if (what := target.needs_confirmation(operation, request.options)) and not request.options.confirmed:
            raise UsageError(f"operation {operation}", what, "confirm it with --yes")


def refuse_duplicate_targets(jobs: Sequence[NewJob]) -> None:
    """Raise UsageError if two requests name the same database, also under different names."""
    seen: dict[str, str] = {}
    for job in jobs:
        if job.target_key in seen:
            raise UsageError(job.request.target, f"is the same database as {seen[job.target_key]}", "name it once")
        seen[job.target_key] = job.request.target
