"""The console: wires the engine to the screens. Jobs run in a worker process, never in here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import unquote

from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.signal import Signal

from engine import Engine, JobId
from engine.clock import now
from engine.config import ConsoleConfig, TargetEntry
from engine.errors import DbtendError
from tui import keymap
from tui.actions import BY_ID, bindings
from tui.clipboard import into_file, is_reachable, osc52, through_tmux
from tui.feed import JobFeed, News, left_over
from tui.person import user_at_host
from tui.screens.base import ConsoleScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.help import HelpScreen
from tui.screens.history import HistoryScreen
from tui.screens.job import JobScreen
from tui.screens.main import MainScreen
from tui.screens.palette import PaletteScreen
from tui.screens.workers import WorkersScreen
from tui.terminal import Terminal
from tui.text import counted, size
from tui.theme import ANSI_THEMES, ANSI_VARIABLES, THEMES, offered_themes, suitable_theme
from tui.views.hints import go_on_question
from tui.views.palette import REFRESH_RATES, Command, Kind, commands

if TYPE_CHECKING:
    from tui.examination import Check


class DbtendApp(App[None]):
    """What `dbtend` opens."""

    TITLE = "dbtend"
    # Textual does not load the style sheet of a default screen itself.
    CSS_PATH: ClassVar = ["styles/app.tcss", "styles/main.tcss"]
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("palette", "history", "workers", "pause", "doctor", "theme", "faster", "slower", "help"),
        *bindings("suspend", "leave-console"),
    ]

    def __init__(
        self,
        engine: Engine,
        targets: Sequence[TargetEntry],
        *,
        ensure_worker: Callable[[], None],
        config: ConsoleConfig | None = None,
        clock: Callable[[], int] = now,
        person: str | None = None,
        examine: Callable[[], Awaitable[list[Check]]] | None = None,
        copies: Path | None = None,
    ) -> None:
        """
        Args:
            engine: open, and open for as long as the app runs.
            targets: the databases to show.
            ensure_worker: is called after each submit, and sees to it that a worker process is there.
            clock: microseconds since the epoch, UTC.
            person: who sits here, for others to know; None: `user@host`.
            examine: what the doctor looks at.
            copies: the file for what is copied where no clipboard is in reach, or where it is too long for one.
        """
        self.config = config or ConsoleConfig()
        theme = suitable_theme(self.config.theme, os.environ)
        # Textual decides here, before it knows of the theme, whether NO_COLOR takes colours out or greys them.
        super().__init__(ansi_color=True if theme in ANSI_THEMES else None)
        self.engine = engine
        self.targets = tuple(targets)
        self.ensure_worker = ensure_worker
        self.clock = clock
        self._person = person
        self._examine = examine
        self._copies = copies
        self.animation_level = "none"
        self.news: Signal[News] = Signal(self, "news")
        self.trouble: Signal[DbtendError] = Signal(self, "trouble")
        self.feed = JobFeed(engine, self.news.publish, self.trouble.publish, refresh=self.config.refresh)
        self._tends = False
        """Whether a worker is to be there while jobs are open: not before somebody has said so."""
        self._names = {entry.url: entry.name for entry in targets}
        for known in THEMES.values():
            self.register_theme(known)
        self.theme = theme
        self.set_keymap(keymap.remapped())

    def get_driver_class(self) -> type[Driver]:
        return Terminal

    def get_default_screen(self) -> Screen[None]:
        return MainScreen(self)

    def on_mount(self) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM):
            # Textual itself would die on them and leave the terminal as it is.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        # Suspended and brought back in a window of the same size, Textual would draw nothing anew.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True), immediate=True)

    def follow_jobs(self) -> None:
        """Start to tell the screens of what happens to jobs, and see to it that those that are open go on."""
        self.run_worker(self.feed.run(), name="feed")
        self.run_worker(self._resume(), name="resume")

    async def _resume(self) -> None:
        """Ask whether jobs from earlier go on: to open a console is not to start anything."""
        try:
            left = left_over(await self.engine.open_jobs(), await self.engine.workers())
        except DbtendError as error:
            self.trouble.publish(error)
            return
        if self._tends or not left:
            self._tends = True
            return

        def decided(yes: bool | None) -> None:
            if yes:
                self.see_to_a_worker()

        self.push_screen(ConfirmScreen(*go_on_question(len(left))), decided)

    def see_to_a_worker(self) -> None:
        """Somebody wants jobs to be carried out: from now on there is a worker for as long as any are open."""
        self._tends = True
        try:
            self.ensure_worker()
        except DbtendError as error:
            self.trouble.publish(error)

    def replace_worker(self) -> None:
        """See to another worker where jobs are to go on and the one there was has died."""
        if self._tends and left_over(self.feed.open.values(), self.feed.workers):
            self.see_to_a_worker()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(ANSI_VARIABLES)

    def name_target(self, url: str, name: str) -> None:
        """From now on the target with this URL goes by this name."""
        self._names[url] = name

    def name_of(self, url: str) -> str:
        """What the user calls the target with this URL; the file's name where it has no other."""
        return self._names.get(url) or unquote(url.rstrip("/").rsplit("/", 1)[-1]) or url

    def in_words(self, error: DbtendError) -> str:
        """An error, with the target named as the user calls it."""
        return str(error).replace(error.what, self._names.get(error.what, error.what), 1)

    def action_help(self) -> None:
        self._go_to(HelpScreen())

    def action_workers(self) -> None:
        self._go_to(WorkersScreen())

    def action_history(self) -> None:
        self._go_to(HistoryScreen())

    def action_doctor(self) -> None:
        from tui.screens.doctor import DoctorScreen  # with what only the doctor needs, which is slow to import

        if self._examine is not None:
            self._go_to(DoctorScreen(self._examine))

    def _go_to(self, screen: Screen[None]) -> None:
        """Show this screen; where one of its kind is open already go back to that."""
        if not isinstance(self.screen, ConsoleScreen):
            return
        kinds = [type(opened) for opened in self.screen_stack]
        if type(screen) not in kinds:
            self.push_screen(screen)
            return
        for _ in kinds[kinds.index(type(screen)) + 1 :]:
            self.pop_screen()

    def action_palette(self, typed: str = "") -> None:
        """Offer everything that can be done here and now."""
        screen = self.screen
        if not isinstance(screen, ConsoleScreen):
            return
        bound = {b.binding.id: (b.node, b.binding.action) for b in screen.active_bindings.values() if b.binding.id}
        known = commands(
            bound, screen.can, themes=offered_themes(os.environ), theme=self.theme, refresh=self.feed.refresh
        )

        async def do(command: Command | None) -> None:
            if command is None:
                return
            match command.kind:
                case Kind.ACTION:
                    node, call = bound[BY_ID[command.value].same_key_as or command.value]
                    await self.run_action(call, node)
                case Kind.THEME:
                    self.choose_theme(command.value)
                case Kind.REFRESH:
                    self._look_every(float(command.value))
                case Kind.JOB:
                    self.push_screen(JobScreen(JobId.parse(command.value)))

        self.push_screen(PaletteScreen(known, typed), do)

    def choose_theme(self, name: str) -> None:
        """Take on other colours, for as long as the console is open."""
        self.ansi_color = None
        self.theme = name
        self._say(f'Colours of {name}. To keep them: theme = "{name}" below [console] in the config file.')

    def action_refresh_by(self, factor: float) -> None:
        rates = REFRESH_RATES
        self._look_every(min(max(self.feed.refresh * factor, rates[0]), rates[-1]))

    def _look_every(self, seconds: float) -> None:
        self.feed.refresh = seconds
        self._say(f"Looks at running jobs every {seconds:g} s.")

    def _say(self, sentence: str) -> None:
        if isinstance(self.screen, ConsoleScreen):
            self.screen.say(sentence)

    async def copy(self, what: str, text: str) -> str:
        """Bring `text` to the user's clipboard, or else into a file; what became of it, in a sentence."""
        size_in_words = size(len(text.encode(errors="replace")))
        sequence = osc52(text)
        if sequence is not None and is_reachable(os.environ):
            if not await through_tmux(text, os.environ) and self._driver is not None:
                self._driver.write(sequence)
            return f"Copied {what} ({size_in_words})."
        why = "no clipboard can be reached from here" if sequence is not None else "too long for a clipboard"
        if self._copies is None:
            return f"Not copied: {what} ({size_in_words}) is {why}."
        try:
            into_file(self._copies, text)
        except OSError as error:
            return f"Not copied, as {self._copies} cannot be written: {error.strerror}."
        return f"Written to {self._copies}, as {why}: {what} ({size_in_words})."

    async def action_pause(self) -> None:
        """Ask before nothing starts any more; let jobs start again at once."""
        if self.feed.pause is not None:
            await self._or_tell(self.engine.resume)
            return

        async def decided(yes: bool | None) -> None:
            if yes:
                await self._or_tell(partial(self.engine.pause, by=self._person or user_at_host()))

        consequence = "Nothing new starts, in any process, until somebody resumes. What runs goes on."
        self.push_screen(ConfirmScreen("Pause all work on this store?", consequence), decided)

    async def _or_tell(self, do: Callable[[], Awaitable[None]]) -> None:
        try:
            await do()
        except DbtendError as error:
            self.trouble.publish(error)

    def action_leave(self) -> None:
        """End the console; jobs go on, and it says so on stderr when the screen is gone."""
        going_on = len(self.feed.open)
        verb = "goes" if going_on == 1 else "go"
        self.exit(message=f"{counted(going_on, 'job')} {verb} on: dbtend history" if going_on else None)
