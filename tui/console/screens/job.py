"""A job from beginning to end: children, steps with their SQL, errors, log. Live while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.worker import Worker

from engine import JobId, ParentJob, Trend
from engine.domain.errors import DbtendError
from tui.console.context import ConsoleContext
from tui.console.screens.base import steps_every
from tui.console.screens.entry import TYPING
from tui.console.screens.job_actions import JobActions
from tui.console.screens.page import ON_A_PAGE, PageScreen
from tui.console.views.job_document import child_start, job_document
from tui.console.views.line import Line, Role, wrapped

if TYPE_CHECKING:
    from tui.console.feed import News


class JobScreen(PageScreen[None], JobActions[None]):
    """Opens at the child where `job` names one; what is done here is done to the whole job."""

    FOOTER = (*TYPING, "cancel", "retry", "pin", "unpin", *ON_A_PAGE)

    def __init__(self, context: ConsoleContext, job: JobId) -> None:
        super().__init__(context)
        self._job = job
        self._whole: ParentJob | None = None
        self._trends: tuple[Trend, ...] = ()
        self._trends_of: tuple[int, int] | None = None
        """Of which job, and of how many of its operations that are over, the trends were read."""
        self._read_at = 0
        self._goes_to: int | None = None
        """The operation to scroll to as soon as it has been read."""
        self._error: DbtendError | None = None

    def on_mount(self) -> None:
        self._show(self._job)

    def _show(self, job: JobId) -> None:
        self._job, self._goes_to = job, job.ordinal
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
        if self._whole is not None and self._goes_to is not None:
            self.page.start_at(child_start(self.document(self.page.columns), self._goes_to))
            self._goes_to = None

    async def _read_trends(self, job: ParentJob) -> None:
        """Once, and again when another operation is over."""
        if self._trends_of != (job.id, job.done):
            self._trends_of, self._trends = (job.id, job.done), await self.context.engine.trend(job)

    @property
    def job_at_hand(self) -> tuple[ParentJob, JobId] | None:
        return (self._whole, JobId(self._whole.id)) if self._whole is not None else None

    def job_made(self, parent: ParentJob) -> None:
        self._show(JobId(parent.id))

    def document(self, width: int) -> list[Line]:
        context = self.context
        if self._whole is not None:
            name = context.name_of(self._whole.target)
            return job_document(self._whole, name, now=context.clock(), width=width, trends=self._trends)
        return wrapped(str(self._error), width, Role.FAILED) if self._error else []
