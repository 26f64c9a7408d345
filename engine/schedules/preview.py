"""A preview of a firing: the plans of its targets, and of all that needs the same workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from engine.domain.batches import FailedRequest
from engine.domain.due_times import stagger_offset
from engine.domain.engines import engine_spec
from engine.domain.errors import DbtendError, TargetError, UsageError
from engine.domain.jobs import ParentJob, remaining, run_duration
from engine.domain.requests import Request
from engine.domain.schedules import Schedule
from engine.domain.statuses import Status
from engine.domain.steps import Micros
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.schedules.night import (
    PlannedNight,
    PlannedOperation,
    PlannedTarget,
    PlannedWork,
    plan_of_length,
    planned_night,
    work_at,
)
from engine.schedules.overlaps import due_beside
from engine.schedules.work import Tell, Work, counting
from engine.submission.validation import is_elsewhere
from engine.targets import resolve
from engine.targets.host_queue import open_each
from engine.targets.plans import OperationPlan, Plan

Beside = tuple[Schedule, Work, Sequence[Micros]]
"""Another schedule, what it does, and when it is due."""


async def work_beside(
    schedule: Schedule, due_at: Micros, enabled: Iterable[Schedule], work_of: Callable[[Schedule], Awaitable[Work]]
) -> list[Beside]:
    """What other schedules do that may need workers while a due time is worked on."""
    found = list[Beside]()
    for other, dues in due_beside(schedule, due_at, enabled):
        with suppress(UsageError):  # its targets cannot be listed: then it does nothing
            found.append((other, await work_of(other), dues))
    return found


async def night_of(
    schedule: Schedule,
    work: Work,
    plan: Callable[[Request], Awaitable[Plan]],
    due_at: Micros,
    *,
    workers: int,
    is_shared: bool,
    beside: Sequence[Beside] = (),
    open_work: Sequence[PlannedWork] = (),
    tell: Tell | None = None,
) -> PlannedNight:
    """What the work of a schedule would be if it were due at `due_at`. `plan` raises TargetError.

    Args:
        is_shared: whether other hosts plan and do the work on their files.
        beside: the other schedules that need the same workers.
        open_work: the jobs that wait for them already.
    """
    (own,) = await _works(schedule, work, plan, [due_at], is_shared=is_shared, tell=tell)
    others = [
        planned
        for other, its_work, dues in beside
        for planned in await _works(other, its_work, plan, dues, is_shared=is_shared, tell=tell)
    ]
    return planned_night(
        own,
        workers=workers,
        idle=work.idle - len(work.by_hand),
        inapplicable=work.inapplicable,
        beside=[*open_work, *others],
    )


async def open_work(
    jobs: Iterable[ParentJob],
    plan: Callable[[Request], Awaitable[Plan]],
    now: Micros,
    *,
    is_shared: bool,
    tell: Tell | None = None,
) -> list[PlannedWork]:
    """What is left of open jobs, by the estimates of those that run and by plans of those that wait. See `night_of`."""
    here = sorted(
        (job for job in jobs if not (is_shared and is_elsewhere(job.request))),
        key=lambda job: job.status is not Status.RUNNING,  # those have their workers
    )
    waiting = [job for job in here if any(child.status is Status.PENDING for child in job.children)]

    async def plan_of(place: int) -> Plan | None:
        try:
            return await plan(waiting[place].request)
        except UsageError:  # to run it says why
            return None

    planned = await open_each([resolve(job.target) for job in waiting], counting(plan_of, len(waiting), tell))
    plans = {job.id: one for job, one in zip(waiting, planned, strict=True) if isinstance(one, Plan)}
    by_end: dict[Micros | None, list[PlannedTarget]] = {}
    for job in here:
        by_end.setdefault(job.deadline_at, []).append(_rest_of(job, plans.get(job.id), now))
    return [
        PlannedWork(schedule=None, targets=targets, opens_at=now, closes_at=ends) for ends, targets in by_end.items()
    ]


def _rest_of(job: ParentJob, plan: Plan | None, now: Micros) -> PlannedTarget:
    plans = {} if plan is None else {operation.operation: operation for operation in plan.operations}
    operations = []
    for child in job.children:
        if child.status is Status.RUNNING:
            left = remaining(child, now)
            if left is None and child.estimate is not None:
                left = max(child.estimate - (run_duration(child, now) or 0), 0)
            operations.append(PlannedOperation(plan=plan_of_length(child.operation, left), fit=False))
        elif not child.status.is_final and (one := plans.get(child.operation)) is not None:
            idle = one.refused or one.not_needed or ""
            operations.append(PlannedOperation(plan=one, idle=idle, fit=job.request.options.fit))
    return PlannedTarget(
        target=job.target, operations=operations, host=resolve(job.target).host_key, starts_at=job.starts_at
    )


async def _works(
    schedule: Schedule,
    work: Work,
    plan: Callable[[Request], Awaitable[Plan]],
    dues: Sequence[Micros],
    *,
    is_shared: bool,
    tell: Tell | None,
) -> list[PlannedWork]:
    """The same work at each due time."""
    of_others = dict.fromkeys(request.target for request in work.requests if is_shared and is_elsewhere(request))
    requests = [request for request in work.requests if request.target not in of_others]
    asked = {request.target: request for request in requests}
    plans = await for_each(list(asked), counting(lambda target: plan(asked[target]), len(asked), tell))
    rest = [*map(_failed, [*work.failed, *work.by_hand]), *map(_of_other, of_others)]
    return [
        work_at(schedule, due, [*(_planned(*one, schedule, due) for one in zip(requests, plans, strict=True)), *rest])
        for due in dues
    ]


def _planned(request: Request, plan: Plan | TargetError, schedule: Schedule, due_at: Micros) -> PlannedTarget:
    if isinstance(plan, TargetError):
        return _failed(FailedRequest(request, plan))
    operations = [
        PlannedOperation(plan=operation, idle=operation.refused or operation.not_needed or "", fit=request.options.fit)
        for operation in plan.operations
    ]
    kind = engine_spec(inspector.engine_of(request.target)).kind
    operations += [
        PlannedOperation(plan=OperationPlan(operation=operation), idle=f"does not apply to {kind}")
        for operation in schedule.operations or ()
        if operation not in request.operations
    ]
    return PlannedTarget(
        target=plan.target,
        operations=operations,
        host=resolve(request.target).host_key,
        starts_at=due_at + stagger_offset(schedule, plan.target),
    )


def _of_other(target: str) -> PlannedTarget:
    place = resolve(target)
    return PlannedTarget(target=place.url, host=place.host_key, elsewhere=place.elsewhere)


def _failed(failed: FailedRequest) -> PlannedTarget:
    url = failed.request.target
    with suppress(DbtendError):
        url = inspector.canonical_url(url)
    return PlannedTarget(target=url, problem=str(failed.error))
