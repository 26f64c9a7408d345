"""The console: wires the engine to the screens. Jobs run in a worker process, never in here."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.screen import Screen
from textual.signal import Signal

from engine import Engine, TargetInfo
from engine.config.model import ConsoleConfig, TargetEntry
from engine.domain.errors import DbtendError
from engine.system.clock import now
from tui.console.actions import BY_ID, bindings
from tui.console.feed import JobFeed, News
from tui.console.keys.small_window_guard import SeenKeys
from tui.console.saved_targets import SavedTargets
from tui.console.screens import on_demand
from tui.console.screens.base import ConsoleScreen
from tui.console.screens.main import MainScreen
from tui.console.store_writes import Writing
from tui.console.views.hints import go_on_question
from tui.console.views.line import Role
from tui.console.views.standing import Standing
from tui.console.worker_supervisor import Tending
from tui.presentation.canonical_urls import CanonicalUrls
from tui.presentation.target_names import TargetName, TargetNames
from tui.presentation.text import counted

if TYPE_CHECKING:
    from tui.presentation.diagnostics import Check


class DbtendApp(SeenKeys):
    """What `dbtend` opens."""

    TITLE = "dbtend"
    # Textual does not load the style sheet of a default screen itself.
    CSS_PATH: ClassVar = ["styles/app.tcss", "styles/main.tcss"]
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
            engine: open, and open for as long as the app runs.
            targets: the databases to show.
            ensure_worker: is called after each submit, and sees to it that a worker process is there.
            worker_lacks: what it takes to connect to this URL that the worker process that takes on the next job does
                not have, in words; "" for nothing.
            saved: the targets of the config file; None where nothing is to be kept.
            clock: microseconds since the epoch, UTC.
            person: who sits here, for others to know; None: `user@host`.
            examine: what the doctor looks at.
            copies: the file for what is copied where no clipboard is in reach, or where it is too long for one.
        """
        self.config = config or ConsoleConfig()
        super().__init__(self.config.theme)
        self.engine = engine
        self.targets = tuple(targets)
        self.clock = clock
        self._person = person
        self._examine = examine
        self._copies = copies
        self.news: Signal[News] = Signal(self, "news")
        self.trouble: Signal[DbtendError] = Signal(self, "trouble")
        self.standing_changed: Signal[Standing] = Signal(self, "standing")
        self.feed = JobFeed(engine, self._tell, lambda error: self._tell_standing(), refresh=self.config.refresh)
        self.tending = Tending(
            engine,
            self.feed,
            self._tell_standing,
            ensure_worker=ensure_worker,
            worker_lacks=worker_lacks,
        )
        self._writing = Writing(engine, self.tell, self.untell, self.trouble.publish)
        self.saved = saved
        urls, kept = (saved.urls, saved.entries) if saved is not None else (CanonicalUrls(), ())
        self.names = TargetNames(urls, kept, targets)
        self.looked_at: dict[str, TargetInfo] = {}
        """What was last seen of databases, by their URLs."""

    def get_default_screen(self) -> Screen[None]:
        return MainScreen(self)

    def on_app_focus(self) -> None:
        main = self.screen_stack[0] if self.screen_stack else None
        if isinstance(main, MainScreen):
            main.glance_if_due()

    def _tell(self, news: News) -> None:
        self.tending.heed_news()
        self.news.publish(news)
        self._tell_standing()

    def _tell_standing(self) -> None:
        self.standing_changed.publish(self.standing)

    @property
    def standing(self) -> Standing:
        """What is to be said for as long as it is so."""
        feed, lost = self.feed, self.engine.lost
        return Standing(
            lost=lost,
            unread=feed.trouble if lost is None else None,
            no_worker=self.tending.no_worker,
            waiting=self.tending.waiting,
            has_store=self.engine.has_store,
            read_only=self.engine.read_only,
        )

    def follow_jobs(self) -> None:
        """Start to tell the screens of what happens to jobs, and see to it that those that are open go on."""
        self.run_worker(self.feed.run(), name="feed")
        self.run_worker(self._resume(), name="resume")

    def is_barred(self, action_id: str) -> bool:
        """Whether this console is read-only, and an action is not."""
        return self.engine.read_only and BY_ID[action_id].writes

    async def _resume(self) -> None:
        """Ask whether jobs from earlier go on."""
        try:
            left = await self.tending.left_from_earlier()
        except DbtendError as error:
            self.trouble.publish(error)
            return
        if left:
            self.push_screen(on_demand.confirm_screen(*go_on_question(left)), self.tending.decide)

    def name_of(self, url: str) -> TargetName:
        """What the user calls the target with this URL, with its label."""
        return self.names.of(url)

    def targets_called(self, part: str) -> frozenset[str]:
        """The URLs of the targets that the user calls by a name with this part."""
        return self.names.called(part)

    def in_words(self, error: DbtendError) -> str:
        """An error, with the target named as the user calls it."""
        return str(error).replace(error.what, self.names.given(error.what) or error.what, 1)

    def action_help(self) -> None:
        self._go_to(on_demand.help_screen())

    def action_workers(self) -> None:
        self._go_to(on_demand.workers_screen())

    def action_history(self, filtering: bool = False) -> None:
        self._go_to(on_demand.history_screen(self.clock, self.name_of, filtering=filtering))

    def action_doctor(self) -> None:
        if self._examine is not None:
            self._go_to(on_demand.doctor_screen(self._examine))

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
        if isinstance(self.screen, ConsoleScreen):
            from tui.console.command_palette import offer  # few sessions need it, and all start up

            offer(self, self.screen, typed)

    async def choose_theme(self, name: str) -> None:
        """Take on other colours, and keep them in the config file where anything is kept."""
        self.ansi_color = None
        self.theme = name
        if self.saved is None or self.engine.read_only:
            keeps = f'theme = "{name}" below [console] in the config file keeps them'
            self.tell(f"Colours of {name}, for this session; {keeps}.")
            return
        try:
            await self.saved.put_theme(name)
        except DbtendError as error:
            self.tell(f"Colours of {name}, for this session: {self.in_words(error)}", Role.WARNING)
        else:
            self.tell(f"Colours of {name}, saved in {self.saved.path}.")

    def action_refresh_by(self, factor: float) -> None:
        from tui.console.views.palette import REFRESH_RATES

        self.look_every(min(max(self.feed.refresh * factor, REFRESH_RATES[0]), REFRESH_RATES[-1]))

    def look_every(self, seconds: float) -> None:
        self.feed.refresh = seconds
        self.tell(f"Looks at running jobs every {seconds:g} s.")

    async def copy(self, what: str, text: str) -> str:
        """Bring `text` to the user's clipboard, or else into a file; what became of it, in a sentence."""
        from tui.console import clipboard

        send = self._driver.write if self._driver is not None else lambda _: None
        return await clipboard.copy(what, text, send, self._copies, os.environ)

    def action_pause(self) -> None:
        """Ask before nothing starts any more; let jobs start again at once."""
        if isinstance(self.screen, ConsoleScreen) and self.screen.refuses("resume" if self.feed.pause else "pause"):
            return
        if self.feed.pause is not None:
            self.write(self.engine.resume)
            return

        def decided(yes: bool | None) -> None:
            if yes:
                from tui.presentation.current_user import user_at_host

                self.write(partial(self.engine.pause, by=self._person or user_at_host()))

        consequence = "Nothing new starts, in any process, until somebody resumes. What runs goes on."
        self.push_screen(on_demand.confirm_screen("Pause all work on this store?", consequence), decided)

    def write(self, do: Callable[[], Awaitable[None]]) -> None:
        """Change something in the store, also where the screen that wants it is left meanwhile."""
        self.run_worker(self._writing.write(do), name="write")

    def tell(self, sentence: str, role: Role = Role.TEXT) -> None:
        """Say it on the uppermost screen that can: below a question it is read once that is answered."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.say(sentence, role)
                return

    def untell(self, sentence: str) -> None:
        """Take it away wherever it is said: it is so no longer."""
        for screen in self.screen_stack:
            if isinstance(screen, ConsoleScreen):
                screen.unsay(sentence)

    def tell_error(self, error: DbtendError) -> None:
        self.tell(self.in_words(error), Role.FAILED)

    def action_leave(self) -> None:
        """End the console; jobs go on, and it says so on stderr when the screen is gone."""
        going_on = len(self.feed.open)
        verb = "goes" if going_on == 1 else "go"
        self.exit(message=f"{counted(going_on, 'job')} {verb} on: dbtend history" if going_on else None)
