"""What all screens share: a message line, a footer, the way back, and how they come by news."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from textual import events
from textual.binding import BindingType
from textual.screen import Screen
from textual.widget import Widget

from engine.domain import typed_passwords
from engine.domain.errors import DbtendError, PasswordNeededError
from tui.console.actions import barred, bindings
from tui.console.keymap import with_keys
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, Role, line, with_labels, wrapped
from tui.console.views.standing import StatusBanner, standing_lines
from tui.console.widgets.one_line import OneLine
from tui.console.widgets.page import Page
from tui.presentation.canonical_urls import canonical

if TYPE_CHECKING:
    from engine import ParentJob
    from tui.console.context import ConsoleContext
    from tui.console.feed import News

Result = TypeVar("Result")

_STEPS_EVERY: Final = 1_000_000
_STEPS_A_SECOND: Final = 1_500


def steps_every(parent: ParentJob) -> int:
    """Microseconds between two readings of all the steps of a job that runs, at least: there may be thousands."""
    steps = sum(child.progress.steps_total for child in parent.children)
    return max(_STEPS_EVERY, steps * 1_000_000 // _STEPS_A_SECOND)


class ConsoleScreen(Screen[Result]):
    """A whole screen of the console."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("copy", "back", "quit")
    FOOTER: ClassVar[tuple[str, ...]] = ("back", "palette", "help")
    """Which actions the footer names, in order, as far as they can be taken now."""

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__()
        self.context = context
        self._message = Page(id="message")
        self._message.can_focus = False
        self._last_word = ("", Role.TEXT)
        self._standing = Page(id="standing")
        self._standing.can_focus = False
        self._footer = OneLine(self._footer_line, id="footer")
        self._too_small = OneLine(self._too_small_line, id="too-small")

    def compose(self) -> Iterator[Widget]:
        # What the first resize would set anyway: so nothing is styled and laid out twice at the start.
        app = self.app
        width, height = app.size
        classes = (
            _class_for(width, app.HORIZONTAL_BREAKPOINTS or []),
            _class_for(height, app.VERTICAL_BREAKPOINTS or []),
        )
        self.add_class(*classes, update=False)
        yield from self.compose_body()
        yield self._standing
        yield self._message
        yield self._footer
        yield self._too_small

    def compose_body(self) -> Iterator[Widget]:
        raise NotImplementedError

    def on_mount(self) -> None:
        context = self.context
        context.news.subscribe(self, self.hear)
        context.trouble.subscribe(self, self.say_error)
        context.standing_changed.subscribe(self, self.show_standing)
        self.show_standing(context.standing)

    def hear(self, news: News) -> None:
        """Something happened to jobs, or one that runs has come further."""

    def can(self, action_id: str) -> bool:
        """Whether an action of the footer can be taken now."""
        if self.context.is_barred(action_id):
            return False
        if action_id in {"pause", "resume"}:
            return (action_id == "resume") == (self.context.feed.pause is not None)
        if action_id == "copy":
            return self.copied() is not None
        return True

    @property
    def takes_text(self) -> bool:
        """Whether keys that are characters are text now."""
        return False

    def refuses(self, action_id: str) -> bool:
        """Whether this console does not do it, whatever it is on; then it says why."""
        if self.context.is_barred(action_id):
            self.say(with_keys(barred(action_id)), Role.WARNING)
            return True
        return False

    def refresh_footer(self) -> None:
        self._footer.renew()

    def _footer_line(self, width: int) -> Line:
        named = [action_id for action_id in self.FOOTER if self.can(action_id)]
        return footer_line(named, width, typing=self.takes_text)

    def _too_small_line(self, room: int) -> Line:
        width, height = self.size
        how = "Needs 60 x 15. {quit} leaves."
        said = [" " + with_keys(words) for words in (f"Too small: {width} x {height}. {how}", how)]
        return line(next((words for words in said if len(words) <= room), said[-1]))

    def say(self, sentence: str, role: Role = Role.TEXT) -> None:
        """Show a sentence above the footer, over what is there, until the next key; else only `unsay` takes it away."""
        self._last_word = (sentence, role)
        lines = wrapped(sentence, self.size.width, role, indent=1) if sentence else []
        _show_lines(self._message, with_labels(lines, self.context.names.tags))

    def unsay(self, sentence: str) -> None:
        """Take it away, if it is still what is said: it is so no longer."""
        if self._last_word[0] == sentence:
            self.say("")

    def show_standing(self, standing: StatusBanner) -> None:
        """Show what is so for longer than a moment."""
        _show_lines(self._standing, standing_lines(standing, self.size.width))

    def on_resize(self, event: events.Resize) -> None:
        self._too_small.renew()
        self.say(*self._last_word)
        self.show_standing(self.context.standing)

    def say_error(self, error: DbtendError) -> None:
        self.say(self.context.in_words(error), Role.FAILED)

    def ask_for_password(self, name: str, url: str, problem: PasswordNeededError, then: Callable[[], object]) -> None:
        """Ask for what `problem` says is missing for this target, and go on with `then` once something was typed."""

        def typed(password: str | None) -> None:
            if password:
                typed_passwords.remember(canonical(url), password)
                then()
            else:
                self.say_error(problem)

        self.app.push_screen(self.context.screens.password(f"{name}: {problem.why}."), typed)

    def copied(self) -> tuple[str, str] | None:
        """What there is to copy: what it is, in words, and the text of it; None where there is nothing."""
        return None

    async def action_copy(self) -> None:
        found = self.copied()
        self.say("Nothing to copy here." if found is None else await self.context.copy(*found))

    def on_key(self, event: events.Key) -> None:
        self.say("")

    def action_back(self) -> None:
        self.dismiss()

    def action_quit(self) -> None:
        self.action_back()


def _show_lines(page: Page, lines: list[Line]) -> None:
    """As many rows of the screen as there are lines."""
    page.set_class(bool(lines), "-shown")
    page.styles.height = len(lines)
    page.show(lines)


def _class_for(cells: int, breakpoints: Sequence[tuple[int, str]]) -> str:
    """The class of the largest breakpoint that `cells` reaches."""
    return max((at, name) for at, name in breakpoints if cells >= at)[1]
