"""The services of the console for its screens: engine, jobs, names, writes, messages."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from textual.app import App
from textual.signal import Signal

from engine import Engine, TargetInfo
from engine.config.model import ConsoleConfig, TargetEntry
from engine.domain.errors import DbtendError, StoreBusyError
from engine.domain.humanize import listed
from engine.domain.lazy_import import lazy
from engine.fleet.expansion import may_name_databases
from engine.system.background import in_background
from tui.console.actions import BY_ID
from tui.console.feed import JobFeed, News
from tui.console.saved_targets import SavedTargets
from tui.console.views.hints import go_on_question
from tui.console.views.line import Role
from tui.console.views.status_banner import StatusBanner, not_stored, waiting_for_the_store
from tui.console.worker_supervisor import WorkerSupervisor
from tui.presentation.canonical_urls import CanonicalUrls
from tui.presentation.fact_format import number
from tui.presentation.target_names import TargetName, TargetNames
from tui.presentation.text import counted

FEW_TARGETS: Final = 10
"""So many targets are inspected at once and fit on the main screen; more begin with the fleet screen."""

if TYPE_CHECKING:
    from textual.screen import ModalScreen, Screen

    from engine import Advice, JobId, ParentJob, Request
    from engine.domain.batches import FailedRequest
    from engine.submission.manager import OnPortion
    from tui.console import clipboard
    from tui.console.views.palette import Command
    from tui.console.views.plans_document import PlanRequest
else:
    clipboard = lazy("tui.console.clipboard", "only copying needs it")


class Screens(Protocol):
    def job(self, job: JobId) -> Screen[None]: ...

    def plan(
        self, request: Request, name: TargetName, advice: Sequence[Advice], *, runs: bool = True
    ) -> Screen[list[Request | FailedRequest]]: ...

    def page_map(self, url: str, name: TargetName) -> Screen[None]: ...

    def plans(self, wanted: Sequence[PlanRequest], *, runs: bool = True) -> Screen[list[Request | FailedRequest]]: ...

    def history(self, *, filtering: bool, words: str = "") -> Screen[None]: ...

    def palette(
        self, known: Sequence[Command], targets: Mapping[int, str], typed: str
    ) -> ModalScreen[Command | None]: ...

    def confirm(self, question: str, consequence: str) -> ModalScreen[bool]: ...

    def typed_confirm(self, question: str, consequence: str, word: str) -> ModalScreen[bool]: ...

    def password(self, question: str) -> ModalScreen[str]: ...

    def target_form(
        self,
        saved: SavedTargets,
        entry: TargetEntry | None,
        *,
        was: TargetEntry | None,
        kept: Callable[[TargetEntry], None],
    ) -> Screen[None]: ...


@runtime_checkable
class MessageLine(Protocol):
    def say(self, sentence: str, role: Role = Role.TEXT) -> None: ...

    def unsay(self, sentence: str) -> None: ...


class ConsoleContext:
    """One per console; every screen has it."""

    def __init__(
        self,
        app: App[Any],
        engine: Engine,
        targets: Sequence[TargetEntry],
        *,
        screens: Callable[[ConsoleContext], Screens],
        ensure_worker: Callable[[], None],
        worker_lacks: Callable[[str], str],
        saved: SavedTargets | None,
        config: ConsoleConfig,
        clock: Callable[[], int],
        copies: Path | None,
    ) -> None:
        """Args: those of `DbtendApp`."""
        self._app = app
        self.engine = engine
        self.targets = tuple(targets)
        self._clock = clock
        self._lost_at: int | None = None
        """When the store was lost; None: it is there."""
        self.saved = saved
        self._copies = copies
        self.screens = screens(self)
        self.news: Signal[News] = Signal(app, "news")
        self.trouble: Signal[DbtendError] = Signal(app, "trouble")
        self.banner_changed: Signal[StatusBanner] = Signal(app, "banner")
        self.targets_changed: Signal[None] = Signal(app, "targets")
        self.signals: Sequence[Signal[Any]] = (self.news, self.trouble, self.banner_changed, self.targets_changed)
        self.feed = JobFeed(engine, self._publish_news, lambda error: self._publish_banner(), refresh=config.refresh)
        self.supervisor = WorkerSupervisor(
            engine, self.feed, self._publish_banner, ensure_worker=ensure_worker, worker_lacks=worker_lacks
        )
        self._writing = StoreWrites(engine, self.tell, self.untell, self.trouble.publish)
        urls, kept = (saved.urls, saved.entries) if saved is not None else (CanonicalUrls(), ())
        self.names = TargetNames(urls, kept, targets)
        self._resume_question: ModalScreen[bool] | None = None
        """The question about open jobs from earlier while it is asked."""
        self.is_fleet_home = len(targets) > FEW_TARGETS or any(may_name_databases(one.url) for one in targets)
        """Whether the console begins and ends with the fleet screen."""
        self.inspected: dict[str, TargetInfo] = {}
        """The last inspection of each database, by URL."""

    def clock(self) -> int:
        """Now, in microseconds; while the store is lost the time of that, so that no screen counts on."""
        return self._clock() if self._lost_at is None else self._lost_at

    # Jobs

    def follow_jobs(self) -> None:
        """Start to publish news of jobs, and ask about open jobs from earlier."""
        self._app.run_worker(self._follow(), name="feed")
        self._app.run_worker(self._resume(), name="resume")

    async def _follow(self) -> None:
        async with in_background(self._tell_reach(), "dbtend-reach"):
            await self.feed.run()

    async def _tell_reach(self) -> None:
        """Tell at once that the store's server cannot be reached, or can be again."""
        while True:
            await self.engine.reach_changed()
            self._publish_banner()

    async def _resume(self) -> None:
        """Ask whether to start a worker for open jobs from earlier."""
        try:
            left = await self.supervisor.left_from_earlier()
        except DbtendError as error:
            self.trouble.publish(error)
            return
        if left:
            self._resume_question = self.screens.confirm(*go_on_question(left))
            self._app.push_screen(self._resume_question, self._decide)

    def _decide(self, go_on: bool | None) -> None:
        self._resume_question = None
        self.supervisor.decide(go_on)

    async def _withdraw_question(self) -> None:
        """Close the question about open jobs from earlier once a worker has them, or they have ended."""
        with suppress(DbtendError):  # it stays
            left = await self.supervisor.left_from_earlier()
            question = self._resume_question
            if not left and question is not None and question.is_current:
                question.dismiss(None)

    def write(self, do: Callable[[], Awaitable[None]]) -> None:
        """Write to the store, even if the screen is closed before it is done."""
        self._app.run_worker(self._writing.write(do), name="write")

    def ask(self, question: str, consequence: str, do: Callable[[], Awaitable[None]]) -> None:
        """Ask, and after a yes write to the store."""
        self._app.push_screen(self.screens.confirm(question, consequence), self._if_yes(do))

    def ask_typed(self, question: str, consequence: str, word: str, do: Callable[[], Awaitable[None]]) -> None:
        """Ask a question that is confirmed by typing a word; call `do` if it is."""
        self._app.push_screen(self.screens.typed_confirm(question, consequence, word), self._if_yes(do))

    def _if_yes(self, do: Callable[[], Awaitable[None]]) -> Callable[[bool | None], None]:
        return lambda yes: self.write(do) if yes else None

    @contextmanager
    def submitting(self, jobs: int) -> Iterator[OnPortion]:
        """While inside, a message says that so many jobs are being submitted, if they take a moment.

        Gives what tells how many are submitted; a worker runs them meanwhile.
        """
        message = f"Submitting {counted(jobs, 'job')} ..." if jobs > FEW_TARGETS else ""

        def submitted(done: int, total: int) -> None:
            nonlocal message
            self.untell(message)
            message = f"Submitting {counted(total, 'job')}: {done:,} are submitted ..."
            self.tell(message)
            self.supervisor.start_worker()

        if message:
            self.tell(message)
        try:
            yield submitted
        finally:
            self.untell(message)

    def tell_joined(self, joined: Sequence[ParentJob]) -> None:
        """Say which jobs were open already; nothing if none was."""
        if joined:
            names = listed([f"#{job.id}" for job in joined])
            self.tell(f"Joined, as they already do exactly this: {names}.", Role.WARNING)

    def is_barred(self, action_id: str) -> bool:
        """Whether this console is read-only and the action changes something."""
        return self.engine.read_only and BY_ID[action_id].writes

    def leave(self) -> None:
        """Quit the console. Jobs go on; a message on stderr says so."""
        open_jobs = len(self.feed.open)
        verb = "goes" if open_jobs == 1 else "go"
        self._app.exit(message=f"{counted(open_jobs, 'job')} {verb} on: dbtend history" if open_jobs else None)

    def size_of(self, url: str) -> float | None:
        """The bytes of a database at its last inspection; None: unknown."""
        info = self.inspected.get(url)
        return None if info is None else number(info.facts, "size")

    # Names

    def format_error(self, error: DbtendError) -> str:
        """An error as text, with the name of the target instead of its URL."""
        return str(error).replace(error.what, self.names.given(error.what) or error.what, 1)

    # Messages

    @property
    def banner(self) -> StatusBanner:
        feed, lost = self.feed, self.engine.lost
        return StatusBanner(
            lost=lost,
            unread=feed.trouble if lost is None else None,
            no_worker=self.supervisor.no_worker,
            waiting=self.supervisor.waiting,
            waiting_elsewhere=self.supervisor.waiting_elsewhere,
            has_store=self.engine.has_store,
            read_only=self.engine.read_only,
        )

    def tell(self, sentence: str, role: Role = Role.TEXT) -> None:
        """Show a message on the top screen that has a message line; a question above it stays open."""
        for screen in reversed(self._app.screen_stack):
            if isinstance(screen, MessageLine):
                screen.say(sentence, role)
                return

    def untell(self, sentence: str) -> None:
        """Remove a message that is no longer true, on every screen."""
        for screen in self._app.screen_stack:
            if isinstance(screen, MessageLine):
                screen.unsay(sentence)

    def tell_error(self, error: DbtendError) -> None:
        self.tell(self.format_error(error), Role.FAILED)

    def _publish_news(self, news: News) -> None:
        self.supervisor.update()
        if self._resume_question is not None:
            self._app.run_worker(self._withdraw_question(), name="question", exclusive=True, group="question")
        self.news.publish(news)
        self._publish_banner()

    def _publish_banner(self) -> None:
        self._lost_at = None if self.engine.lost is None else self.clock()
        self.banner_changed.publish(self.banner)

    async def copy(self, what: str, text: str) -> str:
        """Copy `text` to the user's clipboard or else into a file; returns a message with the result."""
        driver = self._app._driver
        send = driver.write if driver is not None else lambda _: None
        return await clipboard.copy(what, text, send, self._copies, os.environ)


