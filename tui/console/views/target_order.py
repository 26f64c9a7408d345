"""Which targets a list shows, and in which order. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from engine.domain.surveys import URGENCY
from tui.console.views.lists import TargetState, level_of

if TYPE_CHECKING:
    from engine.fleet.filters import FleetFilter


class Sort(StrEnum):
    """What a list of targets is sorted by; the names of equal ones decide."""

    LEVEL = "level"
    RECLAIM = "reclaim"
    SIZE = "size"
    CHECKED = "last check"
    LAST_RUN = "last run"
    NAME = "name"

    @property
    def following(self) -> Sort:
        """The next one, in a circle."""
        sorts = list(Sort)
        return sorts[(sorts.index(self) + 1) % len(sorts)]


def shown_targets(
    states: Mapping[int, TargetState], sort: Sort, where: FleetFilter | None = None, *, now: int = 0
) -> list[int]:
    """The numbers of the targets that match the filter, in order.

    Args:
        states: in the order of their names.
        where: None: all of them.
        now: microseconds, for the ages of checks.
    """
    found = list(states)
    if where is not None:
        found = [n for n, state in states.items() if where.matches(state.entry, state.survey, now)]
    if sort is Sort.NAME:
        return found
    key = _KEYS[sort]
    return sorted(found, key=lambda number: key(states[number]))


_LAST: Final = len(URGENCY)


def _by_level(state: TargetState) -> tuple[int, int]:
    level = level_of(state)
    gain = state.survey.reclaimable if state.survey is not None else 0
    return (_LAST if level is None else URGENCY[level]), -gain


def _by_check(state: TargetState) -> tuple[bool, int]:
    """First those never checked, then the oldest check first; targets without a survey are last."""
    return state.survey is None, (state.survey.checked_at or 0) if state.survey is not None else 0


def _by_last_run(state: TargetState) -> int:
    """The newest first."""
    return -state.last_job.id if state.last_job is not None else 0


_KEYS: Final[Mapping[Sort, Callable[[TargetState], Any]]] = {
    Sort.LEVEL: _by_level,
    Sort.RECLAIM: lambda state: -state.survey.reclaimable if state.survey is not None else 0,
    Sort.SIZE: lambda state: -(state.survey.size or 0) if state.survey is not None else 0,
    Sort.CHECKED: _by_check,
    Sort.LAST_RUN: _by_last_run,
}
