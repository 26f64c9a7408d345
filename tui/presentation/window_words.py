"""The sentences about a step that its window leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from engine import Reason, Step
from engine.domain.humanize import PAST_THE_LIMIT, about
from engine.domain.steps import EXPECTED, TIME_LEFT
from tui.presentation.fact_format import number

if TYPE_CHECKING:
    from engine import PlannedStep

_FEW: Final = 10.0
"""Seconds below which their tenths matter."""
_PLANNED: Final[Mapping[Reason, str]] = {
    Reason.TIME_LIMIT: "not begun: the time limit passes first",
    Reason.WILL_NOT_FIT: "not begun: by its estimate it ends after the time limit",
}


def planned_step(step: PlannedStep) -> str:
    """Why the step would not begin if its plan ran now; "" if it would."""
    return "" if step.not_begun is None else _PLANNED[step.not_begun]


def step_error(step: Step) -> str:
    """Why a step did not complete; "" if it did, or if that is unknown."""
    if step.error or step.reason not in {Reason.WILL_NOT_FIT, Reason.TIME_LIMIT}:
        return step.error or ""
    needed, left = number(step.effect, EXPECTED), number(step.effect, TIME_LEFT)
    if step.reason is Reason.TIME_LIMIT or needed is None or left is None:
        return PAST_THE_LIMIT
    digits = next((found for found in (1, 2) if _seconds(needed, found) != _seconds(left, found)), 3)
    return f"not begun: it takes {_seconds(needed, digits)}, and {_seconds(left, digits)} was left"


def _seconds(value: float, digits: int) -> str:
    return f"{value:.{digits}f} s" if value < _FEW else about(value)
