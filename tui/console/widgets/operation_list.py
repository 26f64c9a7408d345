"""The operations of a target, each with a checkbox."""

from __future__ import annotations

from engine import Operation
from engine.domain.advice import highest_level
from tui.console.actions import bindings
from tui.console.target_model import TargetModel
from tui.console.views.hints import building, elsewhere, target_trouble, welcome
from tui.console.views.line import Line
from tui.console.views.lists import operation_rows
from tui.console.widgets.item_list import ItemList


class OperationList(ItemList):
    """Shows the operations of the current target of a model. The screen carries out its actions."""

    BINDINGS = bindings("choose")
    KEEPS_HEIGHT = True

    def __init__(self, model: TargetModel, *, read_only: bool, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        """`read_only`: no job can be run here."""
        super().__init__(id=id)
        self._model = model
        self._read_only = read_only
        self.sample_path = ""
        """Path of the sample that is being built; empty: none is."""
        self.keeps_cursor = False
        """Whether the cursor no longer moves by itself: the user has pressed a key, or it has moved once."""

    @property
    def operation(self) -> Operation | None:
        return self.key if isinstance(self.key, Operation) else None

    def show_model(self) -> None:
        marked = self._model.marked
        self.titled(f"2 Operations of {len(marked):,}" if marked else "2 Operations")
        self.show(self._rows())

    def _rows(self) -> list[Line]:
        model, state, width = self._model, self._model.state, self.columns
        if state is None:
            return building(self.sample_path, width) if self.sample_path else welcome(width)
        if state.info is None:
            return target_trouble(state, width, read_only=self._read_only)
        host = state.info.elsewhere
        return operation_rows(
            state.info.operations,
            state.advice or (),
            model.chosen,
            self.key,
            width=width,
            height=self.scrollable_content_region.height,
            check=model.check_level,
            note=elsewhere(host, width) if host and not self._read_only else (),
        )

    def go_to_most_urgent(self) -> None:
        """Move the cursor to the most urgent chosen operation: once, and never after a key."""
        model = self._model
        advised = [one for one in (model.state and model.state.advice) or () if one.operation in model.chosen]
        if advised and not self.keeps_cursor and not self.cursor:
            level = highest_level(advised)
            self.go_to(next(item.operation for item in advised if item.level is level))
        self.keeps_cursor = True
