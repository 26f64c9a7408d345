"""The list of the screen of schedules."""

from __future__ import annotations

from tui.console.actions import bindings
from tui.console.widgets.item_list import ItemList


class ScheduleList(ItemList):
    BINDINGS = bindings("open-schedule", "run-schedule", "plan-schedule", "disable-schedule")

    @property
    def schedule(self) -> str | None:
        return self.key if isinstance(self.key, str) else None
