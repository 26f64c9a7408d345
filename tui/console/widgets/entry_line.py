"""The line at the bottom for a filter or a search text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from tui.console.actions import bindings
from tui.console.views.line import Role, line
from tui.console.widgets.one_line import OneLine


class Entry(Input):
    """Posts `Input.Changed` and, on enter, `Input.Submitted`; the screen handles esc."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("keep", "clear")


class EntryLine(Horizontal):
    """The prompt `/` and the input."""

    def __init__(self, value: str, placeholder: str) -> None:
        super().__init__(id="entry")
        self._typed = Entry(value, placeholder=placeholder, id="typed", compact=True, select_on_focus=False)
        self._typed.cursor_blink = False  # blinking would send 2 kB/s over an idle line

    def compose(self) -> Iterator[Widget]:
        yield OneLine(lambda width: line((" /", Role.KEY)))
        yield self._typed
