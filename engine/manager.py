"""DatabaseMaintenanceManager: turns a request into a parent job and its children, or refuses it whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from engine import limits
from engine.clock import now
from engine.errors import TargetBusyError, UsageError
from engine.jobs import Micros, OnDuplicate, OnFailure, Operation, Options, ParentJob, Request, Status
from engine.store.base import NewJob, Store
from engine.targets.base import Target

LONGEST_LOCK_TIMEOUT = 24 * 3600.0


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
        validate(request, target)
        with suppress(TargetBusyError):  # it may be one of our own jobs that locks it: then this one waits its turn
            await target.preflight(lock_timeout=0)
        if target.key == self._own_key:
            raise UsageError(target.url, "is the store of jobs itself", "it needs no maintenance by hand")
        return NewJob(
            request=replace(request, target=target.url),
            engine=target.engine,
            target_key=target.key,
            retry_of=retry_of,
            deadline_at=limits.deadline(request.options, self._clock()),
            max_attempts={name: 1 for name in request.operations if not target.is_repeatable(name)},
        )

    async def retry(self, parent: ParentJob, *, only_incomplete: bool) -> int:
        """Submit a finished parent's request again; the new parent's id."""
        if not parent.status.is_final:
            raise UsageError(f"job {parent.id}", f"is still {parent.status}", "wait for it, or cancel it first")
        operations = parent.request.operations
        if only_incomplete:
            operations = tuple(c.operation for c in parent.children if c.status is not Status.COMPLETED)
            if not operations:
                raise UsageError(f"job {parent.id}", "all of it is completed", "repeat all of it without --failed")
        request = replace(parent.request, operations=operations)
        (new_id,) = await self.submit([request], OnDuplicate.REFUSE, retry_of=parent.id)
        return new_id


def validate(request: Request, target: Target) -> None:
    """Raise UsageError unless the operations are some, known, offered and distinct, and the options possible."""
    known = ", ".join(target.operations)
    if not request.operations:
        raise UsageError(target.url, "no operation was chosen", f"choose from {known}")
    for operation in request.operations:
        if not isinstance(operation, Operation):
            raise UsageError(f"operation {str(operation)!r}", "is unknown", f"choose from {known}")
        if operation not in target.operations:
            raise UsageError(f"operation {operation}", f"is not offered for {target.engine}", f"choose from {known}")
        if request.operations.count(operation) > 1:
            raise UsageError(f"operation {operation}", "is named twice", "name each operation once")
    if request.options.on_failure not in list(OnFailure):
        known = ", ".join(OnFailure)
        raise UsageError(f"on failure {str(request.options.on_failure)!r}", "is unknown", f"choose from {known}")
    _validate_limits(request.options)
    if not 0 <= request.options.lock_timeout <= LONGEST_LOCK_TIMEOUT:
        raise UsageError(
            f"lock timeout {request.options.lock_timeout:g}",
            "is not possible",
            f"give seconds from 0 to {LONGEST_LOCK_TIMEOUT:.0f}",
        )


def _validate_limits(options: Options) -> None:
    if options.time_limit is not None and not 0 < options.time_limit <= limits.LONGEST:
        raise UsageError(f"time limit {options.time_limit:g} s", "is not possible", "give more than 0, up to a year")
    if options.until is not None and not limits.is_time_of_day(options.until):
        raise UsageError(f"until {options.until!r}", "is no time of day", "give HH:MM, such as 06:00")
    if options.stop_at_limit and options.time_limit is None and options.until is None:
        raise UsageError("stop at limit", "there is no limit", "give a time limit, or a time of day")


def refuse_repeated_targets(jobs: Sequence[NewJob]) -> None:
    """Raise UsageError where two requests name the same database, under whatever names."""
    seen: dict[str, str] = {}
    for job in jobs:
        if job.target_key in seen:
            raise UsageError(job.request.target, f"is the same database as {seen[job.target_key]}", "name it once")
        seen[job.target_key] = job.request.target
