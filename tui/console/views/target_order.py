"""Which targets a list shows, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

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


_HOUR: Final = 3_600 * 1_000_000


class TargetOrder:
    """Which targets a list shows, in order. Keeps what it knows of those that have not changed: there may be many."""

    def __init__(self) -> None:
        self._known_for: object = None
        """The sort, the filter and the targets that the rest is known for."""
        self._seen: dict[int, TargetState] = {}
        self._places: dict[int, int] = {}
        """By name."""
        self._keys: dict[int, tuple[int, ...]] = {}
        """What the targets that match the filter are sorted by."""
        self._shown: list[int] = []

    def shown(
        self, states: Mapping[int, TargetState], sort: Sort, where: FleetFilter | None = None, *, now: int = 0
    ) -> list[int]:
        """The numbers of the targets that match the filter, in order.

        Args:
            states: in the order of their names.
            where: None: all of them.
            now: microseconds, for the ages of checks.
        """
        numbers = list(states)
        if where is None and sort is Sort.NAME:
            return numbers
        hour = now // _HOUR if where is not None and where.check_ages else None
        known_for = (sort, where, hour, numbers)
        if known_for != self._known_for:
            self._known_for, self._shown = known_for, []
            self._seen, self._keys = {}, {}
            self._places = {number: place for place, number in enumerate(numbers)}
        seen, key = self._seen, _KEYS[sort]
        for number, state in states.items():
            if seen.get(number) is not state:
                seen[number] = state
                if where is None or where.matches(state.entry, state.survey, now):
                    self._keys[number] = (*key(state), self._places[number])
                else:
                    self._keys.pop(number, None)
        keys = self._keys
        kept = [number for number in self._shown if number in keys]
        new = keys.keys() - set(kept) if len(kept) < len(keys) else ()
        self._shown = sorted([*kept, *new], key=keys.__getitem__)  # fast where most are in order
        return self._shown


_LAST: Final = len(URGENCY)


def _by_level(state: TargetState) -> tuple[int, int]:
    level = level_of(state)
    gain = state.survey.reclaimable if state.survey is not None else 0
    return (_LAST if level is None else URGENCY[level]), -gain


def _by_check(state: TargetState) -> tuple[int, int]:
    """First those never checked, then the oldest check first; targets without a survey are last."""
    return int(state.survey is None), (state.survey.checked_at or 0) if state.survey is not None else 0


def _by_last_run(state: TargetState) -> tuple[int, ...]:
    """The newest first."""
    return (-state.last_job.id if state.last_job is not None else 0,)


_KEYS: Final[Mapping[Sort, Callable[[TargetState], tuple[int, ...]]]] = {
    Sort.LEVEL: _by_level,
    Sort.RECLAIM: lambda state: (-state.survey.reclaimable if state.survey is not None else 0,),
    Sort.SIZE: lambda state: (-(state.survey.size or 0) if state.survey is not None else 0,),
    Sort.CHECKED: _by_check,
    Sort.LAST_RUN: _by_last_run,
    Sort.NAME: lambda _: (),
}
