"""The detail pane: the job under the cursor of the tree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual import events

from engine import ChildJob, JobId, ParentJob
from engine.domain.batches import Batch
from engine.domain.lazy_import import lazy
from tui.console.views.batch_rows import batch_detail
from tui.console.widgets.page import Page

if TYPE_CHECKING:
    from tui.console.views import detail
else:
    detail = lazy("tui.console.views.detail", "only a job under the cursor needs it")


class DetailPane(Page):
    """Shows a job at once without its steps, and again when they have been read."""

    KEEPS_HEIGHT = True

    def __init__(
        self,
        clock: Callable[[], int],
        name_of: Callable[[str], str],
        size_of: Callable[[str], float | None],
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """`size_of`: the bytes of the database with this URL, as far as it was inspected."""
        super().__init__(id=id)
        self._size_of = size_of
        self._clock = clock
        self._name_of = name_of
        self._job: JobId | None = None
        self._whole: ParentJob | None = None
        self._batch: tuple[Batch, Sequence[ParentJob]] | None = None

    @property
    def job(self) -> tuple[ParentJob, JobId] | None:
        """The job that is shown, with the steps read so far."""
        return (self._whole, self._job) if self._whole is not None and self._job is not None else None

    def put(self, parent: ParentJob | None, job: JobId | None) -> None:
        """Show this job; a parent without steps keeps those that were shown before."""
        if parent is not None and self._whole is not None and parent.id == self._whole.id:
            parent = with_known_steps(parent, self._whole)
        if job != self._job:
            self.start_at(0)
        self._whole, self._job, self._batch = parent, job, None
        self._lay_out()

    def put_batch(self, batch: Batch, jobs: Sequence[ParentJob]) -> None:
        """Show a batch, with the jobs of it that are known."""
        if self._batch is None or self._batch[0].id != batch.id:
            self.start_at(0)
        self._whole, self._job, self._batch = None, None, (batch, jobs)
        self._lay_out()

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        if self._batch is not None:
            self.show(batch_detail(*self._batch, self._name_of, self.columns))
            return
        if self._whole is None or self._job is None:
            self.show([])
            return
        target = self._whole.target
        self.show(
            detail.detail_lines(
                self._whole,
                self._job,
                self._name_of(target),
                now=self._clock(),
                width=self.columns,
                height=self.rows_in_view,
                database_size=self._size_of(target),
            )
        )


def with_known_steps(parent: ParentJob, known: ParentJob) -> ParentJob:
    """`parent`, its children with the attempts, steps and logs of `known` where they have none themselves."""
    before = {child.ordinal: child for child in known.children}

    def completed(child: ChildJob) -> ChildJob:
        old = before.get(child.ordinal)
        if old is None or child.steps:
            return child
        return replace(child, attempts=child.attempts or old.attempts, steps=old.steps, log=child.log or old.log)

    return replace(parent, children=tuple(completed(child) for child in parent.children))
