"""The targets, and the keys for what can be done with one."""

from __future__ import annotations

from tui.console.actions import bindings
from tui.console.keymap import key_of
from tui.console.target_model import TargetModel
from tui.console.views.hints import no_target
from tui.console.views.lists import target_rows
from tui.console.widgets.item_list import ItemList


class TargetList(ItemList):
    """Shows the targets of a model. The screen carries out its actions."""

    BINDINGS = bindings("mark-target", "edit", "remove", "test")

    def __init__(self, model: TargetModel, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.model = model

    def show_model(self) -> None:
        model, width = self.model, self.columns
        self.show(target_rows(model.states, model.current, width, model.marked) or no_target(width))
        marked = f" ({len(model.marked)} marked)" if model.marked else ""
        self.titled(f"1 Targets{marked}", "" if model.state is None or model.state.saved else self._unsaved())

    def _unsaved(self) -> str:
        key = key_of("edit")
        text = f"unsaved: {key} saves it"
        return text if len(text) <= self.subtitle_room else f"unsaved ({key})"

    def select_at_cursor(self) -> bool:
        """Make the target under the cursor the current one; returns whether it is another one."""
        key, model = self.key, self.model
        if not isinstance(key, int) or key == model.current or key not in model.states:
            return False
        model.current = key
        return True
