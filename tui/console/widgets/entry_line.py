"""The line at the bottom in which a filter, or a text to find, is typed."""

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
    """Tells of every change (`Input.Changed`) and of enter (`Input.Submitted`); esc is the screen's way back."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("keep", "clear")


class EntryLine(Horizontal):
    """A sign that something is looked for, and what is typed."""

    def __init__(self, value: str, placeholder: str) -> None:
        super().__init__(id="entry")
        self._typed = Entry(value, placeholder=placeholder, id="typed", compact=True, select_on_focus=False)
        self._typed.cursor_blink = False  # it would send 2 kB/s over a line that has nothing else to carry

    def compose(self) -> Iterator[Widget]:
        yield OneLine(lambda width: line((" /", Role.KEY)))
        yield self._typed
