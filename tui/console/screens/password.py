"""A password that a server asks for: typed without being shown, and kept in the memory of this process only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from engine.system import passwords
from tui.console.actions import bindings
from tui.console.screens.confirm import WIDTH, tags_of
from tui.console.screens.typed_confirm import unfocused_page
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, with_labels, wrapped
from tui.presentation.canonical_urls import canonical

if TYPE_CHECKING:
    from engine.domain.errors import PasswordNeededError
    from tui.console.screens.base import ConsoleScreen

KEPT: Final = "It is kept in memory only, here and in a worker process that is started from here."


def ask_for_password(
    screen: ConsoleScreen[Any], name: str, url: str, problem: PasswordNeededError, then: Callable[[], object]
) -> None:
    """Ask for what `problem` says is missing for this target, and go on with `then` once something was typed."""

    def typed(password: str | None) -> None:
        if password:
            passwords.remember(canonical(url), password)
            then()
        else:
            screen.say_error(problem)

    screen.app.push_screen(PasswordScreen(f"{name}: {problem.why}.", KEPT), typed)


class PasswordScreen(ModalScreen[str]):
    """Ends with what was typed, nothing where it is left."""

    CSS_PATH = "../styles/confirm.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("leave")
    AUTO_FOCUS = "#typed"

    def __init__(self, question: str, consequence: str) -> None:
        super().__init__()
        self._lines = [*wrapped(question, WIDTH), *wrapped(consequence, WIDTH), Line(), *wrapped("Password:", WIDTH)]

    def compose(self) -> Iterator[Widget]:
        with Vertical(id="question"), Vertical(id="box"):
            yield unfocused_page("text", with_labels(self._lines, tags_of(self.app)))
            typed = Input(id="typed", compact=True, password=True)
            typed.cursor_blink = False
            yield typed
            yield unfocused_page("keys", [Line(), footer_line(["confirm", "leave"], WIDTH)])

    @on(Input.Submitted)
    def _decide(self, message: Input.Submitted) -> None:
        """Nothing typed is no answer yet."""
        if message.value:
            self.dismiss(message.value)

    def action_leave(self) -> None:
        self.dismiss("")
