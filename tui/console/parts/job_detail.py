"""Keeps the detail pane on the job under the cursor of the tree, with its steps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from textual.worker import Worker

from engine.domain.batches import Batch
from engine.domain.errors import DbtendError
from tui.console.console_screen import ConsoleScreen, steps_every
from tui.console.widgets.detail_pane import DetailPane
from tui.console.widgets.job_tree import JobTree

if TYPE_CHECKING:
    from tui.console.feed import News

SUMMED: Final = 2_000
"""The effects of a batch with more jobs are not summed up."""


class JobDetail:
    """Shows a job at once as the tree has it, and its steps when they have been read."""

    def __init__(self, screen: ConsoleScreen[Any], jobs: JobTree, pane: DetailPane) -> None:
        self._screen, self._context = screen, screen.context
        self._jobs, self._pane = jobs, pane
        self._steps_read_at = 0

    def update(self, news: News, shown: int) -> None:
        """Show news of the parent `shown`; its steps are read on changes, and else at intervals."""
        parent = next((parent for parent in news.parents if parent.id == shown), None)
        if parent is not None:
            is_due = self._context.clock() - self._steps_read_at >= steps_every(parent)
            self.show(read_steps=is_due or shown in news.changed)

    def show(self, *, read_steps: bool = True) -> None:
        batch = self._jobs.selected_batch
        if batch is not None:
            self._pane.put_batch(batch, self._jobs.jobs_of(batch))
            self._screen.refresh_footer()
            if batch.is_over and batch.total <= SUMMED:
                self._begin(partial(self._read_batch, batch))
            return
        parent = self._jobs.parent_job
        self._pane.put(parent, self._jobs.job)
        self._screen.refresh_footer()
        if read_steps and parent is not None:
            self._steps_read_at = self._context.clock()
            self._begin(partial(self._read_steps, parent.id))

    def _begin(self, read: Callable[[], Coroutine[None, None, None]]) -> None:
        """`read`: no coroutine: one that is replaced before it starts would never be awaited."""
        _: Worker[None] = self._screen.run_worker(read, group="detail", exclusive=True)

    async def _read_batch(self, batch: Batch) -> None:
        """All its jobs: the tree may know only some."""
        try:
            jobs = await self._context.engine.batch_jobs(batch.id)
        except DbtendError as error:
            self._screen.say_error(error)
            return
        shown = self._jobs.selected_batch
        if shown is not None and shown.id == batch.id:
            self._pane.put_batch(shown, jobs)

    async def _read_steps(self, parent_id: int) -> None:
        try:
            whole = await self._context.engine.job(parent_id)
        except DbtendError as error:
            self._screen.say_error(error)
            return
        if self._jobs.job is not None and self._jobs.job.parent == parent_id:
            self._pane.put(whole, self._jobs.job)
