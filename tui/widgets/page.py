"""A page of text that is read and scrolled: a plan, a job, the help, the detail pane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.message import Message

from tui.widgets.item_list import ItemList


class Page(ItemList):
    """Lines without a cursor."""

    HAS_CURSOR: ClassVar[bool] = False

    @dataclass
    class Resized(Message):
        """The page is another width or height: its text is to be laid out anew."""

        page: Page

        @property
        def control(self) -> Page:
            return self.page

    def on_resize(self, event: events.Resize) -> None:
        self.post_message(self.Resized(self))

    def action_move(self, by: int) -> None:
        self.start_at(self.scroll_offset.y + by)

    def start_at(self, index: int) -> None:
        """Scroll so that a line is the first that is seen."""
        self._scroll_at_once(index)
