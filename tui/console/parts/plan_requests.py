"""The plans for several targets: the chosen operations of each, or the needed ones."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from tui.console.parts.target_inspector import TargetInspector
from tui.console.target_model import TargetModel
from tui.console.views.hints import why_nothing
from tui.console.views.plans_document import PlanRequest
from tui.presentation.target_names import TargetName


def plan_requests(model: TargetModel, inspector: TargetInspector, numbers: Iterable[int]) -> list[PlanRequest]:
    """A request for each target; one that was not inspected yet is inspected when it is planned."""
    return [
        _request(model, number) if _is_known(model, number) else _unknown(model, inspector, number)
        for number in numbers
    ]


def _is_known(model: TargetModel, number: int) -> bool:
    state = model.states[number]
    return state.advice is not None or state.error is not None or state.is_pattern


def _request(model: TargetModel, number: int) -> PlanRequest:
    state = model.states[number]
    return PlanRequest(TargetName.of(state.entry), model.request(number), why_nothing(state), state.advice or ())


def _unknown(model: TargetModel, inspector: TargetInspector, number: int) -> PlanRequest:
    name = TargetName.of(model.states[number].entry)
    return PlanRequest(name, None, prepare=partial(_prepared, model, inspector, number, name))


async def _prepared(model: TargetModel, inspector: TargetInspector, number: int, name: TargetName) -> PlanRequest:
    await inspector.inspect_now(number)
    return _request(model, number) if number in model.states else PlanRequest(name, None, "it was removed")
