"""The page of a job: operations, steps with their SQL, errors, log. Updated while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.worker import Worker

from engine import JobId, ParentJob, Trend
from engine.domain.errors import DbtendError
from tui.console.actions import bindings
from tui.console.console_screen import steps_every
from tui.console.context import ConsoleContext
from tui.console.parts.job_actions import JobActions
from tui.console.screens.entry import TYPING
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.job_document import child_start, job_document
from tui.console.views.line import Line, Role, wrapped
from tui.console.views.many_jobs import Jobs

if TYPE_CHECKING:
    from tui.console.feed import News


class JobScreen(PageScreen[None]):
    """Scrolls to the child that `job` names, if any; actions are for the whole job."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("cancel", "retry", "pin")
    FOOTER = (*TYPING, "cancel", "retry", "pin", "unpin", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext, job: JobId) -> None:
        super().__init__(context)
        self._actions = JobActions(self, self, lambda made: self._show(JobId(made.id)))
        self.parts = (self._actions,)
        self._job = job
        self._whole: ParentJob | None = None
        self._trends: tuple[Trend, ...] = ()
        self._trends_of: tuple[int, int] | None = None
        """The job, and its number of ended operations, when the trends were read."""
        self._read_at = 0
        self._scroll_to_child: int | None = None
        """The operation to scroll to after the next read."""
        self._error: DbtendError | None = None

    def on_mount(self) -> None:
        self._show(self._job)

    def _show(self, job: JobId) -> None:
        self._job, self._scroll_to_child = job, job.ordinal
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

    def _read(self) -> None:
        _: Worker[None] = self.run_worker(self._load, exclusive=True)

    async def _load(self) -> None:
        self._read_at = self.context.clock()
        try:
            self._whole = await self.context.engine.job(self._job.parent)
            self._error = None
            await self._read_trends(self._whole)
        except DbtendError as error:
            self._error = error
            self.say_error(error)
        self.refresh_page()
        if self._whole is not None and self._scroll_to_child is not None:
            self.page.start_at(child_start(self.document(self.page.columns), self._scroll_to_child))
            self._scroll_to_child = None

    async def _read_trends(self, job: ParentJob) -> None:
        """Once, and again after each operation."""
        if self._trends_of != (job.id, job.done):
            self._trends_of, self._trends = (job.id, job.done), await self.context.engine.trend(job)

    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        return (self._whole, JobId(self._whole.id)) if self._whole is not None else None

    @property
    def marked_jobs(self) -> Jobs:
        return ()

    def clear_marks(self) -> None:
        """A page has no marks."""

    async def action_cancel(self) -> None:
        await self._actions.cancel()

    def action_retry(self) -> None:
        self._actions.retry()

    def action_pin(self) -> None:
        self._actions.pin()

    def document(self, width: int) -> list[Line]:
        context = self.context
        if self._whole is not None:
            name = context.name_of(self._whole.target)
            return job_document(self._whole, name, now=context.clock(), width=width, trends=self._trends)
        return wrapped(str(self._error), width, Role.FAILED) if self._error else []
