"""A page of text that is read and scrolled: a plan, a job, the help, the detail pane."""

from __future__ import annotations

from typing import ClassVar

from tui.widgets.item_list import ItemList


class Page(ItemList):
    """Lines without a cursor."""

    HAS_CURSOR: ClassVar[bool] = False

    def action_move(self, by: int) -> None:
        self.start_at(self.scroll_offset.y + by)

    def start_at(self, index: int) -> None:
        """Scroll so that a line is the first that is seen."""
        self._scroll_at_once(index)
