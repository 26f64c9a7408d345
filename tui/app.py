"""The console: wires the engine to the screens. Jobs run in a worker process, never in here."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.signal import Signal

from engine import Engine
from engine.clock import now
from engine.config import ConsoleConfig, TargetEntry
from engine.errors import DbtendError
from tui.actions import bindings
from tui.feed import JobFeed, News, left_over
from tui.person import user_at_host
from tui.saved_targets import SavedTargets
from tui.screens.confirm import ConfirmScreen
from tui.screens.help import HelpScreen
from tui.screens.main import MainScreen
from tui.screens.workers import WorkersScreen
from tui.target_names import TargetNames
from tui.terminal import Terminal
from tui.text import counted
from tui.theme import ANSI_THEMES, ANSI_VARIABLES, DBTEND, suitable_theme
from tui.views.hints import go_on_question


class DbtendApp(App[None]):
    """What `dbtend` opens."""

    TITLE = "dbtend"
    # Textual does not load the style sheet of a default screen itself.
    CSS_PATH: ClassVar = ["styles/app.tcss", "styles/main.tcss"]
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("help", "workers", "pause"),
        Binding("ctrl+c", "leave", "quit", show=False, priority=True),
    ]

    def __init__(
        self,
        engine: Engine,
        targets: Sequence[TargetEntry],
        *,
        ensure_worker: Callable[[], None],
        saved: SavedTargets | None = None,
        config: ConsoleConfig | None = None,
        clock: Callable[[], int] = now,
        person: str | None = None,
    ) -> None:
        """
        Args:
            engine: open, and open for as long as the app runs.
            targets: the databases to show.
            ensure_worker: is called after each submit, and sees to it that a worker process is there.
            saved: the targets of the config file; None where nothing is to be kept.
            clock: microseconds since the epoch, UTC.
            person: who sits here, for others to know; None: `user@host`.
        """
        self.config = config or ConsoleConfig()
        theme = self.config.theme or suitable_theme(os.environ)
        # Textual decides here, before it knows of the theme, whether NO_COLOR takes colours out or greys them.
        super().__init__(ansi_color=True if theme in ANSI_THEMES else None)
        self.engine = engine
        self.targets = tuple(targets)
        self.ensure_worker = ensure_worker
        self.clock = clock
        self._person = person
        self.animation_level = "none"
        self.news: Signal[News] = Signal(self, "news")
        self.trouble: Signal[DbtendError] = Signal(self, "trouble")
        self.feed = JobFeed(engine, self.news.publish, self.trouble.publish, refresh=self.config.refresh)
        self._tends = False
        """Whether a worker is to be there while jobs are open: not before somebody has said so."""
        self.saved = saved
        self.names = TargetNames(saved.entries if saved is not None else (), targets)
        self.register_theme(DBTEND)
        self.theme = theme

    def get_driver_class(self) -> type[Driver]:
        return Terminal

    def get_default_screen(self) -> Screen[None]:
        return MainScreen(self)

    def on_mount(self) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM):
            # Textual itself would die on them and leave the terminal as it is.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)

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

    def name_of(self, url: str) -> str:
        """What the user calls the target with this URL, with its label."""
        return self.names.of(url)

    def in_words(self, error: DbtendError) -> str:
        """An error, with the target named as the user calls it."""
        return str(error).replace(error.what, self.names.given(error.what) or error.what, 1)

    def action_help(self) -> None:
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_workers(self) -> None:
        if not isinstance(self.screen, WorkersScreen):
            self.push_screen(WorkersScreen())

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
