"""Asks for the password of a server; the typed text is hidden and kept in memory only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from tui.console.actions import bindings
from tui.console.screens.confirm import WIDTH
from tui.console.screens.typed_confirm import unfocused_page
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, with_labels, wrapped

KEPT: Final = "Kept in memory only: here and in worker processes started from here."


class PasswordScreen(ModalScreen[str]):
    """Returns the typed password, or "" if the user leaves."""

    CSS_PATH = "../styles/confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("leave")
    AUTO_FOCUS = "#typed"

    def __init__(self, question: str, *, tags: frozenset[str] = frozenset()) -> None:
        """`tags`: labels of targets in the question, to be coloured."""
        super().__init__()
        self._tags = tags
        self._lines = [*wrapped(question, WIDTH), *wrapped(KEPT, WIDTH), Line(), *wrapped("Password:", WIDTH)]

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="question"), Vertical(id="box"):
            yield unfocused_page("text", with_labels(self._lines, self._tags))
            typed = Input(id="typed", compact=True, password=True)
            typed.cursor_blink = False
            yield typed
            yield unfocused_page("keys", [Line(), footer_line(["confirm", "leave"], WIDTH)])

    @on(Input.Submitted)
    def _decide(self, message: Input.Submitted) -> None:
        """Ignores an empty answer."""
        if message.value:
            self.dismiss(message.value)

    def action_leave(self) -> None:
        self.dismiss("")
