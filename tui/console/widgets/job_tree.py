"""The job tree: parents, newest first, and the children of unfolded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from textual import events
from textual.message import Message

from engine import JobId, ParentJob, Status
from engine.domain.batches import Batch, BatchId
from tui.console.actions import bindings
from tui.console.feed import RECENT
from tui.console.views.batch_rows import BatchRestKey, batch_row, has_row, jobs_to_show, rest_row
from tui.console.views.hints import no_jobs
from tui.console.views.line import Line, Role, Span, marked
from tui.console.views.rows import FoldedKey, TreeColumns, summary, tree_rows
from tui.console.widgets.item_list import ItemList

_INDENT: Final[Span] = ("  ", Role.TEXT)
KEPT = RECENT
"""Jobs and batches that are kept, at most, beside open and marked ones and the one under the cursor."""


class JobTree(ItemList):
    """A parent unfolds when it starts; an ended one folds when the next one starts.

    The parent under the cursor, and parents folded or unfolded by the user, do not change.
    """

    BINDINGS = bindings("open", "mark", "fold", "unfold", "fold-away")
    KEEPS_HEIGHT = True

    @dataclass
    class Opened(Message):
        """The user opens a job."""

        job: JobId

    @dataclass
    class BatchOpened(Message):
        """The user wants to see all jobs of a batch."""

        batch: BatchId

    def __init__(
        self,
        clock: Callable[[], int],
        name_of: Callable[[str], str],
        *,
        read_only: bool,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        """
        Args:
            clock: microseconds, for the duration of running jobs.
            name_of: name of the target with this URL.
            read_only: no job can be run here.
        """
        super().__init__(id=id)
        self._clock = clock
        self._name_of = name_of
        self._read_only = read_only
        self._has_target = True
        self._parents: dict[int, ParentJob] = {}
        self._expanded: dict[int, bool] = {}
        self._auto_unfolded: set[int] = set()
        self._showing_all: set[int] = set()
        self._rows: dict[int, list[Line]] = {}
        self._batches: dict[int, Batch] = {}
        self._members: dict[int, set[int]] = {}
        """The parents of each batch that are known here."""
        self._batch_expanded: dict[int, bool] = {}
        self._columns = TreeColumns()
        self._loaded = False
        self.marks: frozenset[JobId | BatchId] = frozenset()
        """The marked jobs and batches."""

    @property
    def job(self) -> JobId | None:
        """The job under the cursor; on the line of hidden children the parent."""
        key = self.key
        return JobId(key.parent_id) if isinstance(key, FoldedKey) else key if isinstance(key, JobId) else None

    @property
    def parent_job(self) -> ParentJob | None:
        return self._parents.get(self.job.parent) if self.job else None

    @property
    def selected_job(self) -> tuple[ParentJob, JobId] | None:
        """The parent under the cursor, and the job that is meant: itself or one of its children."""
        parent, job = self.parent_job, self.job
        return (parent, job) if parent is not None and job is not None else None

    @property
    def selected_batch(self) -> Batch | None:
        key = self.key
        number = key.batch_id if isinstance(key, BatchRestKey) else key.number if isinstance(key, BatchId) else None
        return self._batches.get(number) if number is not None else None

    def jobs_of(self, batch: Batch) -> list[ParentJob]:
        """The jobs of a batch that are known here: all that run or failed."""
        return [self._parents[parent_id] for parent_id in self._members.get(batch.id, ())]

    def put(self, parents: Iterable[ParentJob], batches: Iterable[Batch] = ()) -> None:
        """Update these parents and batches, and drop the oldest ended parents."""
        news = list(parents)
        started = [p.id for p in news if p.status is Status.RUNNING and p.batch is None and not self._runs(p.id)]
        self._parents |= {parent.id: parent for parent in news}
        self._batches |= {batch.id: batch for batch in batches}
        for parent in news:
            if parent.batch is not None:
                self._members.setdefault(parent.batch, set()).add(parent.id)
        for parent_id in started:
            self.unfold(parent_id)
        if started:
            self._fold_ended()
        if self._widen_columns(news):
            self._rows.clear()
        for parent in news:
            self._rows.pop(parent.id, None)
        self._loaded = True
        self._forget_the_old()
        self._show_rows()

    def _widen_columns(self, news: Iterable[ParentJob]) -> bool:
        """Whether the columns have to be wider for these jobs."""
        before = self._columns
        drawn = ((parent, self._batch_of(parent)) for parent in news)
        for parent in (parent for parent, batch in drawn if batch is None or has_row(batch, parent)):
            self._columns = self._columns.with_job(parent, self._name_of(parent.target))
        return self._columns != before

    def _runs(self, parent_id: int) -> bool:
        return parent_id in self._parents and self._parents[parent_id].status is Status.RUNNING

    def set_has_target(self, has_target: bool) -> None:
        """Decides the hint of an empty tree."""
        if self._has_target != has_target:
            self._has_target = has_target
            self._show_rows()

    def unfold(self, parent_id: int) -> None:
        """Show the children of a parent, unless the user has folded it."""
        parent = self._parents.get(parent_id)
        if parent_id not in self._expanded and (parent is None or parent.batch is None):
            self._expanded[parent_id] = True
            self._auto_unfolded.add(parent_id)

    def _fold_ended(self) -> None:
        for parent_id in list(self._auto_unfolded):
            parent = self._parents.get(parent_id)
            if parent is not None and parent.status.is_final and parent is not self.parent_job:
                self._auto_unfolded.remove(parent_id)
                del self._expanded[parent_id]
                self._rows.pop(parent.id, None)

    def _forget_the_old(self) -> None:
        """Bounds the memory of a console that is open for weeks; a batch counts as one, and keeps only shown jobs."""
        in_use = {key.parent for key in (*self.marks, self.job) if isinstance(key, JobId)}
        batches_in_use = [*self.marked_batches, self.selected_batch]
        rows: dict[JobId | BatchId, list[ParentJob]] = {}
        for parent_id in sorted(self._parents, reverse=True):
            parent = self._parents[parent_id]
            batch = self._batch_of(parent)
            rows.setdefault(JobId(parent_id) if batch is None else BatchId(batch.id), []).append(parent)
        for number, parents in enumerate(rows.values()):
            needed = {one.id for one in parents if one.id in in_use or not one.status.is_final}
            batch = self._batch_of(parents[0])
            is_kept = number < KEPT or needed or (batch is not None and batch in batches_in_use)
            for parent in parents:
                is_shown = parent is parents[0] or batch is None or has_row(batch, parent)
                if parent.id not in needed and not (is_kept and is_shown):
                    self._forget(parent)

    def _batch_of(self, parent: ParentJob) -> Batch | None:
        return self._batches.get(parent.batch) if parent.batch is not None else None

    def _forget(self, parent: ParentJob) -> None:
        del self._parents[parent.id]
        self._rows.pop(parent.id, None)
        self._forget_member(parent)
        self._expanded.pop(parent.id, None)
        self._auto_unfolded.discard(parent.id)
        self._showing_all.discard(parent.id)

    def _forget_member(self, parent: ParentJob) -> None:
        if parent.batch is None:
            return
        members = self._members[parent.batch]
        members.discard(parent.id)
        if not members:
            del self._members[parent.batch]
            self._batches.pop(parent.batch, None)
            self._batch_expanded.pop(parent.batch, None)

    def go_to_parent(self, parent_id: int) -> None:
        """Move the cursor to a parent, if it is shown, or to its batch."""
        parent = self._parents.get(parent_id)
        if parent is not None and parent.batch in self._batches:
            self.go_to(BatchId(parent.batch))
        self.go_to(JobId(parent_id))

    def _rows_of(self, parent: ParentJob) -> list[Line]:
        """Its rows, made when they are shown: of the jobs of a large batch few are."""
        if parent.id not in self._rows:
            self._rows[parent.id] = tree_rows(
                parent,
                self._name_of(parent.target),
                expanded=self._expanded.get(parent.id, False),
                show_all=parent.id in self._showing_all,
                now=self._clock(),
                width=self.columns - (0 if parent.batch is None else len(_INDENT[0])),
                marks=self.marks,
                columns=self._columns,
            )
        return self._rows[parent.id]

    def _show_rows(self) -> None:
        rows: list[Line] = []
        shown_batches = set()
        for parent_id in sorted(self._parents, reverse=True):
            batch = self._batch_of(self._parents[parent_id])
            if batch is None:
                rows += self._rows_of(self._parents[parent_id])
            elif batch.id not in shown_batches:
                shown_batches.add(batch.id)
                rows += self._rows_of_batch(batch)
        hint = no_jobs(self.columns, read_only=self._read_only, has_target=self._has_target) if self._loaded else []
        self.show(rows or hint)
        marks = f"{len(self.marks):,} marked, " if self.marks else ""
        counts = summary(self._parents.values(), self.subtitle_room - len(marks), self._batches)
        self.subtitled((marks + counts).removesuffix(", "))

    def _rows_of_batch(self, batch: Batch) -> list[Line]:
        known, expanded = self.jobs_of(batch), self._is_expanded(batch)
        row = batch_row(batch, expanded=expanded, width=self.columns)
        rows = [marked(row, 1) if row.key in self.marks else row]
        if not expanded:
            return rows
        shown = jobs_to_show(batch, known)
        rows += [Line((_INDENT, *row.spans), row.key) for parent in shown for row in self._rows_of(parent)]
        rest = rest_row(batch, shown, self.columns)
        return [*rows, rest] if rest is not None else rows

    def _is_expanded(self, batch: Batch) -> bool:
        """Whether a batch is expanded: as the user has chosen, or else while it is going on."""
        return self._batch_expanded.get(batch.id, not batch.is_over)

    @property
    def marked_jobs(self) -> list[tuple[ParentJob, JobId]]:
        """The marked jobs, newest first; without those of a job or a batch that is marked itself."""
        jobs = [
            job
            for job in self.marks
            if isinstance(job, JobId) and (job.ordinal is None or JobId(job.parent) not in self.marks)
        ]
        found = [
            (self._parents[job.parent], job)
            for job in sorted(jobs, key=lambda job: (-job.parent, job.ordinal or 0))
            if job.parent in self._parents
        ]
        in_batches = {batch.id for batch in self.marked_batches}
        return [(parent, job) for parent, job in found if parent.batch not in in_batches]

    @property
    def marked_batches(self) -> list[Batch]:
        """The marked batches, newest first."""
        numbers = sorted((key.number for key in self.marks if isinstance(key, BatchId)), reverse=True)
        return [self._batches[number] for number in numbers if number in self._batches]

    def action_mark(self) -> None:
        """Mark or unmark the job or batch under the cursor and move to the next one."""
        batch = self.selected_batch
        key = self.job if batch is None else BatchId(batch.id)
        if key is not None:
            self._mark(self.marks ^ {key})
            self.action_move(1)

    def clear_marks(self) -> None:
        self._mark(frozenset())

    def _mark(self, marks: frozenset[JobId | BatchId]) -> None:
        changed = {key.parent for key in self.marks ^ marks if isinstance(key, JobId)}
        self.marks = marks
        for parent_id in changed & self._parents.keys():
            self._rows.pop(parent_id, None)
        self._show_rows()
        self.post_message(self.CursorMoved(self))

    def action_open(self) -> None:
        if isinstance(self.key, FoldedKey | BatchId):
            self.action_fold()
        elif isinstance(self.key, BatchRestKey):
            self.post_message(self.BatchOpened(BatchId(self.key.batch_id)))
        elif self.job is not None:
            self.post_message(self.Opened(self.job))

    def action_fold(self, fold: bool | None = None) -> None:
        """Fold or unfold the batch, or the parent of the job, under the cursor; None: toggle."""
        batch = self.selected_batch
        if batch is not None:
            self._batch_expanded[batch.id] = not self._is_expanded(batch) if fold is None else not fold
            self.go_to(BatchId(batch.id))
            self._show_rows()
            return
        if self.parent_job is None:
            return
        parent_id = self.parent_job.id
        self._auto_unfolded.discard(parent_id)
        if isinstance(self.key, FoldedKey) and not fold:
            self._showing_all.add(parent_id)
        else:
            self._expanded[parent_id] = not self._expanded.get(parent_id, False) if fold is None else not fold
        if not self._expanded[parent_id]:
            self._showing_all.discard(parent_id)
            self.go_to(JobId(parent_id))
        self._rows.pop(parent_id, None)
        self._show_rows()

    def on_resize(self, event: events.Resize) -> None:
        self._rows.clear()
        self._show_rows()
