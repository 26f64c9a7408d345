"""The targets, and the keys for what can be done with one."""

from __future__ import annotations

from tui.console.actions import bindings
from tui.console.widgets.item_list import ItemList


class TargetList(ItemList):
    """What the keys do is up to the screen, which knows the targets."""

    BINDINGS = bindings("mark-target", "edit", "remove", "test")
