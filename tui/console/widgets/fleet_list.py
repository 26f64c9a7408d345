"""The list of the fleet screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message

from tui.console.actions import bindings
from tui.console.target_model import TargetModel
from tui.console.views.fleet import list_title
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
        super().__init__(model, Sort.LEVEL, clock, id=id)
        self._summed: list[int] | None = None
        self._reclaimable = 0
        """Bytes, of the targets in `_summed`."""

    def show_marks(self) -> None:
        super().show_marks()
        if self._summed is not self.shown:
            surveys = (self.model.states[number].survey for number in self.shown)
            self._reclaimable = sum(survey.reclaimable for survey in surveys if survey is not None)
            self._summed = self.shown
        title = list_title(len(self.shown), self.model.marked_count, self.sort, self._reclaimable)
        self.titled(title, self.words)

    def action_open_target(self) -> None:
        if self.number is not None:
            self.post_message(self.Opened(self.number))
