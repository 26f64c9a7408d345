"""The base of all screens: message line, status banner, footer, news."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, TypeVar, runtime_checkable

from rich.segment import Segment
from textual import events
from textual._styles_cache import StylesCache
from textual.binding import BindingType
from textual.screen import Screen
from textual.widget import Widget

from engine.domain import typed_passwords
from engine.domain.errors import DbtendError, PasswordNeededError
from tui.console.actions import barred, bindings
from tui.console.keymap import with_keys
from tui.console.views.keys import footer_line
from tui.console.views.line import Line, Role, line, with_labels, wrapped
from tui.console.views.status_banner import StatusBanner, banner_lines
from tui.console.widgets.one_line import OneLine
from tui.console.widgets.page import Page
from tui.presentation.canonical_urls import canonical

if TYPE_CHECKING:
    from engine import ParentJob
    from tui.console.context import ConsoleContext
    from tui.console.feed import News

Result = TypeVar("Result")


Actions = Mapping[str, Callable[[], Awaitable[None] | None]]
"""What carries out each action, by its id."""


class ScreenPart(Protocol):
    """A part of a screen that carries out some of its actions."""

    @property
    def actions(self) -> Actions: ...

    def can(self, action_id: str) -> bool:
        """Whether one of `actions` can be taken now."""


@runtime_checkable
class TargetScreen(Protocol):
    def go_to_target(self, number: int) -> None:
        """Put the cursor on a target, also one that the filter hides."""


_STEPS_EVERY: Final = 1_000_000
_STEPS_A_SECOND: Final = 1_500


def steps_every(parent: ParentJob) -> int:
    """Microseconds between two reads of all steps of a running job, at least: there may be thousands."""
    steps = sum(child.progress.steps_total for child in parent.children)
    return max(_STEPS_EVERY, steps * 1_000_000 // _STEPS_A_SECOND)


class ConsoleScreen(Screen[Result]):
    BINDINGS: ClassVar[list[BindingType]] = bindings("copy", "back", "quit")
    FOOTER: ClassVar[tuple[str, ...]] = ("back", "palette", "help")
    """Actions that the footer names, in order, if they work now."""
    OPENED_BY: ClassVar[str] = ""
    """The action that opens this screen, and does nothing on it."""

    def __init__(self, context: ConsoleContext) -> None:
        super().__init__()
        self.context = context
        self.parts: Sequence[ScreenPart] = ()
        """Carry out those actions that the screen does not carry out itself."""
        self._message = Page(id="message")
        self._message.can_focus = False
        self._last_message = ("", Role.TEXT)
        self._banner = Page(id="banner")
        self._banner.can_focus = False
        self._footer = OneLine(self._footer_line, id="footer")
        self._too_small = OneLine(self._too_small_line, id="too-small")

    def compose(self) -> Iterator[Widget]:
        # The classes that the first resize would set: so nothing is styled and laid out twice at the start.
        app = self.app
        width, height = app.size
        classes = (
            _class_for(width, app.HORIZONTAL_BREAKPOINTS or []),
            _class_for(height, app.VERTICAL_BREAKPOINTS or []),
        )
        self.add_class(*classes, update=False)
        yield from self.compose_body()
        yield self._banner
        yield self._message
        yield self._footer
        yield self._too_small

    def compose_body(self) -> Iterator[Widget]:
        raise NotImplementedError

    @property
    def is_current(self) -> bool:
        """Whether it is seen. For Textual the screen below the top one always is, so that its news draw both."""
        stack = self.app.screen_stack
        return self in stack and all(above.styles.background.a < 1 for above in stack[stack.index(self) + 1 :])

    def on_mount(self) -> None:
        context = self.context
        context.news.subscribe(self, self.hear)
        context.trouble.subscribe(self, self.say_error)
        context.banner_changed.subscribe(self, self.show_banner)
        self.show_banner(context.banner)

    def on_unmount(self) -> None:
        # A signal keeps its subscriber until it is published after that has ended, which some never are.
        for signal in self.context.signals:
            signal.unsubscribe(self)
        # These caches keep what was drawn: one by the widget that drew it, the other up to 16,384 pieces of text.
        StylesCache.get_inner_outer.cache_clear()
        Segment._split_cells.cache_clear()

    def hear(self, news: News) -> None:
        """Jobs have changed, or a running job has made progress."""

    def can(self, action_id: str) -> bool:
        """Whether an action works now."""
        if self.context.is_barred(action_id) or action_id == self.OPENED_BY:
            return False
        if action_id in {"pause", "resume"}:
            return (action_id == "resume") == (self.context.feed.pause is not None)
        if action_id == "copy":
            return self.can_copy
        return next((part.can(action_id) for part in self.parts if action_id in part.actions), True)

    async def action_part(self, action_id: str) -> None:
        """Let the part that carries out this action do so."""
        do = next(part.actions[action_id] for part in self.parts if action_id in part.actions)
        doing = do()
        if doing is not None:
            await doing

    @property
    def takes_text(self) -> bool:
        """Whether character keys are text now."""
        return False

    def refuses(self, action_id: str) -> bool:
        """Whether this console is read-only and the action is not; says so."""
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
        texts = [" " + with_keys(words) for words in (f"Too small: {width} x {height}. {how}", how)]
        return line(next((words for words in texts if len(words) <= room), texts[-1]))

    def say(self, sentence: str, role: Role = Role.TEXT) -> None:
        """Show a message above the footer until the next key or `unsay`."""
        self._last_message = (sentence, role)
        lines = wrapped(sentence, self.size.width, role, indent=1) if sentence else []
        _show_lines(self._message, with_labels(lines, self.context.names.tags))

    @property
    def last_message(self) -> str:
        return self._last_message[0]

    def unsay(self, sentence: str) -> None:
        """Remove this message if it is still shown."""
        if self.last_message == sentence:
            self.say("")

    def show_banner(self, banner: StatusBanner) -> None:
        _show_lines(self._banner, banner_lines(banner, self.size.width))

    def on_resize(self, event: events.Resize) -> None:
        self._too_small.renew()
        self.say(*self._last_message)
        self.show_banner(self.context.banner)

    def say_error(self, error: DbtendError) -> None:
        self.say(self.context.format_error(error), Role.FAILED)

    def ask_for_password(self, name: str, url: str, problem: PasswordNeededError, then: Callable[[], object]) -> None:
        """Ask for the password that `problem` says is missing; call `then` when one was typed."""

        def typed(password: str | None) -> None:
            if password:
                typed_passwords.remember(canonical(url), password)
                then()
            else:
                self.say_error(problem)

        self.app.push_screen(self.context.screens.password(f"{name}: {problem.why}."), typed)

    def copied(self) -> tuple[str, str] | None:
        """A name for the text that can be copied, and the text; None: nothing."""
        return None

    @property
    def can_copy(self) -> bool:
        return self.copied() is not None

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
    """Show lines in a page of exactly their height."""
    if not lines and not page.line_count:
        return  # to set even the same height lays out the screen
    page.set_class(bool(lines), "-shown")
    page.styles.height = len(lines)
    page.show(lines)


def _class_for(cells: int, breakpoints: Sequence[tuple[int, str]]) -> str:
    """The class of the largest breakpoint that `cells` reaches."""
    return max((at, name) for at, name in breakpoints if cells >= at)[1]
