"""The console: wires the engine to the screens. Jobs run in a worker process, never in here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import events, on
from textual.app import App
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input

from engine import Engine
from engine.config.model import ConsoleConfig, TargetEntry
from engine.domain.errors import DbtendError
from engine.domain.lazy_import import lazy
from engine.system.clock import now
from tui.console.actions import bindings
from tui.console.console_screen import ConsoleScreen, TargetScreen
from tui.console.context import ConsoleContext
from tui.console.key_queue import KeyHandled, KeyQueue
from tui.console.keymap import keys_of
from tui.console.saved_targets import SavedTargets
from tui.console.screens.factory import ScreenFactory
from tui.console.screens.main import MainScreen
from tui.console.themed_app import ThemedApp
from tui.console.views.line import Role
from tui.presentation.text import plain

if TYPE_CHECKING:
    from engine.system import current_user
    from tui.console import command_palette
    from tui.console.views import palette
    from tui.presentation.health_check import Check
else:
    current_user = lazy("engine.system.current_user", "only a pause needs it")
    palette = lazy("tui.console.views.palette", "the first screen does without it")
    command_palette = lazy("tui.console.command_palette", "the first screen does without it")


SMALLEST: Final = (60, 15)
"""Columns and rows of the smallest window that the console works in."""
HORIZONTAL_BREAKPOINTS: Final = [(0, "-tiny"), (SMALLEST[0], "-narrow"), (100, "-wide"), (160, "-panorama")]
VERTICAL_BREAKPOINTS: Final = [(0, "-flat"), (SMALLEST[1], "-low"), (30, "-high")]


class SmallWindowGuard:
    """Lets no key through in a window below SMALLEST but those that leave or suspend, and restores the focus."""

    def __init__(self, app: App[Any], leave: Callable[[], None]) -> None:
        """`leave`: ends the console."""
        self._app, self._leave = app, leave
        self._focused_before: Widget | None = None
        """What had the focus when the window became too small: hiding it takes the focus away."""

    def resized(self, size: Size) -> None:
        if _is_too_small(size):
            self._focused_before = self._app.focused or self._focused_before
        else:
            self._app.call_after_refresh(self._restore_focus)

    def _restore_focus(self) -> None:
        widget, self._focused_before = self._focused_before, None
        screen = self._app.screen
        if screen.focused is not None or _is_too_small(self._app.size):
            return
        if widget is None or widget.screen is not screen:  # the screen was opened in the small window
            widget = next(iter(screen.query(screen.AUTO_FOCUS or "*")), None)
        if widget is not None:
            screen.set_focus(widget, scroll_visible=False)

    def accepts(self, key: events.Key) -> bool:
        """Whether a key may be handled; the key that quits leaves the console."""
        if not _is_too_small(self._app.size) or key.key in {*keys_of("leave-console"), *keys_of("suspend")}:
            return True
        if key.key in keys_of("quit") and not self._app.screen.query(Input):  # in an input it is a letter
            self._leave()
        return False


def _is_too_small(size: Size) -> bool:
    return size.width < SMALLEST[0] or size.height < SMALLEST[1]


class DbtendApp(ThemedApp[None]):
    TITLE = "dbtend"
    HORIZONTAL_BREAKPOINTS = HORIZONTAL_BREAKPOINTS
    VERTICAL_BREAKPOINTS = VERTICAL_BREAKPOINTS
    # Textual does not load the style sheet of a default screen itself.
    CSS_PATH: ClassVar = ["styles/app.tcss", "styles/main.tcss"]
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("palette", "history", "fleet", "schedules", "workers", "pause", "doctor", "theme"),
        *bindings("faster", "slower", "help", "suspend", "leave-console"),
    ]

    def __init__(
        self,
        engine: Engine,
        targets: Sequence[TargetEntry],
        *,
        ensure_worker: Callable[[], None],
        worker_lacks: Callable[[str], str] = lambda _: "",
        saved: SavedTargets | None = None,
        config: ConsoleConfig | None = None,
        clock: Callable[[], int] = now,
        person: str | None = None,
        examine: Callable[[], Awaitable[list[Check]]] | None = None,
        copies: Path | None = None,
    ) -> None:
        """
        Args:
            engine: open while the app runs.
            targets: the databases to show.
            ensure_worker: called after each submit; starts a worker process if none is up.
            worker_lacks: what the worker process that is up lacks to connect to this URL; "": nothing.
            saved: the targets of the config file; None: nothing is saved.
            clock: microseconds since the epoch, UTC.
            person: the user, as others see it; None: `user@host`.
            examine: runs the checks of the doctor.
            copies: the file for text that no clipboard can take.
        """
        config = config or ConsoleConfig()
        super().__init__(config.theme)
        self._small_window = SmallWindowGuard(self, self.action_leave)
        self.keys = KeyQueue(self, self._small_window.accepts, super().on_event)
        self._person = person
        self._examine = examine
        self.context = ConsoleContext(
            self,
            engine,
            targets,
            screens=ScreenFactory,
            ensure_worker=ensure_worker,
            worker_lacks=worker_lacks,
            saved=saved,
            config=config,
            clock=clock,
            copies=copies,
        )
        self._screens = ScreenFactory(self.context)

    def get_default_screen(self) -> Screen[None]:
        return MainScreen(self.context)

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self.keys.put(event)
        else:
            await super().on_event(event)

    @on(KeyHandled)
    async def _key_handled(self, message: KeyHandled) -> None:
        await self.keys.key_handled(message)

    def on_resize(self, event: events.Resize) -> None:
        self._small_window.resized(event.size)

    def on_app_focus(self) -> None:
        main = self._main_screen()
        if main is not None:
            main.inspector.check_presence_if_due()

    def action_help(self) -> None:
        here = self.screen
        if isinstance(here, ConsoleScreen) and type(here) is not type(
            page := self._screens.help(here.FOOTER, here.OPENED_BY)
        ):
            self.push_screen(page)

    def action_workers(self) -> None:
        self._go_to(self._screens.workers())

    def action_schedules(self) -> None:
        self._go_to(self._screens.schedules())

    def action_history(self, filtering: bool = False) -> None:
        self._go_to(self._screens.history(filtering=filtering))

    def on_mount(self) -> None:
        if self.context.is_fleet_home:
            self.action_fleet()

    def action_fleet(self) -> None:
        main = self._main_screen()
        if main is not None:
            self._go_to(self._screens.fleet(main.model, main.inspector, main.surveys), main.chosen_on_fleet)

    def _main_screen(self) -> MainScreen | None:
        main = self.screen_stack[0] if self.screen_stack else None
        return main if isinstance(main, MainScreen) else None

    def action_doctor(self) -> None:
        if self._examine is not None:
            self._go_to(self._screens.doctor(self._examine))

    def _go_to(self, screen: Screen[Any], ended: Callable[[Any], None] | None = None) -> None:
        """Show this screen, or go back to an open one of its kind; `ended`: called with its result."""
        if not isinstance(self.screen, ConsoleScreen):
            return
        kinds = [type(opened) for opened in self.screen_stack]
        if type(screen) not in kinds:
            self.push_screen(screen, ended)
            return
        for _ in kinds[kinds.index(type(screen)) + 1 :]:
            self.pop_screen()

    def action_palette(self, typed: str = "") -> None:
        main = self._main_screen()
        if isinstance(self.screen, ConsoleScreen) and main is not None:
            command_palette.offer(
                self,
                self.screen,
                typed,
                targets={number: state.entry.name for number, state in main.model.states.items()},
                go_to_target=self._go_to_target,
                choose_theme=self.choose_theme,
                refresh_every=self.refresh_every,
            )

    def _go_to_target(self, number: int) -> None:
        """On a screen of targets put the cursor on one; from elsewhere go to the main screen."""
        while not isinstance(self.screen, TargetScreen):
            self.pop_screen()
        self.screen.go_to_target(number)

    async def choose_theme(self, name: str) -> None:
        """Change the colours, and save them in the config file if there is one."""
        self.ansi_color = None
        self.theme = name
        if self.context.saved is None or self.context.engine.read_only:
            keep = f'theme = "{name}" below [console] in the config file'
            self.context.tell(f"Theme {name}, for this session. To keep it: {keep}.")
            return
        try:
            await self.context.saved.put_theme(name)
        except DbtendError as error:
            self.context.tell(f"Theme {name}, for this session: {self.context.format_error(error)}", Role.WARNING)
        else:
            self.context.tell(f"Theme {name}, saved in {self.context.saved.path}.")

    def action_refresh_by(self, factor: float) -> None:
        fastest, *_, slowest = palette.REFRESH_RATES
        self.refresh_every(min(max(self.context.feed.refresh * factor, fastest), slowest))

    def refresh_every(self, seconds: float) -> None:
        self.context.feed.refresh = seconds
        self.context.tell(f"Running jobs are refreshed every {seconds:g} s.")

    def action_pause(self) -> None:
        """Pause after a question; resume at once."""
        if isinstance(self.screen, ConsoleScreen) and self.screen.refuses(
            "resume" if self.context.feed.pause else "pause"
        ):
            return
        if self.context.feed.pause is not None:
            self.context.write(partial(self._resume, self.context.feed.pause.by))
            return
        consequence = "No process starts another operation until you resume. Running operations go on."
        pause = partial(self.context.engine.pause, by=self._person or current_user.user_at_host())
        self.context.ask("Pause all work on this store?", consequence, pause)

    async def _resume(self, paused_by: str) -> None:
        await self.context.engine.resume()
        self.context.tell(f"Resumed: jobs start again. The pause was by {plain(paused_by)}.")

    def action_leave(self) -> None:
        self.context.leave()
