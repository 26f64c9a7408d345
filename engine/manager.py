"""DatabaseMaintenanceManager: turns a request into a parent job and its children, or refuses it whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from engine import limits
from engine.clock import now
from engine.errors import TargetBusyError, UsageError
from engine.jobs import Micros, OnDuplicate, Operation, ParentJob, Request, Status
from engine.store.base import NewJob, Store
from engine.validation import validated

if TYPE_CHECKING:
    from engine.targets.base import Target


class DatabaseMaintenanceManager:
    """Validates requests against their targets, and submits them in one transaction."""

    def __init__(
        self,
        store: Store,
        resolve: Callable[[str], Target],
        *,
        own_key: str | None = None,
        clock: Callable[[], Micros] = now,
    ) -> None:
        """`own_key`: the key of the database that holds the store itself, if any: it is no target."""
        self._store = store
        self._own_key = own_key
        self._resolve = resolve
        self._clock = clock

    async def submit(
        self, requests: Sequence[Request], on_duplicate: OnDuplicate, *, retry_of: int | None = None
    ) -> list[int]:
        """The ids of the new parents, in order. Nothing is stored unless every request is sound."""
        if not requests:
            raise UsageError("request", "names no database", "give at least one")
        jobs = [await self._validated(request, retry_of) for request in requests]
        refuse_repeated_targets(jobs)
        return await self._store.submit(jobs, on_duplicate)

    async def _validated(self, request: Request, retry_of: int | None) -> NewJob:
        target = self._resolve(request.target)
        request = validated(request, target)
        with suppress(TargetBusyError):  # it may be one of our own jobs that locks it: then this one waits its turn
            await target.preflight(
                lock_timeout=0, writing=any(map(target.writes, request.children)), options=request.options
            )
        _refuse_unconfirmed(request, target)
        key = await target.identify()
        if key == self._own_key:
            raise UsageError(target.url, "is the store of jobs itself", "it needs no maintenance by hand")
        return NewJob(
            request=replace(request, target=target.url),
            engine=target.engine,
            target_key=key,
            retry_of=retry_of,
            deadline_at=limits.deadline(request.options, self._clock()),
            max_attempts={name: 1 for name in request.children if not target.is_repeatable(name)},
        )

    async def retry(self, parent: ParentJob, *, only_incomplete: bool) -> int:
        """Submit a finished parent's request again, or only what did not complete of it; the new parent's id."""
        if not parent.status.is_final:
            raise UsageError(f"job {parent.id}", f"is still {parent.status}", "wait for it, or cancel it first")
        request = _incomplete(parent) if only_incomplete else parent.request
        if request is None:
            raise UsageError(f"job {parent.id}", "all of it is completed", "repeat all of it without --failed")
        (new_id,) = await self.submit([request], OnDuplicate.REFUSE, retry_of=parent.id)
        return new_id


def _refuse_unconfirmed(request: Request, target: Target) -> None:
    for operation in request.operations:
        if (what := target.needs_yes(operation, request.options)) and not request.options.confirmed:
            raise UsageError(f"operation {operation}", what, "say that you want it: --yes")


def _incomplete(parent: ParentJob) -> Request | None:
    """The request for what did not complete of a parent; None where all of it did.

    The checks of one that verifies are made around that again. Where only they did not complete, they are what is
    left to do.
    """
    asked = parent.request
    children = parent.children[1:-1] if asked.options.verify else parent.children
    operations = tuple(child.operation for child in children if child.status is not Status.COMPLETED)
    options = asked.options
    if not operations and all(child.status is Status.COMPLETED for child in parent.children):
        return None
    if not operations:
        operations = (Operation.CHECK,)
        options = replace(options, verify=False, check=options.check_level)
    if Operation.BACKUP not in operations:
        options = replace(options, backup_to=None)
    return replace(asked, operations=operations, options=options)


def refuse_repeated_targets(jobs: Sequence[NewJob]) -> None:
    """Raise UsageError where two requests name the same database, under whatever names."""
    seen: dict[str, str] = {}
    for job in jobs:
        if job.target_key in seen:
            raise UsageError(job.request.target, f"is the same database as {seen[job.target_key]}", "name it once")
        seen[job.target_key] = job.request.target
