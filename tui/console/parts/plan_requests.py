"""The plans for several targets: the chosen operations of each, or the needed ones."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from engine.domain.batches import FailedRequest
from engine.domain.errors import TargetError
from tui.console.parts.target_inspector import TargetInspector
from tui.console.target_model import TargetModel
from tui.console.views.hints import why_nothing
from tui.console.views.plans_document import PlanRequest
from tui.presentation.target_names import TargetName


def plan_requests(model: TargetModel, inspector: TargetInspector, numbers: Iterable[int]) -> list[PlanRequest]:
    """A request for each target; one that is new, or has changed since its inspection, is inspected first."""
    return [_unprepared(model, inspector, number) for number in numbers]


def _unprepared(model: TargetModel, inspector: TargetInspector, number: int) -> PlanRequest:
    name = TargetName.of(model.states[number].entry)
    return PlanRequest(name, None, prepare=partial(_prepared, model, inspector, number, name))


async def _prepared(model: TargetModel, inspector: TargetInspector, number: int, name: TargetName) -> PlanRequest:
    await inspector.inspect_now(number)
    if number not in model.states:
        return PlanRequest(name, None, "it was removed")
    state = model.states[number]
    request = model.request(number)
    if request is None and isinstance(state.error, TargetError):
        failed = FailedRequest(model.request_unopened(number), state.error, state.is_pattern)
        return PlanRequest(name, None, failed=failed)
    return PlanRequest(name, request, why_nothing(state), state.advice or ())
