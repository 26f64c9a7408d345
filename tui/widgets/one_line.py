"""One line of text: the header, the footer, the message line."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.views.line import Line, Role


class OneLine(Widget):
    """Draws one line, and only when it is another one than before."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"line--{role.value}" for role in Role}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._make: Callable[[int], Line] = lambda width: Line()
        self._line = Line()

    def show(self, make: Callable[[int], Line]) -> None:
        """Show what `make` says for the width there is, now and after every change of size."""
        self._make = make
        if (new := make(self.size.width)) != self._line:
            self._line = new
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self.show(self._make)

    def render_line(self, y: int) -> Strip:
        base = self.rich_style
        segments = [
            Segment(text, base + self.get_component_rich_style(f"line--{role.value}", partial=True))
            for text, role in self._line.spans
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)
