"""One line of text: the header, the footer."""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui.console.theme import appearance_of
from tui.console.views.line import Line


class OneLine(Widget):
    """Draws one line, and again only when it has changed."""

    def __init__(self, make: Callable[[int], Line], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        """`make`: makes the line for a width."""
        super().__init__(id=id)
        self._make = make
        self._line = Line()
        self._is_due = False

    def renew(self) -> None:
        """Check whether the line has changed, once for all pending events."""
        if self.size and not self._is_due:  # before the first drawing nothing is to check
            self._is_due = self.call_later(self._renew)

    def _renew(self) -> None:
        self._is_due = False
        if self._make(self.size.width) != self._line:
            self.refresh()

    def render_line(self, y: int) -> Strip:
        self._line = self._make(self.size.width)
        base, roles = self.rich_style, appearance_of(self.app).roles
        segments = [Segment(text, base + roles[role]) for text, role in self._line.spans if text]
        return Strip(segments).adjust_cell_length(self.size.width, base)
