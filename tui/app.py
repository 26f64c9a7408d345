"""The console: wires the engine to the screens. Jobs run in a worker process, never in here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen
from textual.signal import Signal

from engine import Engine, JobId
from engine.clock import now
from engine.config import ConsoleConfig, TargetEntry
from engine.errors import DbtendError, StoreBusyError, UsageError
from tui import clipboard, keymap
from tui.actions import BY_ID, bindings
from tui.feed import JobFeed, News, left_over
from tui.keys_in_turn import KeysInTurn
from tui.person import user_at_host
from tui.saved_targets import SavedTargets
from tui.screens import on_demand
from tui.screens.base import ConsoleScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.main import MainScreen
from tui.target_names import TargetName, TargetNames
from tui.terminal import Terminal, end_on_signals
from tui.text import counted
from tui.theme import ANSI_THEMES, ANSI_VARIABLES, THEMES, offered_themes, suitable_theme
from tui.views.hints import go_on_question
from tui.views.line import Role
from tui.views.palette import REFRESH_RATES, Command, Kind, commands
from tui.views.standing import Standing, not_stored, waiting_for_the_store

if TYPE_CHECKING:
    from tui.examination import Check

SAY_EVERY = 1.0
"""Seconds between two words on a store that is locked."""


class DbtendApp(KeysInTurn):
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
        worker_knows_password_of: Callable[[str], bool] = lambda _: True,
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
            worker_knows_password_of: whether the worker process that takes on the next job has the password that was
                typed here for this URL, where one was.
            saved: the targets of the config file; None where nothing is to be kept.
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
        self.worker_knows_password_of = worker_knows_password_of
        self.clock = clock
        self._person = person
        self._examine = examine
        self._copies = copies
        self.animation_level = "none"
        self.news: Signal[News] = Signal(self, "news")
        self.trouble: Signal[DbtendError] = Signal(self, "trouble")
        self.standing_changed: Signal[Standing] = Signal(self, "standing")
        self.feed = JobFeed(engine, self._tell, lambda error: self._tell_standing(), refresh=self.config.refresh)
        self._tends = False
        """Whether a worker is to be there while jobs are open: not before somebody has said so."""
        self._is_asked = not engine.read_only
        """Whether it is still open if there is to be one."""
        self._no_worker: DbtendError | None = None
        self.is_writing = False
        """Whether something is being stored: one thing at a time."""
        self._silent_for = 0
        """How many of the words on a store that is locked are left out now."""
        self.saved = saved
        self.names = TargetNames(saved.entries if saved is not None else (), targets)
        for known in THEMES.values():
            self.register_theme(known)
        self.theme = theme
        self.set_keymap(keymap.remapped())

    def get_driver_class(self) -> type[Driver]:
        return Terminal

    def get_default_screen(self) -> Screen[None]:
        return MainScreen(self)

    def on_mount(self) -> None:
        # Suspended and brought back in a window of the same size, Textual would draw nothing anew.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True), immediate=True)
        end_on_signals(self)

    def _tell(self, news: News) -> None:
        if not self.feed.open or any(worker.alive and worker.serves_all for worker in self.feed.workers):
            self._no_worker = None
        self.news.publish(news)
        self._tell_standing()

    def _tell_standing(self) -> None:
        self.standing_changed.publish(self.standing)

    @property
    def standing(self) -> Standing:
        """What is to be said for as long as it is so."""
        feed, lost = self.feed, self.engine.lost
        nobody = not (self._tends or self._is_asked or feed.pause)
        return Standing(
            lost=lost,
            unread=feed.trouble if lost is None else None,
            no_worker=self._no_worker,
            waiting=len(left_over(feed.open.values(), feed.workers)) if nobody else 0,
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
        """Ask whether jobs from earlier go on: to open a console is not to start anything."""
        if self.engine.read_only:
            return
        try:
            left = left_over(await self.engine.open_jobs(), await self.engine.workers())
        except DbtendError as error:
            self.trouble.publish(error)
            return
        if self._tends or not left:
            self._tends, self._is_asked = True, False
            return

        def decided(yes: bool | None) -> None:
            self._is_asked = False
            if yes:
                self.see_to_a_worker()
            self._tell_standing()

        self.push_screen(ConfirmScreen(*go_on_question(len(left))), decided)

    def see_to_a_worker(self) -> None:
        """Somebody wants jobs to be carried out: from now on there is a worker for as long as any are open."""
        self._tends, self._is_asked = True, False
        try:
            self.ensure_worker()
        except DbtendError as error:
            self._no_worker = error
            self._tell_standing()

    def refuse_what_no_worker_can_open(self, targets: Iterable[str]) -> None:
        """Raise UsageError for a target whose password was typed here after the worker process was started."""
        for target in targets:
            if not self.worker_knows_password_of(target):
                why = "the worker process that is up does not know its password, which was typed later"
                hint = "put it into ~/.pgpass (mode 0600), or come back when no job has run for a minute"
                raise UsageError(target, why, hint)

    def replace_worker(self) -> None:
        """See to another worker where jobs are to go on and the one there was has died."""
        if self._tends and left_over(self.feed.open.values(), self.feed.workers):
            self.see_to_a_worker()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return dict(ANSI_VARIABLES)

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

    def action_history(self) -> None:
        self._go_to(on_demand.history_screen(self.clock, self.name_of))

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
                    self.push_screen(on_demand.job_screen(JobId.parse(command.value)))

        self.push_screen(on_demand.palette_screen(known, typed), do)

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

    async def copy(self, what: str, text: str) -> str:
        """Bring `text` to the user's clipboard, or else into a file; what became of it, in a sentence."""
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
                self.write(partial(self.engine.pause, by=self._person or user_at_host()))

        consequence = "Nothing new starts, in any process, until somebody resumes. What runs goes on."
        self.push_screen(ConfirmScreen("Pause all work on this store?", consequence), decided)

    def write(self, do: Callable[[], Awaitable[None]]) -> None:
        """Change something in the store. While others keep it locked, it is said who, until it is done or in vain.

        One thing at a time: what is asked for meanwhile is not done, and that is said.
        """
        if self.is_writing:
            self._say("A moment: what was asked for before is not stored yet. This was not done.", Role.WARNING)
            self._silent_for = 3  # so that it can be read
        else:
            self.is_writing = True
            self.run_worker(self._write(do), name="write")

    async def _write(self, do: Callable[[], Awaitable[None]]) -> None:
        writing = asyncio.ensure_future(do())
        waited = 0
        try:
            while not (await asyncio.wait({writing}, timeout=SAY_EVERY))[0]:
                waited += 1
                left = max(round(Engine.STORE_PATIENCE - waited * SAY_EVERY), 1)
                if self._silent_for:
                    self._silent_for -= 1
                elif locked_by := self.engine.store_locked_by():
                    self._say(waiting_for_the_store(locked_by, left), Role.WARNING)
            await writing
        except StoreBusyError as error:
            self._say(not_stored(error, self.engine.store_locked_by()), Role.FAILED)
        except DbtendError as error:
            self.trouble.publish(error)
        finally:
            writing.cancel()
            self.is_writing = False

    def _say(self, sentence: str, role: Role = Role.TEXT) -> None:
        """On the uppermost screen that can: below a question it is read once that is answered."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, ConsoleScreen):
                screen.say(sentence, role)
                return

    def action_leave(self) -> None:
        """End the console; jobs go on, and it says so on stderr when the screen is gone."""
        going_on = len(self.feed.open)
        verb = "goes" if going_on == 1 else "go"
        self.exit(message=f"{counted(going_on, 'job')} {verb} on: dbtend history" if going_on else None)
