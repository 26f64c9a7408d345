"""The operations of a target, each with a checkbox."""

from __future__ import annotations

from tui.console.actions import bindings
from tui.console.widgets.item_list import ItemList


class OperationList(ItemList):
    """What space does is up to the screen, which knows the target."""

    BINDINGS = bindings("choose")
    KEEPS_HEIGHT = True
