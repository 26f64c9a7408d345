"""The page of a job: a picture of it, then operations, steps with their SQL, errors, log. Updated while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.binding import BindingType
from textual.message import Message

from engine import JobId, ParentJob, Status, Trend
from engine.domain.batches import Batch
from engine.domain.errors import DbtendError
from tui.console.actions import bindings
from tui.console.console_screen import steps_every
from tui.console.context import ConsoleContext
from tui.console.parts.job_actions import JobActions
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.job_document import job_document
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.many_jobs import Jobs
from tui.console.widgets.page import Page
from tui.presentation.job_log import is_shortened

if TYPE_CHECKING:
    from tui.console.feed import News


class JobPage(Page):
    """A page with a cursor on one of the lines whose key is the id of a child."""

    BINDINGS = bindings("details")

    @dataclass
    class Selected(Message):
        child: JobId

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.selected: JobId | None = None
        """The child under the cursor."""

    def is_under_cursor(self, index: int) -> bool:
        key = self.line_at(index).key
        return key is not None and key == self.selected

    def action_move(self, by: int) -> None:
        """Move the cursor while the picture is in view; at its ends, and below it, scroll."""
        if abs(by) != 1 or self.scroll_offset.y or not self._select(by):
            super().action_move(by)

    def _select(self, by: int) -> bool:
        """Move the cursor by so many children; whether there is such a child."""
        children = self._children
        at = children.index(self.selected) + by if self.selected in children else 0
        if not 0 <= at < len(children):
            return False
        self.post_message(self.Selected(children[at]))
        return True

    @property
    def _children(self) -> list[JobId]:
        return [line.key for line in self._lines if isinstance(line.key, JobId)]

    def action_details(self) -> None:
        """Scroll to the text about the child under the cursor."""
        if self.selected is not None:
            self.start_at(next((n for n, line in enumerate(self._lines) if line.key == self.selected.ordinal), 0))

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        index = at.y + self.scroll_offset.y if at is not None else self.line_count
        if index < self.line_count and isinstance(key := self.line_at(index).key, JobId):
            self.post_message(self.Selected(key))


class JobScreen(PageScreen[None]):
    """The cursor begins on the child that `job` names, if any; actions are for the whole job."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("cancel", "retry", "pin", "unfold-log")
    PAGE_TYPE = JobPage
    page: JobPage
    FOOTER = (*TYPING, "cancel", "retry", "details", "unfold-log", "pin", "unpin", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext, job: JobId) -> None:
        super().__init__(context)
        self.parts = (JobActions(self, self, lambda made: self._show(JobId(made.id))),)
        self._job = job
        self._whole: ParentJob | None = None
        self._trends: tuple[Trend, ...] = ()
        self._trends_of: tuple[int, int] | None = None
        """The job, and its number of ended operations, when the trends were read."""
        self._read_at = 0
        self._error: DbtendError | None = None
        self._unfolded = False
        """Whether all steps are shown with their commands, and log lines that only name settings."""

    def on_mount(self) -> None:
        self._show(self._job)

    def _show(self, job: JobId) -> None:
        self._job, self.page.selected = job, None
        self._whole, self._error, self._trends, self._trends_of = None, None, (), None
        self.page.border_title = f"Job #{job.parent}"
        self.page.start_at(0)
        self._read()

    def hear(self, news: News) -> None:
        mine = next((parent for parent in news.parents if parent.id == self._job.parent), None)
        if mine is None:
            return
        if mine.id in news.changed or self.context.clock() - self._read_at >= steps_every(mine):
            self._read()

    @work(exclusive=True)
    async def _read(self) -> None:
        self._read_at = self.context.clock()
        try:
            self._whole = await self.context.engine.job(self._job.parent)
            self._error = None
            await self._read_trends(self._whole)
        except DbtendError as error:
            self._error = error
            self.say_error(error)
        if self._whole is not None and self.page.selected is None:
            self.page.selected = self._first_selected(self._whole)
        self.refresh_page()

    def _first_selected(self, job: ParentJob) -> JobId:
        """The child that the page was opened for, else the first that runs, else the first that failed."""
        found = {child.id for child in job.children}
        if self._job in found:
            return self._job
        wanted = (Status.RUNNING, Status.FAILED)
        of_interest = (child.id for status in wanted for child in job.children if child.status is status)
        return next(of_interest, job.children[0].id)

    @on(JobPage.Selected)
    def _select(self, message: JobPage.Selected) -> None:
        self.page.selected = message.child
        self.page.refresh()
        self.refresh_page()

    async def _read_trends(self, job: ParentJob) -> None:
        """Once, and again after each operation."""
        if self._trends_of != (job.id, job.done):
            self._trends_of, self._trends = (job.id, job.done), await self.context.engine.trend(job)

    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        return (self._whole, JobId(self._whole.id)) if self._whole is not None else None

    @property
    def selected_batch(self) -> Batch | None:
        return None

    @property
    def marked_jobs(self) -> Jobs:
        return ()

    @property
    def marked_batches(self) -> Sequence[Batch]:
        return ()

    def clear_marks(self) -> None:
        """A page has no marks."""

    def action_unfold(self) -> None:
        if self._whole is None:
            return
        self._unfolded = not (self._unfolded and is_shortened(self._whole))
        self.refresh_page()
        self.say("Every step and command is shown." if self._unfolded else "Steps and commands are shortened again.")

    def can(self, action_id: str) -> bool:
        if action_id == "unfold-log":
            return self._whole is not None and is_shortened(self._whole)
        return super().can(action_id)

    def document(self, width: int) -> list[Line]:
        context = self.context
        if self._whole is not None:
            name = context.names.of(self._whole.target)
            return job_document(
                self._whole,
                name,
                now=context.clock(),
                width=width,
                height=self.page.size.height,
                selected=self.page.selected.ordinal if self.page.selected else None,
                trends=self._trends,
                unfolded=self._unfolded,
            )
        return wrapped(str(self._error), width, Role.FAILED) if self._error else []
