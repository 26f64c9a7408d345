"""A question that is answered with yes or no; no unless yes is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget

from tui.console.actions import bindings
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, with_labels, wrapped
from tui.console.widgets.page import Page

WIDTH = 54


def tags_of(app: App[Any]) -> frozenset[str]:
    """The labels of targets that a question may name."""
    from tui.console.app import DbtendApp

    return app.names.tags if isinstance(app, DbtendApp) else frozenset()


class ConfirmScreen(ModalScreen[bool]):
    """Asks; only `y` is a yes."""

    CSS_PATH = "../styles/confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("yes", "no")

    def __init__(self, question: str, consequence: str) -> None:
        super().__init__()
        self._lines = [
            *wrapped(question, WIDTH),
            *wrapped(consequence, WIDTH),
            Line(),
            footer_line(["yes", "no"], WIDTH),
        ]

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="question"):
            page = Page(id="text")
            page.show(with_labels(self._lines, tags_of(self.app)))
            page.styles.height = len(self._lines) + 2
            yield page

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)
