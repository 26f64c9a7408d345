"""The page of a job: its cursor moves over the children in the picture, and beyond them the page scrolls."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message

from engine import JobId
from tui.console.actions import bindings
from tui.console.widgets.page import Page


class JobPage(Page):
    """A page with a cursor on one of the lines whose key is the id of a child."""

    BINDINGS = bindings("details")

    @dataclass
    class Selected(Message):
        child: JobId

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.selected: JobId | None = None
        """The child under the cursor."""

    def is_under_cursor(self, index: int) -> bool:
        key = self.line_at(index).key
        return key is not None and key == self.selected

    def action_move(self, by: int) -> None:
        """Move the cursor while the picture is in view; at its ends, and below it, scroll."""
        if abs(by) != 1 or self.scroll_offset.y or not self._select(by):
            super().action_move(by)

    def _select(self, by: int) -> bool:
        """Move the cursor by so many children; whether there is such a child."""
        children = self._children
        at = children.index(self.selected) + by if self.selected in children else 0
        if not 0 <= at < len(children):
            return False
        self.post_message(self.Selected(children[at]))
        return True

    @property
    def _children(self) -> list[JobId]:
        return [line.key for line in self._lines if isinstance(line.key, JobId)]

    def action_details(self) -> None:
        """Scroll to the text about the child under the cursor."""
        if self.selected is not None:
            self.start_at(next((n for n, line in enumerate(self._lines) if line.key == self.selected.ordinal), 0))

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        index = at.y + self.scroll_offset.y if at is not None else self.line_count
        if index < self.line_count and isinstance(key := self.line_at(index).key, JobId):
            self.post_message(self.Selected(key))
