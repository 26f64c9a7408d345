"""What all screens share: a message line, a footer, the way back, and how they come by news."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from textual import events
from textual.binding import BindingType
from textual.screen import Screen
from textual.widget import Widget

from engine.errors import DbtendError
from tui.actions import bindings
from tui.views.keys import footer_line
from tui.views.line import Role, line, with_labels, wrapped
from tui.widgets.one_line import OneLine
from tui.widgets.page import Page

if TYPE_CHECKING:
    from tui.app import DbtendApp
    from tui.feed import News

Result = TypeVar("Result")

STEPS_EVERY: Final = 1_000_000
"""Microseconds between two readings of all the steps of a job that runs, at least: there may be thousands."""


class ConsoleScreen(Screen[Result]):
    """A whole screen of the console."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("back", "quit")
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (60, "-narrow"), (100, "-wide")]  # noqa: RUF012 - declared by Textual
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (15, "-low"), (30, "-high")]  # noqa: RUF012
    FOOTER: ClassVar[tuple[str, ...]] = ("back", "help")
    """Which actions the footer names, in order, as far as they can be taken now."""

    def __init__(self) -> None:
        super().__init__()
        self._message = Page(id="message")
        self._message.can_focus = False
        self._footer = OneLine(id="footer")

    @property
    def console_app(self) -> DbtendApp:
        app = self.app
        from tui.app import DbtendApp

        assert isinstance(app, DbtendApp)  # noqa: S101 - there is no other
        return app

    def compose(self) -> Iterator[Widget]:
        # What the first resize would set anyway: so nothing is styled and laid out twice at the start.
        width, height = self.app.size
        self.add_class(_class_for(width, self.HORIZONTAL_BREAKPOINTS), _class_for(height, self.VERTICAL_BREAKPOINTS))
        yield from self.compose_body()
        yield self._message
        yield self._footer
        yield OneLine(lambda width: line(" dbtend needs at least 60 x 15 characters."), id="too-small")

    def compose_body(self) -> Iterator[Widget]:
        raise NotImplementedError

    def on_mount(self) -> None:
        app = self.console_app
        app.news.subscribe(self, self.hear)
        app.trouble.subscribe(self, self.say_error)
        self.refresh_footer()

    def hear(self, news: News) -> None:
        """Something happened to jobs, or one that runs has come further."""

    def can(self, action_id: str) -> bool:
        """Whether an action of the footer can be taken now."""
        if action_id in {"pause", "resume"}:
            return (action_id == "resume") == (self.console_app.feed.pause is not None)
        return True

    def refresh_footer(self) -> None:
        ids = [action_id for action_id in self.FOOTER if self.can(action_id)]
        self._footer.show(partial(footer_line, ids))

    def say(self, sentence: str, role: Role = Role.TEXT) -> None:
        """Show a sentence above the footer until the next key; nothing takes it away."""
        lines = wrapped(sentence, self.size.width, role, indent=1) if sentence else []
        lines = with_labels(lines, self.console_app.names.tags)
        self._message.display = bool(lines)
        self._message.styles.height = len(lines)
        self._message.show(lines)

    def say_error(self, error: DbtendError) -> None:
        self.say(self.console_app.in_words(error), Role.FAILED)

    def on_key(self, event: events.Key) -> None:
        self.say("")

    def action_back(self) -> None:
        self.dismiss()

    def action_quit(self) -> None:
        self.action_back()


def _class_for(cells: int, breakpoints: Sequence[tuple[int, str]]) -> str:
    """The class of the largest breakpoint that `cells` reaches."""
    return max((at, name) for at, name in breakpoints if cells >= at)[1]
