"""One line of text: the header, the footer, the message line."""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.theme import looks_of
from tui.views.line import Line


class OneLine(Widget):
    """Draws one line, and only when it is another one than before."""

    def __init__(
        self,
        make: Callable[[int], Line] = lambda width: Line(),
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """`make`: what to show, for the width there is."""
        super().__init__(id=id)
        self._make = make
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
        # Drawn first, and told of its size afterwards: what is drawn first is right already.
        self._line = self._make(self.size.width)
        base, roles = self.rich_style, looks_of(self.app).roles
        segments = [Segment(text, base + roles[role]) for text, role in self._line.spans if text]
        return Strip(segments).adjust_cell_length(self.size.width, base)
