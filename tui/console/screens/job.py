"""The page of a job: a picture of it, then operations, steps with their SQL, errors, log. Updated while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import BindingType

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
from tui.console.widgets.job_page import JobPage
from tui.presentation.job_log import is_shortened

if TYPE_CHECKING:
    from tui.console.feed import News


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
