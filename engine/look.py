"""Looks at a database that need no store of jobs, and change nothing."""

from __future__ import annotations

from engine.jobs import Operation, Request
from engine.manager import plan_request
from engine.targets import resolve
from engine.targets.base import Plan, TargetInfo


def canonical_url(target: str) -> str:
    """How jobs on this target name it, whether it exists or not. Raises UsageError, NotAvailableError."""
    return resolve(target).url


def default_operations(target: str) -> tuple[Operation, ...]:
    """What runs on this target when nothing else is asked for, in the order that suits its engine."""
    return tuple(resolve(target).default_operations)


async def plan(request: Request) -> Plan:
    """The exact steps `request` would execute now. Raises as `Engine.submit` does."""
    return await plan_request(request, resolve)


async def inspect(target: str) -> TargetInfo:
    """What a database is and what can be done with it. Raises TargetError where nothing can."""
    resolved = resolve(target)
    await resolved.preflight()
    async with resolved.connect(lock_timeout=1.0) as session:
        return await session.info()
