"""A preview of a firing: the plans of its targets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from engine.domain.batches import FailedRequest
from engine.domain.due_times import stagger_offset
from engine.domain.errors import DbtendError, TargetError, UsageError
from engine.domain.option_spec import KINDS
from engine.domain.requests import Request
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.schedules.looking import Tell, counting
from engine.schedules.night import PlannedNight, PlannedOperation, PlannedTarget, PlannedWork, planned_night, work_at
from engine.schedules.overlaps import due_beside
from engine.schedules.work import Work
from engine.submission.elsewhere import is_elsewhere
from engine.targets import resolve
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
    tell: Tell | None = None,
) -> PlannedNight:
    """What the work of a schedule would be if it were due at `due_at`. `plan` raises TargetError.

    Args:
        is_shared: whether other hosts plan and do the work on their files.
        beside: the other schedules that need the same workers.
    """
    (own,) = await _works(schedule, work, plan, [due_at], is_shared=is_shared, tell=tell)
    others = [
        planned
        for other, its_work, dues in beside
        for planned in await _works(other, its_work, plan, dues, is_shared=is_shared, tell=tell)
    ]
    return planned_night(
        own.targets,
        opens_at=due_at,
        closes_at=own.closes_at,
        workers=workers,
        max_per_host=own.max_per_host,
        canary=own.canary,
        idle=work.idle - len(work.by_hand),
        inapplicable=work.inapplicable,
        beside=others,
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
    of_others = dict.fromkeys(one.target for one in work.requests if is_shared and is_elsewhere(one))
    requests = [one for one in work.requests if one.target not in of_others]
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
        PlannedOperation(plan=one, idle=one.refused or one.not_needed or "", fit=request.options.fit)
        for one in plan.operations
    ]
    kind = KINDS[inspector.engine_of(request.target)]
    operations += [
        PlannedOperation(plan=OperationPlan(operation=one), idle=f"does not apply to {kind}")
        for one in schedule.operations or ()
        if one not in request.operations
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
