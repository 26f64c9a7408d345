"""Questions that are answered by typing: a given word confirms, a password opens a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from tui.console.actions import bindings
from tui.console.console_screen import Result
from tui.console.screens.confirm import WIDTH
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, Role, with_labels, wrapped
from tui.console.widgets.page import Page
from tui.presentation.text import plain

KEPT: Final = "Kept in memory only: here and in worker processes started from here."


class TypedQuestionScreen(ModalScreen[Result]):
    """Asks, and has an input below the question."""

    CSS_PATH = "../styles/confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("leave")
    AUTO_FOCUS = "#typed"

    def __init__(self, paragraphs: Sequence[str], prompt: str, tags: frozenset[str], *, is_hidden: bool) -> None:
        """`tags`: labels of targets in the question, to be coloured. `is_hidden`: the typed text is not shown."""
        super().__init__()
        lines = [line for text in paragraphs for line in wrapped(text, WIDTH)]
        self._text = with_labels([*lines, Line(), *wrapped(prompt, WIDTH)], tags)
        self._error = _unfocused_page("error", [Line()])
        self._typed = Input(id="typed", compact=True, password=is_hidden)
        self._typed.cursor_blink = False

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="question"), Vertical(id="box"):
            yield _unfocused_page("text", self._text)
            yield self._typed
            yield self._error
            yield _unfocused_page("keys", [footer_line(["confirm", "leave"], WIDTH)])

    def show_error(self, lines: list[Line]) -> None:
        self._error.styles.height = len(lines)
        self._error.show(lines)


class TypedConfirmScreen(TypedQuestionScreen[bool]):
    def __init__(self, question: str, consequence: str, word: str, *, tags: frozenset[str] = frozenset()) -> None:
        word = plain(word).strip()  # the word as shown
        self._word = word
        super().__init__([question, consequence], f"Type {word} to confirm:", tags, is_hidden=False)

    @on(Input.Submitted)
    def _decide(self, message: Input.Submitted) -> None:
        """Ignores an empty answer; after a wrong one the line is cleared for the next try."""
        typed = message.value.strip()
        if typed in {self._word, f"#{self._word}"}:
            self.dismiss(True)
        elif typed:
            message.input.clear()
            self.show_error(wrapped(f"That is not {self._word}. Nothing was done.", WIDTH, Role.WARNING))

    @on(Input.Changed)
    def _restart(self, message: Input.Changed) -> None:
        if message.value:
            self.show_error([Line()])

    def action_leave(self) -> None:
        self.dismiss(False)


class PasswordScreen(TypedQuestionScreen[str]):
    """Returns the typed password, or "" if the user leaves."""

    def __init__(self, question: str, *, tags: frozenset[str] = frozenset()) -> None:
        super().__init__([question, KEPT], "Password:", tags, is_hidden=True)

    @on(Input.Submitted)
    def _decide(self, message: Input.Submitted) -> None:
        """Ignores an empty answer."""
        if message.value:
            self.dismiss(message.value)

    def action_leave(self) -> None:
        self.dismiss("")


def _unfocused_page(name: str, lines: list[Line]) -> Page:
    page = Page(id=name)
    page.can_focus = False
    page.show(lines)
    page.styles.height = len(lines)
    return page
