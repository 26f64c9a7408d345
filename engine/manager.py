"""DatabaseMaintenanceManager: turns a request into a parent job and its children, or refuses it whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.errors import UsageError
from engine.jobs import OnDuplicate, Operation, ParentJob, Request, Status
from engine.store.base import NewJob, Store
from engine.targets.base import OperationPlan, Plan, Target, TargetInfo

LONGEST_LOCK_TIMEOUT = 24 * 3600.0


class DatabaseMaintenanceManager:
    """Validates requests against their targets, and submits them in one transaction."""

    def __init__(self, store: Store, resolve: Callable[[str], Target]) -> None:
        self._store = store
        self._resolve = resolve

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
        await target.preflight()
        return NewJob(
            request=replace(request, target=target.url),
            engine=target.engine,
            target_key=target.key,
            retry_of=retry_of,
        )

    async def plan(self, request: Request) -> Plan:
        """The exact steps that `request` would execute now. Raises what submitting it would raise."""
        return await plan_request(request, self._resolve)

    async def inspect(self, target: str) -> TargetInfo:
        """A look at a database."""
        resolved = self._resolve(target)
        await resolved.preflight()
        async with resolved.connect(lock_timeout=1.0) as session:
            return await session.info()

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
    known = ", ".join(target.default_operations)
    if not request.operations:
        raise UsageError(target.url, "no operation was chosen", f"choose from {known}")
    for operation in request.operations:
        if not isinstance(operation, Operation):
            raise UsageError(f"operation {str(operation)!r}", "is unknown", f"choose from {known}")
        if operation not in target.default_operations:
            raise UsageError(f"operation {operation}", f"is not offered for {target.engine}", f"choose from {known}")
        if request.operations.count(operation) > 1:
            raise UsageError(f"operation {operation}", "is named twice", "name each operation once")
    if not 0 <= request.options.lock_timeout <= LONGEST_LOCK_TIMEOUT:
        raise UsageError(
            f"lock timeout {request.options.lock_timeout:g}",
            "is not possible",
            f"give seconds from 0 to {LONGEST_LOCK_TIMEOUT:.0f}",
        )


def refuse_repeated_targets(jobs: Sequence[NewJob]) -> None:
    """Raise UsageError where two requests name the same database, under whatever names."""
    seen: dict[str, str] = {}
    for job in jobs:
        if job.target_key in seen:
            raise UsageError(job.request.target, f"is the same database as {seen[job.target_key]}", "name it once")
        seen[job.target_key] = job.request.target


async def plan_request(request: Request, resolve: Callable[[str], Target]) -> Plan:
    """The exact steps that `request` would execute now; needs no store and changes nothing."""
    target = resolve(request.target)
    validate(request, target)
    await target.preflight()
    async with target.connect(lock_timeout=request.options.lock_timeout) as session:
        operations = [OperationPlan(operation=name, steps=await session.plan(name)) for name in request.operations]
        return Plan(target=target.url, engine=target.engine, before=await session.facts(), operations=tuple(operations))
