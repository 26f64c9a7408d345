"""A yes/no question; every key but yes means no."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from tui.console.actions import bindings
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, with_labels, wrapped
from tui.console.widgets.page import Page

WIDTH = 54


class ConfirmScreen(ModalScreen[bool]):
    """Asks; only `y` is a yes."""

    CSS_PATH = "../styles/confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("yes", "no")

    def __init__(self, question: str, consequence: str, *, tags: frozenset[str]) -> None:
        """`tags`: labels of targets in the question, to be coloured."""
        super().__init__()
        self._tags = tags
        self._lines = [
            *wrapped(question, WIDTH),
            *wrapped(consequence, WIDTH),
            Line(),
            footer_line(["yes", "no"], WIDTH),
        ]

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="question"):
            page = Page(id="text")
            page.show(with_labels(self._lines, self._tags))
            page.styles.height = len(self._lines) + 2
            yield page

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)
