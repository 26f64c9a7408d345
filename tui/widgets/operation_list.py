"""The operations of a target, each with a checkbox."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from engine import Operation
from tui.actions import bindings
from tui.widgets.item_list import ItemList


class OperationList(ItemList):
    BINDINGS = bindings("choose")

    @dataclass
    class Toggled(Message):
        """The user takes an operation in, or out."""

        operation: Operation

    def action_choose(self) -> None:
        if isinstance(self.key, Operation):
            self.post_message(self.Toggled(self.key))
