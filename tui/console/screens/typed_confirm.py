"""A question that is confirmed by typing a given word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from tui.console.actions import bindings
from tui.console.screens.confirm import WIDTH
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, Role, with_labels, wrapped
from tui.console.widgets.page import Page
from tui.presentation.text import plain


class TypedConfirmScreen(ModalScreen[bool]):
    """Asks; only typing `word` confirms."""

    CSS_PATH = "../styles/confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("leave")
    AUTO_FOCUS = "#typed"

    def __init__(self, question: str, consequence: str, word: str, *, tags: frozenset[str] = frozenset()) -> None:
        """`tags`: labels of targets in the question, to be coloured."""
        super().__init__()
        self._tags = tags
        self._word = word = plain(word).strip()  # the word as shown
        self._lines = [
            *wrapped(question, WIDTH),
            *wrapped(consequence, WIDTH),
            Line(),
            *wrapped(f"Type {word} to confirm:", WIDTH),
        ]

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="question"), Vertical(id="box"):
            yield unfocused_page("text", with_labels(self._lines, self._tags))
            typed = Input(id="typed", compact=True)
            typed.cursor_blink = False
            yield typed
            yield unfocused_page("error", [Line()])
            yield unfocused_page("keys", [footer_line(["confirm", "leave"], WIDTH)])

    @on(Input.Submitted)
    def _decide(self, message: Input.Submitted) -> None:
        """Ignores an empty answer; after a wrong one the line is cleared for the next try."""
        typed = message.value.strip()
        if typed in {self._word, f"#{self._word}"}:
            self.dismiss(True)
        elif typed:
            message.input.clear()
            self._say(wrapped(f"That is not {self._word}. Nothing was done.", WIDTH, Role.WARNING))

    @on(Input.Changed)
    def _restart(self, message: Input.Changed) -> None:
        if message.value:
            self._say([Line()])

    def _say(self, lines: list[Line]) -> None:
        page = self.query_one("#error", Page)
        page.styles.height = len(lines)
        page.show(lines)

    def action_leave(self) -> None:
        self.dismiss(False)


def unfocused_page(name: str, lines: list[Line]) -> Page:
    """A few lines of text in a question."""
    page = Page(id=name)
    page.can_focus = False
    page.show(lines)
    page.styles.height = len(lines)
    return page
