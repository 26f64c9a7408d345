"""A preview of a firing: the plans of its targets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from engine.domain.batches import FailedRequest
from engine.domain.due_times import closes_at, stagger_offset
from engine.domain.errors import DbtendError, TargetError
from engine.domain.option_spec import KINDS
from engine.domain.requests import Request
from engine.domain.schedules import Schedule
from engine.domain.steps import Micros
from engine.inspection import inspector
from engine.inspection.inspector import for_each
from engine.schedules.looking import Tell, counting
from engine.schedules.night import PlannedNight, PlannedOperation, PlannedTarget, planned_night
from engine.schedules.work import Work
from engine.submission.elsewhere import is_elsewhere
from engine.targets import resolve
from engine.targets.plans import OperationPlan, Plan


async def night_of(
    schedule: Schedule,
    work: Work,
    plan: Callable[[Request], Awaitable[Plan]],
    due_at: Micros,
    *,
    workers: int,
    is_shared: bool,
    tell: Tell | None = None,
) -> PlannedNight:
    """What the work of a schedule would be if it were due at `due_at`. `plan` raises TargetError.

    `is_shared`: whether other hosts plan and do the work on their files.
    """
    of_others = dict.fromkeys(one.target for one in work.requests if is_shared and is_elsewhere(one))
    requests = [one for one in work.requests if one.target not in of_others]
    asked = {request.target: request for request in requests}
    plans = await for_each(list(asked), counting(lambda target: plan(asked[target]), len(asked), tell))
    targets = [_planned(*one, schedule, due_at) for one in zip(requests, plans, strict=True)]
    return planned_night(
        [*targets, *map(_failed, [*work.failed, *work.by_hand]), *map(_of_other, of_others)],
        opens_at=due_at,
        closes_at=closes_at(schedule, due_at),
        workers=workers,
        max_per_host=schedule.max_per_host,
        canary=schedule.canary,
        idle=work.idle - len(work.by_hand),
        inapplicable=work.inapplicable,
    )


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
