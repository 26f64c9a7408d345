"""The list of the fleet screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.message import Message

from tui.console.actions import bindings
from tui.console.target_model import TargetModel
from tui.console.views.fleet import Columns, columns, fleet_row, list_title, longest_name
from tui.console.views.hints import no_target
from tui.console.views.line import Line
from tui.console.views.target_order import Sort
from tui.console.widgets.target_list import ModelList


class FleetList(ModelList):
    BINDINGS = bindings("mark-target", "mark-all", "sort", "open-target")
    KEEPS_HEIGHT = True

    @dataclass
    class Opened(Message):
        """The user opens a target."""

        number: int

    def __init__(self, model: TargetModel, clock: Callable[[], int], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(model, Sort.LEVEL, id=id)
        self._clock = clock
        self._names_version = -1
        self._names = 0
        self._has_groups = False
        self._summed: list[int] | None = None
        self._reclaimable = 0
        """Bytes, of the targets that it shows; `_summed`: as they were then."""
        self.has = Columns(0, {})
        """The columns of the last layout."""

    def show_model(self, now: int) -> None:
        if self._names_version != self.model.names_version:
            self._names_version, states = self.model.names_version, list(self.model.states.values())
            self._names = longest_name(states)
            self._has_groups = any(state.entry.groups for state in states)
        has_schedules = any(state.next_due is not None for state in self.model.states.values())
        found = {"groups": self._has_groups, "next": has_schedules}
        self.has = columns(self._names, self.columns, without=[name for name, has in found.items() if not has])
        super().show_model(now)

    def show_marks(self) -> None:
        super().show_marks()
        if self._summed is not self.shown:
            surveys = (self.model.states[number].survey for number in self.shown)
            self._reclaimable = sum(survey.reclaimable for survey in surveys if survey is not None)
            self._summed = self.shown
        title = list_title(len(self.shown), self.model.marked_count, self.sort, self._reclaimable)
        self.titled(title, self.words)

    def rows_of(self, number: int) -> Sequence[Line]:
        is_marked, now = self.model.is_marked(number), self._clock()
        return [fleet_row(number, self.model.states[number], self.has, is_marked=is_marked, now=now)]

    def empty_lines(self) -> Sequence[Line]:
        return no_target(self.columns, filtered=bool(self.model.states))

    def action_open_target(self) -> None:
        if self.number is not None:
            self.post_message(self.Opened(self.number))