MESSAGE_EVERY = 1.0
"""Seconds between two messages about a locked store."""
SKIPPED: Final = 3
"""Messages about the lock that are skipped after another message, so that it can be read."""


class Say(Protocol):
    def __call__(self, sentence: str, role: Role = ...) -> None: ...


class StoreWrites:
    def __init__(
        self, engine: Engine, say: Say, unsay: Callable[[str], None], failed: Callable[[DbtendError], None]
    ) -> None:
        """
        Args:
            unsay: removes a message that is no longer true.
            failed: called with the error of a write, unless the store was locked: a message says that.
        """
        self._engine, self._say, self._unsay, self._failed = engine, say, unsay, failed
        self._is_under_way = False
        self._messages_to_skip = 0

    async def write(self, do: Callable[[], Awaitable[None]]) -> None:
        """Run a write; refuse it, with a message, while another one runs."""
        if self._is_under_way:
            self._say("Not done: the previous change is still being stored. Try again in a moment.", Role.WARNING)
            self._messages_to_skip = SKIPPED
            return
        self._is_under_way = True
        writing = asyncio.ensure_future(do())
        waited, busy = 0, ""
        try:
            while not (await asyncio.wait({writing}, timeout=MESSAGE_EVERY))[0]:
                waited += 1
                left = max(round(Engine.STORE_BUSY_TIMEOUT - waited * MESSAGE_EVERY), 1)
                if self._messages_to_skip:
                    self._messages_to_skip -= 1
                # Another message may have come since.
                elif (locked_by := await self._engine.store_locked_by()) and not self._messages_to_skip:
                    busy = waiting_for_the_store(locked_by, left)
                    self._say(busy, Role.WARNING)
            await writing
        except StoreBusyError as error:
            self._say(not_stored(error, await self._engine.store_locked_by()), Role.FAILED)
        except DbtendError as error:
            self._failed(error)
        finally:
            if busy:
                self._unsay(busy)
            writing.cancel()
            self._is_under_way = False
